"""Measure a finished scene from its file, and judge it by the limits of the spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lyra_sim.collider.occupancy import OccupancyGrid, Robot, occupancy_grid, reachable_area, spawn_poses
from lyra_sim.scene import TriangleMesh


@dataclass(frozen=True)
class Measured:
    """Hold what was found in a scene file."""

    metrics: dict[str, float | int | None]
    """By the names of `METRICS`; None for what this scene does not have."""
    collider: TriangleMesh | None
    """Its collision mesh."""
    grid: OccupancyGrid | None
    """Its map; None without a collider."""
    spawn_points: list[dict[str, float]]
    """Collision-free poses: x, y, z [m], yaw [rad] in the world frame."""
    bounds: list[list[float]]
    """Least and greatest corner of the Gaussians' centres [m]."""
    provenance: dict[str, Any]
    """Where the scene came from."""


METRICS = {
    "gaussians": "Gaussians",
    "megabytes": "size [MB]",
    "psnr_db": "PSNR at held-out cameras [dB]",
    "ssim": "SSIM at held-out cameras",
    "relative_depth_error": "median relative depth error there",
    "collider_faces": "faces of the collider",
    "collider_gap_cm": "median distance between collider and splats [cm]",
    "collider_p95_cm": "95th percentile of that distance [cm]",
    "floor_flatness_cm": "median distance of floor splats from their plane [cm]",
    "free_floor_m2": "free floor in one piece for the robot [m2]",
    "spawn_points": "collision-free poses",
}
"""What is measured, with its unit."""

_LIMITS = {
    "min_psnr_db": ("psnr_db", False),
    "max_collider_gap_cm": ("collider_gap_cm", True),
    "max_floor_flatness_cm": ("floor_flatness_cm", True),
    "min_free_floor_m2": ("free_floor_m2", False),
    "min_spawn_points": ("spawn_points", False),
    "min_gaussians": ("gaussians", False),
    "max_gaussians": ("gaussians", True),
    "max_megabytes": ("megabytes", True),
}
"""Limit to (metric, whether more is worse)."""

_ONLY_WHERE_GIVEN = {"psnr_db"}
"""Metrics that some teachers cannot give; a limit says nothing about their scenes."""


def measure(path: Path, report: Mapping[str, Any], maps: Mapping[str, Any], *, seed: int) -> Measured:
    """Read a scene back from its file, map its collider, and collect the figures of its report.

    Raises:
        LyraSimError: The file cannot be read, or its map would be too large.
    """
    from lyra_sim.usd.reader import read_usd

    scene = read_usd(path)
    means = scene.gaussians.means
    robot = Robot(**maps["robot"])
    grid, poses = None, np.zeros((0, 3))
    if scene.collider is not None:
        grid = occupancy_grid(scene.collider, robot, seen=means, resolution=maps["resolution"])
        poses = spawn_poses(grid, robot, count=maps["spawn_points"], seed=seed)
    quality, collider = report.get("metrics") or {}, report.get("collider") or {}
    metrics = {
        "gaussians": len(means),
        "megabytes": round(path.stat().st_size / 1e6, 3),
        "psnr_db": quality.get("psnr_db"),
        "ssim": quality.get("ssim"),
        "relative_depth_error": quality.get("relative_depth_error"),
        "collider_faces": len(scene.collider.faces) if scene.collider is not None else None,
        "collider_gap_cm": _rounded(collider.get("median_cm")),
        "collider_p95_cm": _rounded(collider.get("p95_cm")),
        "floor_flatness_cm": _rounded(collider.get("floor_flatness_cm")),
        "free_floor_m2": round(reachable_area(grid, robot), 3) if grid is not None else None,
        "spawn_points": len(poses) if grid is not None else None,
    }
    spawn = [{"x": x, "y": y, "z": 0.0, "yaw": yaw} for x, y, yaw in np.round(poses, 4).tolist()]
    low, high = means.min(axis=0), means.max(axis=0)
    bounds = [[round(v, 4) for v in corner.tolist()] for corner in (low, high)]
    return Measured(metrics, scene.collider, grid, spawn, bounds, dict(scene.provenance))


def reasons_to_reject(metrics: Mapping[str, float | int | None], quality: Mapping[str, Any]) -> list[str]:
    """Return one reason for every limit that a scene misses; none when it is good."""
    reasons = []
    for limit, (metric, more_is_worse) in _LIMITS.items():
        bound, value = quality.get(limit), metrics.get(metric)
        if bound is None or (value is None and metric in _ONLY_WHERE_GIVEN):
            continue
        if value is None:
            reasons.append(f"no {METRICS[metric]} to hold against {limit} {bound:g}")
        elif (value > bound) if more_is_worse else (value < bound):
            reasons.append(f"{METRICS[metric]} is {value:g}, {limit} {bound:g}")
    return reasons


def _rounded(value: Any) -> float | None:
    # NaN stands for "not measured" in reports, and is no JSON.
    return round(float(value), 4) if value is not None and np.isfinite(value) else None
