"""Find where a film of a scene starts, whether its file says so or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.film.obstacles import Obstacles
from generator.film.paths import CLEARANCE, Stage
from generator.film.start import Start, recorded_start
from generator.render import render_views
from lyra_sim.collider.floor import find_floor
from lyra_sim.collider.viewpoints import choose_views
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians
from lyra_sim.ground import opaque_points
from lyra_sim.scene import Scene
from lyra_sim.transform import AXES, Similarity, rotation_between

PROBE_HEIGHT, PROBE_WIDTH = 36, 64
"""Size of the pictures that rate a camera [px]."""
DEFAULT_FOV = float(np.radians(65.0))
"""Horizontal field of view where the scene records no camera [rad]."""
FILLED = 0.9
"""Opacity from which a pixel counts as filled by the scene."""
CENTER_SHARE, CENTER_RANGE = 0.35, (1.0, 2.5)
"""Distance of the point that cameras face over the median depth at the start, and its bounds in metres."""
ORIGIN_FILLED = 0.85
"""Share of the picture that the scene must fill from its origin for a camera to have stood there."""
NEARLY_ALL = 0.9
"""Share of the best candidate's filled part of the picture from which another is as good."""
NEARNESS = 0.1
"""Clearance of a path over the median depth at the start, where that is less than CLEARANCE."""


@dataclass(frozen=True)
class Opening:
    """Hold where a film starts and how that was found."""

    stage: Stage
    horizontal_fov: float
    """[rad]"""
    reason: str
    """Why the film starts there, for people."""


def find_opening(scene: Scene, *, up: str | None) -> Opening:
    """Return where to start: the recorded camera, else the origin of a captured file, else the best free place.

    Args:
        scene: The scene, in the frame of its file.
        up: Axis that points up, such as `z` or `-y`; None where the file does not say.

    Raises:
        LyraSimError: `up` is no axis.
    """
    if up is not None and up not in AXES:
        raise LyraSimError(f"--up {up}: is no axis; known are {', '.join(AXES)}")
    gaussians, obstacles = scene.gaussians, Obstacles(scene)
    start = recorded_start(scene.provenance)
    if start is not None and obstacles.clearance(start.c2w[None, :3, 3])[0] > CLEARANCE:
        return _open(gaussians, obstacles, start, up or "z", "the camera that the scene was made from")
    if up is None and _is_captured_from_origin(gaussians):
        origin = Start(np.eye(4), DEFAULT_FOV, 0.0)
        return _open(gaussians, obstacles, origin, "-y", "the file's origin, where its first camera stood")
    place = Start(_best_place(gaussians, up or "z"), DEFAULT_FOV, 0.0)
    return _open(gaussians, obstacles, place, up or "z", "the free place that shows most of the scene")


def _open(gaussians: Gaussians, obstacles: Obstacles, start: Start, up: str, reason: str) -> Opening:
    focal = PROBE_WIDTH / 2 / np.tan(start.horizontal_fov / 2)
    intrinsics = np.array([focal, focal, PROBE_WIDTH / 2, PROBE_HEIGHT / 2])

    def coverage(poses: np.ndarray) -> np.ndarray:
        return _look(gaussians, poses, intrinsics)[0]

    depth = float(_look(gaussians, start.c2w[None], intrinsics)[1][0])
    if start.travel > 0:
        # The scene was filmed this far around its camera, about a point at this distance.
        target, reach = float(np.clip(CENTER_SHARE * depth, *CENTER_RANGE)), start.travel
    else:
        target, reach = 0.5 * depth, 0.5 * depth
    clearance = min(CLEARANCE, NEARNESS * depth)
    stage = Stage(start.c2w, target, reach, AXES[up], clearance, obstacles, coverage)
    return Opening(stage, start.horizontal_fov, reason)


def _look(gaussians: Gaussians, poses: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of filled pixels and their median depth [m] (1 where none is) of small pictures, (P,) each."""
    tiled = np.tile(intrinsics, (len(poses), 1))
    views = render_views(gaussians, poses, tiled, height=PROBE_HEIGHT, width=PROBE_WIDTH)
    filled, depths = views.alpha.numpy() > FILLED, views.median_depth.numpy()
    medians = [float(np.median(d[f])) if f.any() else 1.0 for d, f in zip(depths, filled, strict=True)]
    return filled.mean(axis=(1, 2)), np.array(medians)


def _is_captured_from_origin(gaussians: Gaussians) -> bool:
    """Return whether a file keeps the frame of its first camera, as Lyra's do: y down, looking along z."""
    points = opaque_points(gaussians)
    size = float(np.linalg.norm(np.subtract(*np.percentile(points, [95, 5], axis=0))))
    floors = {
        axis: find_floor(points, up=AXES[axis], tolerance=0.006 * max(size, 1e-6)) for axis in ("z", "-y")
    }
    upright, captured = floors["z"], floors["-y"]
    if upright is not None and (captured is None or captured.share <= upright.share):
        return False
    focal = PROBE_WIDTH / 2 / np.tan(DEFAULT_FOV / 2)
    share, _ = _look(gaussians, np.eye(4)[None], np.array([focal, focal, PROBE_WIDTH / 2, PROBE_HEIGHT / 2]))
    return float(share[0]) >= ORIGIN_FILLED


def _best_place(gaussians: Gaussians, up: str) -> np.ndarray:
    """Return the pose, of those that a collider would be made from, whose picture shows most."""
    move = Similarity(rotation_between(AXES[up], AXES["z"]))
    poses, intrinsics = choose_views(move.gaussians(gaussians), height=PROBE_HEIGHT, width=PROBE_WIDTH)
    poses[:, :3] = move.inverse.rotation @ poses[:, :3]
    # Cameras that look down steeply are for a collider's floor, not for a film.
    level = np.abs(poses[:, :3, 2] @ AXES[up]) < 0.5
    poses, intrinsics = (poses[level], intrinsics[level]) if level.any() else (poses, intrinsics)
    share, depth = _look(gaussians, poses, intrinsics[0])
    # A camera with its nose at a wall sees no background either, so the farthest sight of the filled ones counts.
    return poses[int(np.argmax(np.where(share >= NEARLY_ALL * share.max(), depth, 0.0)))]
