"""Stand a scene on its floor, and give it a scale where the file knows none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lyra_sim.collider.floor import Floor, find_floor
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians
from lyra_sim.transform import Similarity, rotation_between


@dataclass(frozen=True)
class GroundReport:
    """Hold what was found out about the floor and the scale, and how sure that is."""

    tilt_degrees: float
    """Angle between the floor's normal and the up axis of the file."""
    height_m: float
    """Height of the floor in the file's frame, before it was moved to 0 [m]."""
    flatness_m: float
    """Median distance of the floor's points from the plane, after scaling [m]."""
    share: float
    """Share of the opaque Gaussians that lie on the floor."""
    scale: float
    """Factor applied to lengths."""
    scale_uncertainty: float | None
    """Relative standard error of the scale; None where it was not estimated."""


def opaque_points(gaussians: Gaussians, *, most: int = 200_000) -> np.ndarray:
    """Return the centres of up to `most` Gaussians that hide what is behind them, (N, 3)."""
    points = gaussians.means[gaussians.opacities > 0.3]
    points = points if len(points) >= 100 else gaussians.means
    return points[:: max(1, len(points) // most)]


def stand_on_floor(
    gaussians: Gaussians, *, camera_height: float | None = None
) -> tuple[Similarity, GroundReport | None]:
    """Return the map that levels the floor at z = 0, and what it is based on.

    Args:
        gaussians: Gaussians with z roughly up.
        camera_height: True height of the file's origin above the floor [m] where the first camera is the origin,
            as in Lyra's and many captured files; sets the scale.

    Returns:
        The map into the levelled frame and a report; the identity and None when there is no floor.

    Raises:
        LyraSimError: `camera_height` is given, but there is no floor below the origin to measure it from.
    """
    points = opaque_points(gaussians)
    # The file's unit is unknown, so the tolerance follows from the size of the scene.
    size = float(np.linalg.norm(np.subtract(*np.percentile(points, [95, 5], axis=0))))
    floor = find_floor(points, tolerance=0.006 * max(size, 1e-6))
    if floor is None:
        if camera_height is not None:
            raise LyraSimError("no floor found to measure the camera's height from; check --up-axis")
        return Similarity(), None
    scale, uncertainty = 1.0, None
    if camera_height is not None:
        if floor.height >= 0:
            raise LyraSimError("the floor does not lie below the first camera; check --up-axis")
        scale = camera_height / -floor.height
        uncertainty = _height_error(floor) / -floor.height
    rotation = rotation_between(floor.normal, np.array([0.0, 0.0, 1.0]))
    level = Similarity(rotation, np.array([0.0, 0.0, -floor.height * scale]), scale)
    report = GroundReport(
        tilt_degrees=float(np.degrees(np.arccos(np.clip(floor.normal[2], -1, 1)))),
        height_m=floor.height,
        flatness_m=floor.flatness * scale,
        share=floor.share,
        scale=scale,
        scale_uncertainty=uncertainty,
    )
    return level, report


def _height_error(floor: Floor) -> float:
    """Return the standard error of the plane's height; splats on a floor share errors, so few count as independent."""
    independent = 50.0
    return floor.flatness * 1.4826 / independent**0.5
