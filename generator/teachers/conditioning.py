"""What a teacher of views starts from: a picture with depth and lens, or a video of such pictures with poses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from generator.cameras import Cameras
from generator.teachers.teacher import Clip
from lyra_sim.errors import LyraSimError


@dataclass(frozen=True)
class Picture:
    """Hold a conditioning picture at the resolution of a size; its camera is frame 0 of every clip."""

    rgb: np.ndarray
    """Display-referred sRGB, (H, W, 3) uint8."""
    depth: np.ndarray | None
    """Dense z-depth, (H, W) float32, positive everywhere. None before it is estimated.

    Files and estimators give metres, where `metric`; teachers are handed the depth in the decoder's unit.
    """
    intrinsics: np.ndarray
    """fx, fy, cx, cy [px], pixel centres at +0.5, (4,) float64."""
    source: dict[str, object] = field(default_factory=dict)
    """Provenance: file hash, sizes, where depth and intrinsics are from (JSON types only)."""
    metric: bool = True
    """Whether the depth is known in metres; else only up to one factor."""
    prompt: str = ""
    """What the picture shows, in words, for teachers that read."""

    @property
    def height(self) -> int:
        """Rows of the picture [px]."""
        return self.rgb.shape[0]

    @property
    def width(self) -> int:
        """Columns of the picture [px]."""
        return self.rgb.shape[1]

    @property
    def camera(self) -> Cameras:
        """The one camera of the picture, at the origin of its own OpenCV frame."""
        return Cameras(np.eye(4)[None], np.array(self.intrinsics, np.float64)[None], self.height, self.width)

    def with_depth(self, depth: np.ndarray, *, metric: bool, **source: object) -> Picture:
        """Return the picture with another dense z-depth (H, W), and additions to its provenance.

        Raises:
            LyraSimError: The depth has another shape, or is not finite and positive everywhere.
        """
        if depth.shape != self.rgb.shape[:2]:
            raise LyraSimError(
                f"depth is {depth.shape[1]}x{depth.shape[0]} px, the picture {self.width}x{self.height}"
            )
        if not (np.isfinite(depth).all() and (depth > 0).all()):
            raise LyraSimError("the depth of a conditioning picture must be finite and positive everywhere")
        return replace(self, depth=depth.astype(np.float32), metric=metric, source={**self.source, **source})

    def scaled(self, factor: float) -> Picture:
        """Return the picture with its depth multiplied by `factor`."""
        return replace(self, depth=(self.require_depth() * factor).astype(np.float32))

    def require_depth(self) -> np.ndarray:
        """Return the depth (H, W); raises LyraSimError when there is none."""
        if self.depth is None:
            raise LyraSimError("this picture has no depth yet; estimate it first")
        return self.depth


@dataclass(frozen=True, kw_only=True)
class Footage(Picture):
    """Hold a video with depth and poses, a frame for each frame of the camera paths; its first frame is the picture.

    Where things move, all paths are laid around the video's own cameras, as GEN3C does it: frame t of every clip is
    near frame t of the video. Where nothing moves, some are (`picture_paths.FOLLOWING`).
    """

    video: Clip
    """The frames, in the frame of the first camera and the unit of the depth, which is 0 where unknown."""
    numbers: np.ndarray
    """Numbers of the frames in their file, rising, (T,)."""
    frames_per_second: float
    """Frame rate of the file [1/s]."""
    moving: bool = False
    """Whether things move, so that a frame shows what there is at its own time alone."""

    def clip_time(self, number: float) -> float:
        """Return the frame of a clip that shows a frame of the file; raises LyraSimError outside of what was taken."""
        first, last = int(self.numbers[0]), int(self.numbers[-1])
        if not first <= number <= last:
            raise LyraSimError(f"--time {number:g}: of the video, frames {first} to {last} are taken")
        return float(np.interp(number, self.numbers, np.arange(len(self.numbers))))

    def scaled(self, factor: float) -> Footage:
        """Return the video with depth and poses multiplied by `factor`."""
        scaled = replace(self, video=self.video.scaled(factor))
        return replace(scaled, depth=(self.require_depth() * factor).astype(np.float32))
