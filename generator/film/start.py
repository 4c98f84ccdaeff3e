"""Where a film of a scene starts: the camera that the scene was made from, as its provenance records it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from generator.cameras import Cameras
from lyra_sim.frusta import moved_since, rigid_pose


@dataclass(frozen=True)
class Start:
    """Hold the camera that a scene was made from, and how far cameras moved around it."""

    c2w: np.ndarray
    """Pose, OpenCV axes to world, (4, 4) float64."""
    horizontal_fov: float
    """Horizontal field of view [rad]."""
    travel: float
    """Largest distance of another input camera from this one [m]."""


def describe_start(paths: Sequence[Cameras]) -> dict[str, object]:
    """Return the provenance entry `camera` of a scene that was decoded from these paths, in the scene's frame."""
    first = paths[0]
    eye = first.c2w[0, :3, 3]
    travel = max(float(np.linalg.norm(path.c2w[:, :3, 3] - eye, axis=1).max()) for path in paths)
    return {
        "c2w": first.c2w[0].round(9).tolist(),
        "intrinsics_px": first.intrinsics[0].round(6).tolist(),
        "size_px": [first.width, first.height],
        "travel_m": round(travel, 6),
        # For viewers that draw where the cameras went: the middle and the end of each path.
        "path_c2w": [path.c2w[[len(path) // 2, -1]].round(6).tolist() for path in paths],
    }


def recorded_start(provenance: Mapping[str, object]) -> Start | None:
    """Return the start that a scene's provenance records; None without one, or if the scene was moved since."""
    entry = provenance.get("camera")
    if not isinstance(entry, Mapping) or moved_since(provenance):
        return None
    c2w = rigid_pose(entry.get("c2w"))
    try:
        focal, width = float(entry["intrinsics_px"][0]), float(entry["size_px"][0])
        travel = float(entry["travel_m"])
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    if c2w is None or not np.isfinite([focal, width, travel]).all():
        return None
    if focal <= 0 or width <= 0 or travel < 0:
        return None
    return Start(c2w, float(2 * np.arctan(width / 2 / focal)), travel)
