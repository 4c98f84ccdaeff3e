"""Stand the scene of one picture on its floor, with gravity taken from the floor or from the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from generator.cache.unproject import unproject
from generator.teachers.conditioning import Picture
from lyra_sim.collider.floor import Floor, find_floor
from lyra_sim.errors import LyraSimError
from lyra_sim.transform import rotation_between

LEVEL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Turns OpenCV axes of a level camera into a world with y ahead and z up."""
MAX_TILT = 40.0
"""Largest tilt [degrees] of the camera that a floor is believed at; robots' cameras look down a good deal."""
_TOLERANCE = 0.02
"""Distance from the floor within which points lie on it, over the median depth."""
_BELOW = 0.06
"""Depth under the floor, over the median depth, at which hardly a point that faces up may lie."""
_LEAST_SHARE = 0.02
"""Least share of the picture that must face up for a floor to be looked for."""
_LOWEST = 1.0
"""Percentile of height that counts as the floor where none is seen."""


@dataclass(frozen=True)
class Upright:
    """Hold where the picture's camera stands in the world, and how that was found out."""

    c2w: np.ndarray
    """Pose of the camera, OpenCV axes, to the world (Z up, floor at z = 0), in the depth's unit, (4, 4)."""
    scale: float
    """Factor on the picture's depth that the true camera height demands; 1 without it."""
    report: dict[str, object]
    """What was found, for the record (JSON types only); lengths after scaling."""
    message: str
    """The same in one sentence."""


def stand_up(picture: Picture, *, camera_height: float | None = None) -> Upright:
    """Find the floor in a picture with depth and stand the scene on it.

    Without a floor the camera is taken to be level, and the lowest points to be the ground.

    Args:
        picture: Picture with depth.
        camera_height: True height of the camera above the floor [m], which sets the scale.

    Raises:
        LyraSimError: `camera_height` is given and no floor is seen.
    """
    points = _points(picture)
    floor = _floor(points)
    if floor is None:
        return _level(points.reshape(-1, 3), camera_height)
    tilt = float(np.degrees(np.arccos(np.clip(floor.normal[2], -1, 1))))
    scale = 1.0 if camera_height is None else camera_height / -floor.height
    # Errors of depth are shared by neighbours, so the scatter is not divided by the number of points.
    height, error = -floor.height * scale, 1.4826 * floor.flatness * scale
    pose = np.eye(4)
    pose[:3, :3] = rotation_between(floor.normal, np.array([0.0, 0.0, 1.0])) @ LEVEL
    pose[2, 3] = height
    unit = "m" if picture.metric or camera_height is not None else "units"
    report: dict[str, object] = {
        "floor": "fitted",
        "camera_height": round(height, 4),
        "camera_height_error": round(error, 4),
        "camera_tilt_degrees": round(tilt, 2),
        "floor_share": round(floor.share, 4),
        "scale_from": "depth" if camera_height is None else "camera height",
        "scale": round(scale, 6),
    }
    message = (
        f"Floor found: the camera stands {height:.2f} {unit} above it, give or take {error:.2f} {unit} "
        f"for its unevenness, tilted by {tilt:.0f} degrees"
    )
    return Upright(pose, scale, report, message)


def _level(points: np.ndarray, camera_height: float | None) -> Upright:
    if camera_height is not None:
        raise LyraSimError(
            f"--height-of-camera {camera_height:g}: no floor is seen in the picture to measure from; leave it out"
        )
    lowest = float(np.percentile(points[:, 2], _LOWEST))
    pose = np.eye(4)
    pose[:3, :3] = LEVEL
    pose[2, 3] = -lowest
    report: dict[str, object] = {"floor": "assumed", "camera_height": round(-lowest, 4), "scale": 1.0}
    message = "No floor found: the camera is taken to be level, and the lowest points of the picture to be the ground"
    return Upright(pose, 1.0, report, message)


def _floor(points: np.ndarray) -> Floor | None:
    """Return the floor among the points (H, W, 3) of a level camera's world, below the camera; None without one.

    Only points whose surface faces up take part: the foot of a wall would tilt the plane.
    """
    flat = points.reshape(-1, 3)
    # A median depth of 1 makes every tolerance a share.
    unit = float(np.median(flat[:, 1]))
    facing = _normals(points)[..., 2].ravel() > np.cos(np.radians(MAX_TILT))
    candidates = flat[facing & (flat[:, 2] < 0)] / unit
    if len(candidates) < _LEAST_SHARE * len(flat):
        return None
    floor = find_floor(candidates, tolerance=_TOLERANCE, max_tilt=MAX_TILT)
    if (
        floor is None
        or floor.height >= 0
        or (candidates @ floor.normal < floor.height - _BELOW).mean() > 0.05
    ):
        return None
    return _refined(floor, candidates, len(flat), unit)


def _refined(floor: Floor, candidates: np.ndarray, total: int, unit: float) -> Floor:
    """Fit the plane again to the points about it, far ones counting less as their depth is less sure."""
    normal, height, reach = floor.normal, floor.height, _TOLERANCE
    for _ in range(6):
        near = candidates[np.abs(candidates @ normal - height) < reach]
        weights = 1 / near[:, 1] ** 2
        centre = weights @ near / weights.sum()
        _, vectors = np.linalg.eigh((weights[:, None] * (near - centre)).T @ (near - centre))
        normal = vectors[:, 0] * np.sign(vectors[2, 0])
        height = float(normal @ centre)
        scatter = 1.4826 * float(np.median(np.abs(near @ normal - height)))
        reach = float(np.clip(3 * scatter, 1e-3, _TOLERANCE))
    return Floor(normal, height * unit, scatter / 1.4826 * unit, len(near) / total)


def _normals(points: np.ndarray) -> np.ndarray:
    """Return unit normals of a map of points towards the camera at the origin, (H, W, 3); 0 along the border."""
    normals = np.zeros_like(points)
    across = points[2:-2, 4:] - points[2:-2, :-4]
    down = points[4:, 2:-2] - points[:-4, 2:-2]
    inner = np.cross(across, down)
    inner *= -np.sign((inner * points[2:-2, 2:-2]).sum(axis=-1, keepdims=True))
    normals[2:-2, 2:-2] = inner / np.maximum(np.linalg.norm(inner, axis=-1, keepdims=True), 1e-12)
    return normals


def _points(picture: Picture) -> np.ndarray:
    """Return the picture's points in the world of a level camera at the origin, (H, W, 3) float64."""
    depth = torch.from_numpy(picture.require_depth())
    points = unproject(depth, torch.from_numpy(picture.intrinsics).float())
    return points.numpy().astype(np.float64) @ LEVEL.T
