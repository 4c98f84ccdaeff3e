"""The two sizes of the chain: which networks, at which resolution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from generator.teachers.picture_paths import CENTER_SHARE
from generator.teachers.safety import SafetyMode, safety_mode
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
    denoiser: Path = mini.TEACHER
    """Card of GEN3C's denoiser."""
    compositor: Path | None = mini.COMPOSITOR
    """Card of the network that merges a sampled video with what the cache shows, for denoisers whose card says that
    this is done; None matches them without a network."""
    text_encoder: Path | None = None
    """Card of GEN3C's text encoder; without the file, and with None, it samples with the zero embedding."""
    picture_teacher: str = "mini"
    """Teacher that imagines from a picture, unless another is asked for."""
    depth: str = "mini"
    """Depth estimator of pictures that come without depth; a key of `generator.depth.estimator.BACKENDS`."""
    text_to_image: str | None = None
    """Text-to-image pipeline that makes the picture of a prompt (a folder, an entry of the registry or a hub
    name); None where the prompt chooses a procedural world."""
    median_depth: float = 5.0
    """Median depth of the pictures that the decoder was trained on, in its unit; pictures are brought to it."""
    center_share: float = CENTER_SHARE
    """Depth that camera paths turn around, over the median depth of the picture."""
    safety: SafetyMode | None = None
    """Whether the Cosmos guardrail checks prompts and videos; None for weights that speak of no guardrail."""
    dynamic: Path | None = None
    """Card of the decoder for scenes that move; None where there is none."""
    device: str = "cpu"
    """Torch device that the generating networks run on."""
    precision: str = "float32"
    """Torch type of their weights."""

    @property
    def moves(self) -> bool:
        """Whether the decoder is the one for scenes that move."""
        return self.decoder == self.dynamic

    def for_motion(self) -> Size:
        """Return the size with the decoder for scenes that move, where it has one.

        Raises:
            LyraSimError: That decoder has no weights here.
        """
        if self.dynamic is None:
            return self
        if not self.dynamic.is_file():
            raise LyraSimError(
                f"--time at --size {self.name} needs the weights {self.dynamic.stem} "
                f"(lyra-sim weights pull {self.dynamic.stem})"
            )
        return replace(self, decoder=self.dynamic)


SIDES = range(64, 2048 + 1, 16)
"""Sides that frames can have [px]: multiples of what a token of the networks spans."""

MINI = Size("mini", 176, 320, 17, mini.TOKENIZER, mini.DECODER)


def full() -> Size:
    """Return the full size; its cards are those that importing the published weights writes."""
    folder = weights_folder()
    return Size(
        "full",
        704,
        1280,
        121,
        folder / "cosmos-tokenizer.json",
        folder / "lyra-static.json",
        dynamic=folder / "lyra-dynamic.json",
        denoiser=folder / "gen3c.json",
        text_encoder=folder / "t5-text-encoder.json",
        picture_teacher="gen3c",
        depth="depth-anything-v2",
        text_to_image="z-image",
        # MoGe's own scale, which the published networks were trained at, puts the middle of a picture at about 1.
        median_depth=1.0,
        center_share=1.0,
        safety=safety_mode(),
        device="cuda",
        precision="bfloat16",
    )


def missing_for_full(*, has_gpu: bool) -> list[str]:
    """Return what keeps the full size from running here, one phrase each; empty when nothing does.

    The text encoder is not among it: without it, GEN3C runs with the zero embedding.
    """
    missing = [] if has_gpu else ["no CUDA GPU"]
    packages = ("gsplat", "mamba_ssm", "transformers", "accelerate")
    missing += [f"{name} is not installed" for name in packages if not find_spec(name)]
    size = full()
    cards = [size.tokenizer, size.decoder, size.denoiser]
    cards += [weights_folder() / f"{name}.json" for name in (size.depth, size.text_to_image)]
    absent = [card.stem for card in cards if not card.is_file()]
    if absent:
        missing.append(f"no weights {', '.join(absent)} in {weights_folder()} (lyra-sim weights pull NAME)")
    return missing


def resolve(name: str, resolution: tuple[int, int] | None = None) -> Size:
    """Return the size that a user asked for; `auto` is full where it can run, else mini.

    Args:
        name: `mini`, `full` or `auto`.
        resolution: Height and width of the frames [px]; None takes those of the size.

    Raises:
        LyraSimError: The full size was asked for by name and cannot run here, or nothing runs at the resolution.
    """
    size = _named(name)
    if resolution is None:
        return size
    height, width = resolution
    if height not in SIDES or width not in SIDES:
        raise LyraSimError(
            f"--resolution {width}x{height}: sides must be multiples of {SIDES.step} from {SIDES[0]} to "
            f"{SIDES[-1]}; the embedded networks are trained at 320x176 and 640x352"
        )
    return replace(size, height=height, width=width)


def _named(name: str) -> Size:
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
