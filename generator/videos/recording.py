"""The frames that are taken of a video, with what is known of their depth and cameras."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from generator.cameras import Cameras
from generator.teachers.conditioning import Footage, Picture
from generator.teachers.teacher import Clip
from lyra_sim.errors import LyraSimError


@dataclass(frozen=True)
class Recording:
    """Hold T frames of a video at the resolution of a size."""

    rgb: np.ndarray
    """sRGB, (T, H, W, 3) uint8."""
    picked: np.ndarray
    """Their numbers in the file, rising, (T,) int."""
    intrinsics: np.ndarray
    """fx, fy, cx, cy [px], pixel centres at +0.5, (T, 4)."""
    c2w: np.ndarray | None
    """Poses, OpenCV axes, in the unit of the depth, (T, 4, 4); None where nothing tells them."""
    depth: np.ndarray | None
    """z-depth, (T, H, W) float32, 0 where unknown; None before it is estimated."""
    source: dict[str, object]
    """Provenance (JSON types only)."""
    metric: bool = False
    """Whether depth and poses are in metres."""
    frames_per_second: float = 24.0
    """Frame rate of the file [1/s]."""

    def __len__(self) -> int:
        return len(self.rgb)

    @property
    def stands_still(self) -> bool:
        """Whether the camera has one pose in all frames, known or not."""
        return self.c2w is None or bool(np.abs(self.c2w - self.c2w[0]).max() < 1e-6)

    @property
    def cameras(self) -> Cameras:
        """The cameras in the frame of the first; without poses they all stand there."""
        c2w = np.tile(np.eye(4), (len(self), 1, 1)) if self.c2w is None else self.c2w
        return Cameras(c2w, self.intrinsics, *self.rgb.shape[1:3]).relative_to_first()

    def frame(self, index: int, **source: object) -> Picture:
        """Return one frame as a picture, without its depth."""
        about = {**self.source, **source}
        return Picture(self.rgb[index], None, self.intrinsics[index], about, metric=self.metric)

    def with_depth(self, depth: np.ndarray, *, metric: bool, **source: object) -> Recording:
        """Return the recording with depth (T, H, W), 0 where unknown, and additions to its provenance."""
        return replace(self, depth=depth.astype(np.float32), metric=metric, source={**self.source, **source})

    def require_depth(self) -> np.ndarray:
        """Return the depth (T, H, W); raises LyraSimError when there is none."""
        if self.depth is None:
            raise LyraSimError("this video has no depth yet; estimate it first")
        return self.depth

    def footage(self, first: Picture, *, moving: bool) -> Footage:
        """Return what a teacher films around; `first` is the first frame with dense depth."""
        depth = self.require_depth().copy()
        depth[0] = first.require_depth()
        video = Clip("video", self.cameras, self.rgb, depth)
        return Footage(
            first.rgb,
            first.depth,
            first.intrinsics,
            first.source,
            metric=first.metric,
            prompt=first.prompt,
            video=video,
            numbers=self.picked,
            frames_per_second=self.frames_per_second,
            moving=moving,
        )
