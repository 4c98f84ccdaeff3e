"""Cameras of pictures, as a scene remembers them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frustum:
    """Hold one pinhole camera, its principal point in the middle of the picture."""

    name: str
    """Such as `left 16`: the path and the frame on it."""
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
        """Vertical field of view [radians]."""
        return 2 * math.atan(self.height / 2 / self.focal[1])


def to_record(frusta: Sequence[Frustum]) -> dict[str, object]:
    """Return what a scene's provenance keeps under `cameras` (JSON types only)."""
    return {
        "axes": "OpenCV: x right, y down, z forward; camera to world, metres",
        "frames": [
            {
                "name": f.name,
                "c2w": np.round(f.c2w, 6).tolist(),
                "focal_px": [round(float(v), 4) for v in f.focal],
                "size_px": [f.width, f.height],
            }
            for f in frusta
        ],
    }


def from_provenance(provenance: Mapping[str, object]) -> tuple[Frustum, ...]:
    """Return the cameras that a scene's provenance keeps; what is no camera is left out, since files are foreign."""
    record = provenance.get("cameras")
    frames = record.get("frames") if isinstance(record, Mapping) else None
    found = (_frustum(frame) for frame in frames) if isinstance(frames, list) else ()
    return tuple(f for f in found if f is not None)


def _frustum(frame: object) -> Frustum | None:
    if not isinstance(frame, Mapping):
        return None
    try:
        c2w = np.asarray(frame["c2w"], np.float64)
        fx, fy = (float(v) for v in frame["focal_px"])
        width, height = (int(v) for v in frame["size_px"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    usable = c2w.shape == (4, 4) and np.isfinite(c2w).all() and abs(np.linalg.det(c2w[:3, :3]) - 1) < 1e-2
    if not usable or not all(math.isfinite(v) and v > 0 for v in (fx, fy, width, height)):
        return None
    return Frustum(str(frame.get("name", ""))[:60], c2w, (fx, fy), width, height)
