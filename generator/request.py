"""What to generate, and what the stages of one run share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from generator.clock import StageClock
from generator.image_settings import ImageSettings
from generator.networks import Networks
from generator.trajectories import SDG_TRAJECTORIES
from lyra_sim.progress import Progress
from lyra_sim.usd.layout import Target

Fit = Literal["crop", "squeeze"]


@dataclass(frozen=True)
class Request:
    """Say what to generate and which files to leave."""

    prompt: str
    """What to make; may be empty when there is a picture."""
    out: Path
    """The scene, *.usdz."""
    seed: int = 0
    """Same input and seed, same scene."""
    size: str = "auto"
    """`mini`, `full` or `auto`."""
    resolution: tuple[int, int] | None = None
    """Height and width of the frames [px]; None takes those of the size."""
    strict: bool = False
    """Whether a prompt that names no known kind of place is an error."""
    target: Target = "isaac-6"
    """Form of the splats in the scene."""
    trajectories: tuple[str, ...] = tuple(path.name for path in SDG_TRAJECTORIES)
    """Camera paths to film, by name."""
    labels: bool = True
    """Whether the proxy carries class labels, where the teacher knows them."""
    proxy: bool = True
    """Whether there is a matte proxy mesh."""
    keep: Path | None = None
    """Folder for pictures, depth, cameras and report."""
    ply: Path | None = None
    """Where to write the Gaussians as PLY too."""
    preview: bool = True
    """Whether to write a picture beside the scene."""
    collider: str = "fused"
    """`fused`, `world` or `none`."""
    collider_faces: int = 50_000
    """Most faces of a fused collider."""
    collider_approximation: str = "none"
    """Token of `physics:approximation`, or `pieces` for convex pieces."""
    image: Path | None = None
    """Picture to start from."""
    depth: Path | None = None
    """Depth of that picture."""
    depth_unit: str | None = None
    """`mm` or `m`; None takes what is usual for the kind of file."""
    intrinsics: str | None = None
    """Lens of that picture: `fx,fy,cx,cy`, or the path of a JSON or YAML file."""
    fit: Fit = "crop"
    """How the picture is brought to the shape of the frames."""
    estimator: str | None = None
    """Depth estimator for a picture without depth; None takes that of the size."""
    teacher: str | None = None
    """Name of the teacher; None takes the one for this start and size."""
    movement: float = 1.0
    """Factor on the movement distance of every camera path."""
    cameras: Path | None = None
    """Own camera path, in place of `trajectories`."""
    refine: int = 0
    """Steps of optimisation against the teacher's frames after decoding; 0 for none."""
    camera_height: float | None = None
    """True height of the picture's camera above the floor [m]; sets the scale."""
    picture_settings: ImageSettings = field(default_factory=ImageSettings)
    """How a prompt is put to a text-to-image model."""
    picture_model: str | None = None
    """Text-to-image model; None takes that of the size."""
    video: Path | None = None
    """Video to start from, in place of a picture."""
    depth_video: Path | None = None
    """Depth of its frames."""
    video_cameras: Path | None = None
    """Its poses; without them its camera must stand still."""
    video_span: tuple[int, int] | None = None
    """First and last frame of it to take; None takes all."""
    times: tuple[float, ...] = ()
    """Frames of the video to make scenes of, for decoders of scenes that move; for others one to take alone."""
    chunks: int = 1
    """Clips per camera path, each going on where the one before it ends."""


@dataclass
class Run:
    """Hold what the stages hand to one another."""

    request: Request
    progress: Progress
    networks: Networks = field(default_factory=Networks)
    clock: StageClock = field(default_factory=StageClock)
    report: dict[str, Any] = field(default_factory=dict)
