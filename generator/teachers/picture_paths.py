"""Camera paths around a picture: as long as its depth allows, in the frame of its camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from generator.cameras import Cameras, invert_rigid
from generator.teachers.conditioning import Footage, Picture
from lyra_sim.errors import LyraSimError

CENTER_SHARE = 0.35
"""Centre depth of the paths over the median depth of the picture."""
WIDE_SLOPE = 0.65
"""Half the picture's width over its focal length (66 degrees across) below which movements shrink in proportion:
what is a step aside for a wide lens takes a long one off its subject."""
NEAR_SHARE = 0.8
"""Longest movement towards the picture, over the near depth (its 2nd percentile)."""

FOLLOWING: tuple[str, ...] = ("right", "up", "zoom_in")
"""Paths that go along with a video in which nothing moves; the others stay around its first frame. Following with all
leaves holes where the video began, and with none where it went (`benchmarks/video.py`)."""


class CameraPath(Protocol):
    """What a teacher needs to know of a path; `Trajectory` is one, `generator.own_path.OwnPath` the other."""

    @property
    def name(self) -> str:
        """Name of the path, and of its clip."""
        ...

    @property
    def min_distance(self) -> float:
        """Shortest movement, in units of the centre depth."""
        ...

    @property
    def max_distance(self) -> float:
        """Longest movement, in units of the centre depth."""
        ...

    def w2c(self, *, frames: int, distance: float, center_depth: float = 1.0) -> np.ndarray:
        """Return world-to-camera poses, (frames, 4, 4); the first is the identity."""
        ...


@dataclass(frozen=True)
class PlannedPath:
    """Hold one path with its cameras."""

    name: str
    cameras: Cameras
    """Cameras in the OpenCV frame of the picture's camera, which is the first of them."""
    distance: float
    """Movement in units of the centre depth; the movement factor itself for a path of one's own."""


def plan_paths(
    picture: Picture,
    trajectories: tuple[CameraPath, ...],
    *,
    frames: int,
    movement: float,
    seed: int,
    center_share: float = CENTER_SHARE,
) -> tuple[PlannedPath, ...]:
    """Choose each path's movement distance and return its cameras.

    Args:
        picture: Picture with depth.
        trajectories: Paths in the decoder's order.
        frames: Frames per path.
        movement: Factor on the movement distances.
        seed: Draws the distance of each path within its range.
        center_share: Depth that the paths turn around, over the picture's median depth (`Size.center_share`).

    Raises:
        LyraSimError: The picture has no depth, or `movement` is not positive.
    """
    if not 0 < movement < np.inf:
        raise LyraSimError(f"--movement {movement}: must be positive")
    center = center_share * float(np.median(picture.require_depth()))
    near = float(np.percentile(picture.require_depth(), 2))
    if isinstance(picture, Footage):
        near = min(near, float(np.percentile(picture.video.depth[picture.video.depth > 0], 2)))
    narrow = min(1.0, picture.width / 2 / float(picture.intrinsics[0]) / WIDE_SLOPE)
    rng = np.random.default_rng(seed)
    planned = []
    for path in trajectories:
        distance = movement * float(rng.uniform(path.min_distance, path.max_distance))
        if path.min_distance < path.max_distance:
            distance *= narrow
        if path.name == "zoom_in":
            distance = min(distance, NEAR_SHARE * near / center)
        moves = path.w2c(frames=frames, distance=distance, center_depth=center)
        planned.append(PlannedPath(path.name, _cameras(picture, moves, path.name), distance))
    return tuple(planned)


def _cameras(picture: Picture, moves: np.ndarray, name: str) -> Cameras:
    """Return the cameras of a path (F, 4, 4) world to camera, laid around those of a video that it follows.

    Raises:
        LyraSimError: A video has another number of frames.
    """
    base = picture.camera.select(np.zeros(len(moves), int))
    if isinstance(picture, Footage) and (picture.moving or name in FOLLOWING):
        base = picture.video.cameras
        if len(base) != len(moves):
            raise LyraSimError(f"the video has {len(base)} frames, the camera paths {len(moves)}")
    c2w = invert_rigid(moves @ base.w2c)
    # Two inversions leave rounding in the pose that all paths share.
    c2w[0] = np.eye(4)
    return Cameras(c2w, base.intrinsics, picture.height, picture.width)
