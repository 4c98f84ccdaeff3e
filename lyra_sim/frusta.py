"""Cameras that a scene was made from, as its provenance keeps them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

_MOVING_OPTIONS = ("up_axis", "camera_height")
"""Options of `convert`, beside `scale` and `level`, that move a scene away from its recorded cameras."""


@dataclass(frozen=True)
class Frustum:
    """Hold one pinhole camera, its principal point in the middle of the picture."""

    name: str
    """What people call it, such as the name of its picture."""
    c2w: np.ndarray
    """Camera-to-world pose, OpenCV axes, (4, 4) float64."""
    focal: tuple[float, float]
    """fx, fy [px]."""
    width: int
    """Width of the picture [px]."""
    height: int
    """Height of the picture [px]."""

    @property
    def vertical_fov(self) -> float:
        """Vertical field of view [rad]."""
        return 2 * math.atan(self.height / 2 / self.focal[1])


def from_provenance(provenance: Mapping[str, object]) -> tuple[Frustum, ...]:
    """Return the cameras of the entry `camera`, the first of all first; none if the scene was moved since.

    Files are foreign: what is no camera is left out.
    """
    entry = provenance.get("camera")
    if not isinstance(entry, Mapping) or moved_since(provenance):
        return ()
    try:
        fx, fy = (float(v) for v in entry["intrinsics_px"][:2])
        width, height = (int(v) for v in entry["size_px"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return ()
    if not all(math.isfinite(v) and v > 0 for v in (fx, fy, width, height)):
        return ()
    named = [("start", entry.get("c2w")), *_along(entry.get("path_c2w"))]
    poses = ((name, rigid_pose(matrix)) for name, matrix in named)
    return tuple(Frustum(name, pose, (fx, fy), width, height) for name, pose in poses if pose is not None)


def rigid_pose(matrix: object) -> np.ndarray | None:
    """Return a (4, 4) float64 array if `matrix` is a rotation with a translation, else None."""
    try:
        pose = np.array(matrix, np.float64)
    except (TypeError, ValueError):
        return None
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        return None
    rotation = pose[:3, :3]
    rigid = np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-3 and np.linalg.det(rotation) > 0
    return pose if rigid else None


def moved_since(provenance: Mapping[str, object]) -> bool:
    """Return whether a conversion may have moved the scene; an unreadable history counts as moved."""
    conversions = provenance.get("conversions")
    for step in conversions if isinstance(conversions, list) else []:
        options = step.get("options") if isinstance(step, Mapping) else None
        if not isinstance(options, Mapping):
            return True
        if options.get("level") or options.get("scale", 1.0) != 1.0:
            return True
        if any(options.get(name) is not None for name in _MOVING_OPTIONS):
            return True
    return False


def _along(paths: object) -> Iterator[tuple[str, object]]:
    for number, poses in enumerate(paths if isinstance(paths, list) else [], start=1):
        for step, pose in enumerate(poses if isinstance(poses, list) else [], start=1):
            yield f"path {number}, {step}", pose
