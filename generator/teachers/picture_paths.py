"""Camera paths around a picture: as long as its depth allows, in the frame of its camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from generator.cameras import Cameras, invert_rigid
from generator.teachers.conditioning import Picture
from lyra_sim.errors import LyraSimError

CENTER_SHARE = 0.35
"""Centre depth of the paths over the median depth of the picture."""
NEAR_SHARE = 0.8
"""Longest movement towards the picture, over the near depth (its 2nd percentile)."""


class CameraPath(Protocol):
    """What a teacher needs to know of a path; `Trajectory` is one, `GivenPath` the other."""

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
    """Movement in units of the centre depth; 0 for a path that was given."""


def center_depth(picture: Picture) -> float:
    """Return the depth that the paths turn around, in the unit of the picture's depth: a share of its median."""
    depth = picture.require_depth()
    return CENTER_SHARE * float(np.median(depth))


def plan_paths(
    picture: Picture, trajectories: tuple[CameraPath, ...], *, frames: int, movement: float, seed: int
) -> tuple[PlannedPath, ...]:
    """Choose each path's movement distance and return its cameras.

    Args:
        picture: Picture with depth.
        trajectories: Paths in the decoder's order.
        frames: Frames per path.
        movement: Factor on the movement distances.
        seed: Draws the distance of each path within its range.

    Raises:
        LyraSimError: The picture has no depth, or `movement` is not positive.
    """
    if not 0 < movement < np.inf:
        raise LyraSimError(f"--movement {movement}: must be positive")
    center = center_depth(picture)
    near = float(np.percentile(picture.require_depth(), 2))
    rng = np.random.default_rng(seed)
    planned = []
    for path in trajectories:
        distance = movement * float(rng.uniform(path.min_distance, path.max_distance))
        if path.name == "zoom_in":
            distance = min(distance, NEAR_SHARE * near / center)
        c2w = invert_rigid(path.w2c(frames=frames, distance=distance, center_depth=center))
        c2w[0] = np.eye(4)
        intrinsics = np.tile(np.asarray(picture.intrinsics, np.float64), (frames, 1))
        planned.append(
            PlannedPath(path.name, Cameras(c2w, intrinsics, picture.height, picture.width), distance)
        )
    return tuple(planned)
