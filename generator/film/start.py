"""Where a film of a scene starts: the camera that the scene was made from, as its provenance records it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from generator.cameras import Cameras

_MOVING_OPTIONS = ("up_axis", "camera_height")
"""Options of `convert`, beside `scale` and `level`, that move a scene away from its recorded camera."""


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
    }


def recorded_start(provenance: Mapping[str, object]) -> Start | None:
    """Return the start that a scene's provenance records; None without one, or if the scene was moved since."""
    entry = provenance.get("camera")
    if not isinstance(entry, Mapping) or _was_moved(provenance.get("conversions")):
        return None
    try:
        c2w = np.array(entry["c2w"], np.float64)
        focal, width = float(entry["intrinsics_px"][0]), float(entry["size_px"][0])
        travel = float(entry["travel_m"])
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    numbers = np.array([focal, width, travel])
    if c2w.shape != (4, 4) or not np.isfinite(c2w).all() or not np.isfinite(numbers).all():
        return None
    rotation = c2w[:3, :3]
    rigid = np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-3 and np.linalg.det(rotation) > 0
    if not rigid or focal <= 0 or width <= 0 or travel < 0:
        return None
    return Start(c2w, float(2 * np.arctan(width / 2 / focal)), travel)


def _was_moved(conversions: object) -> bool:
    """Return whether a conversion since may have moved the scene; an unreadable history counts as moved."""
    for step in conversions if isinstance(conversions, list) else []:
        options = step.get("options") if isinstance(step, Mapping) else None
        if not isinstance(options, Mapping):
            return True
        if options.get("level") or options.get("scale", 1.0) != 1.0:
            return True
        if any(options.get(name) is not None for name in _MOVING_OPTIONS):
            return True
    return False
