"""The Cosmos guardrail: diffusers' `CosmosSafetyChecker`, used where its weights are."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, cast, get_args

import numpy as np

from lyra_sim.errors import LyraSimError

SafetyMode = Literal["auto", "on", "off"]
"""`auto`: on where package and weights are present; `on`: an error where they are not; `off`: never."""

PACKAGE = "cosmos_guardrail"
"""Package that diffusers takes its `CosmosSafetyChecker` from."""
REPOSITORIES = {
    "nvidia/Cosmos-1.0-Guardrail": "face_blur_filter/Resnet50_Final.pth",
    "Qwen/Qwen3Guard-Gen-0.6B": "config.json",
}
"""What the checker reads from the hub's cache: repositories, and a file whose presence shows that they are there."""


def safety_mode() -> SafetyMode:
    """Return what `LYRA_SIM_SAFETY` says, `auto` unless it is set; raises LyraSimError for another word."""
    mode = os.environ.get("LYRA_SIM_SAFETY", "auto")
    if mode not in get_args(SafetyMode):
        raise LyraSimError(f"LYRA_SIM_SAFETY is {mode!r}; set it to {', '.join(get_args(SafetyMode))}")
    return cast(SafetyMode, mode)


def safety_missing() -> list[str]:
    """Return what the checker lacks here, one phrase each; empty when it can run."""
    missing = [] if find_spec(PACKAGE) else [f"the package {PACKAGE} is not installed"]
    if find_spec("huggingface_hub") is None:
        return [*missing, "the package huggingface_hub is not installed"]
    from huggingface_hub import try_to_load_from_cache

    for repository, file in REPOSITORIES.items():
        if not isinstance(try_to_load_from_cache(repository, file), str):
            missing.append(f"{repository} is not in the hub's cache")
    return missing


@dataclass(frozen=True)
class Guardrail:
    """Hold the checker, if it runs, for models that do not call it themselves."""

    checker: Any | None = None
    """diffusers' `CosmosSafetyChecker`; without it nothing is checked."""
    sentence: str = ""
    """Whether it runs, and why not; empty where nobody speaks of it."""

    def require_safe(self, prompt: str) -> None:
        """Raise LyraSimError when the checker refuses a prompt."""
        if self.checker is not None and prompt.strip() and not self.checker.check_text_safety(prompt):
            raise LyraSimError("the safety checker refuses the prompt; change it")

    def checked(self, frames: np.ndarray, *, device: str) -> np.ndarray:
        """Return frames (T, H, W, 3) uint8 with faces blurred; raises LyraSimError when the checker refuses them."""
        if self.checker is None:
            return frames
        self.checker.to(device)
        try:
            checked = self.checker.check_video_safety(frames)
        finally:
            self.checker.to("cpu")
        if checked is None:
            raise LyraSimError(
                "the safety checker refuses the video or picture made; change picture or prompt"
            )
        return np.asarray(checked, np.uint8)

    def record(self) -> dict[str, object]:
        """Return the entry of a provenance."""
        return {"safety_checker": self.sentence} if self.sentence else {}


def load_guardrail(mode: SafetyMode | None) -> Guardrail:
    """Return the guardrail of a size, off where its weights speak of none (None); raises as `load_safety_checker`."""
    return Guardrail(*load_safety_checker(mode)) if mode else Guardrail()


def load_safety_checker(mode: SafetyMode = "auto") -> tuple[Any | None, str]:
    """Return the checker, or None, and a sentence that says plainly which and why.

    Raises:
        LyraSimError: It was asked for and cannot run, or its files are damaged.
    """
    if mode == "off":
        return None, "Safety checker: off, as asked for; prompts and videos are not checked"
    missing = safety_missing()
    if missing and mode == "on":
        raise LyraSimError(
            f"the safety checker cannot run: {'; '.join(missing)}; install cosmos_guardrail and let it download its "
            "weights once"
        )
    if missing:
        return None, f"Safety checker: off ({'; '.join(missing)}); prompts and videos are not checked"
    try:
        checker = importlib.import_module(PACKAGE).CosmosSafetyChecker()
    except (OSError, RuntimeError, ValueError) as error:
        raise LyraSimError(f"the safety checker cannot be loaded ({str(error)[:200]})") from None
    return checker, "Safety checker: on (NVIDIA's Cosmos guardrail checks prompts, and blurs faces in videos)"
