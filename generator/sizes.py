"""The two sizes of the chain: which networks, at which resolution."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from generator.weights import mini
from lyra_sim.doctor import weights_folder
from lyra_sim.errors import LyraSimError


@dataclass(frozen=True)
class Size:
    """Say what one size of the chain runs with."""

    name: str
    """`mini` or `full`."""
    height: int
    """Rows of the teacher's frames [px]."""
    width: int
    """Columns of the teacher's frames [px]."""
    frames: int
    """Frames per trajectory, 8k + 1."""
    tokenizer: Path
    """Card of the tokenizer."""
    decoder: Path
    """Card of the decoder."""


MINI = Size("mini", 176, 320, 17, mini.TOKENIZER, mini.DECODER)


def full() -> Size:
    """Return the full size; its cards are those that importing the published weights writes."""
    folder = weights_folder()
    return Size("full", 704, 1280, 121, folder / "cosmos-tokenizer.json", folder / "lyra-static.json")


def missing_for_full(*, has_gpu: bool) -> list[str]:
    """Return what keeps the full size from running here, one phrase each; empty when nothing does."""
    missing = [] if has_gpu else ["no CUDA GPU"]
    missing += [
        f"{name} is not installed" for name in ("gsplat", "mamba_ssm", "transformers") if not find_spec(name)
    ]
    size = full()
    cards = {"Cosmos tokenizer": size.tokenizer, "Lyra decoder": size.decoder}
    missing += [f"no {name} weights ({card})" for name, card in cards.items() if not card.is_file()]
    # The published teacher is not wired to `gen` yet, so this keeps `auto` from promising what it cannot do.
    missing.append("this version has no text-to-video teacher at full size")
    return missing


def resolve(name: str) -> Size:
    """Return the size that a user asked for; `auto` is full where it can run, else mini.

    Raises:
        LyraSimError: The full size was asked for by name and cannot run here.
    """
    if name == "mini":
        return MINI
    import torch

    missing = missing_for_full(has_gpu=torch.cuda.is_available())
    if not missing:
        return full()
    if name == "auto":
        return MINI
    raise LyraSimError(
        f"--size full cannot run here: {'; '.join(missing)}; see `lyra-sim doctor`, or use --size mini"
    )
