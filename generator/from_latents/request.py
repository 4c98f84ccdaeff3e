"""What to decode, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from generator.decoder.model import HeadPrecision
from generator.prepare import RayChoice
from lyra_sim.usd.layout import Target


@dataclass(frozen=True)
class DecodeRequest:
    """Say which latents to decode with which weights, and which files to leave."""

    folder: Path
    """Folder of the views: `<view>/{latent,pose,intrinsics}/<scene>`."""
    out: Path
    """The scene, *.usdz."""
    scene: str | None = None
    """Stem that the scene's files share; None where the folder holds one scene only."""
    views: tuple[str, ...] | None = None
    """Views in the decoder's order; None takes the six of the published demos."""
    size: str = "auto"
    """`mini`, `full`, or `auto`: the weights whose tokenizer made the latents."""
    weights: str | None = None
    """Entry of the weights, or a folder that `save_pretrained` wrote, in place of those of the size."""
    times: tuple[float, ...] = ()
    """Target times [frames], for dynamic weights."""
    rays: RayChoice = "auto"
    """Precision of the rays."""
    head: HeadPrecision = "float32"
    """Precision of the Gaussians' arithmetic."""
    memory_limit: float | None = None
    """Most memory of the process, or of the GPU, while decoding [GB]; None takes what is free."""
    target: Target = "isaac-6"
    """Form of the splats in the scene."""
    collider: bool = True
    """Whether the scene gets a collision mesh."""
    ply: Path | None = None
    """Where to write the Gaussians as PLY too."""
    preview: bool = True
    """Whether to write a picture beside the scene."""
    up_axis: str = "auto"
    """Axis of the poses' frame that points up (`z`, `-y`, ...), or `auto`."""
    level: bool = False
    """Whether to put the floor at z = 0 even where the poses' frame has z up."""
    camera_height: float | None = None
    """True height of the first camera above the floor [m]; makes the scene metric."""
    dry_run: bool = False
    """Whether to stop after reading, checking and estimating."""
