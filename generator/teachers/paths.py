"""Where the procedural teacher puts its cameras: clear of surfaces, and held-out ones between the paths."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from generator.cameras import invert_rigid, relative_to_first
from generator.teachers.quads import QuadScene
from generator.trajectories import Trajectory
from lyra_sim.errors import LyraSimError

CLEARANCE = 0.2
"""Least distance between a camera and any surface [m]."""
APART = 0.01
"""Least distance between a held-out and an input camera, in units of the centre depth."""


@dataclass(frozen=True)
class Path:
    """Hold the poses of one trajectory in a world."""

    name: str
    """Name of the trajectory."""
    wanted: float
    """Movement that was drawn, in units of the centre depth."""
    distance: float
    """Movement after shortening for clearance, in units of the centre depth."""
    c2w: np.ndarray
    """Camera-to-world poses; the first is the start pose, (T, 4, 4)."""


def clear_path(
    trajectory: Trajectory,
    start: np.ndarray,
    scene: QuadScene,
    *,
    frames: int,
    distance: float,
    center_depth: float,
) -> Path:
    """Lay a trajectory, shortened until every camera keeps its clearance from all surfaces.

    Args:
        trajectory: The path to lay.
        start: Camera-to-world pose of frame 0, (4, 4).
        scene: The surfaces to keep clear of.
        frames: Number of poses.
        distance: Movement in units of `center_depth`.
        center_depth: Depth of the point that the path is centred on [m].

    Raises:
        LyraSimError: The start pose itself is too close to a surface.
    """
    allowed = distance
    for _ in range(60):
        w2c = trajectory.w2c(
            frames=frames, distance=allowed, center_depth=center_depth, start_w2c=invert_rigid(start)
        )
        c2w = invert_rigid(w2c)
        # Two inversions leave rounding in the pose that all paths share.
        c2w[0] = start
        if is_clear(scene, c2w[:, :3, 3]):
            return Path(trajectory.name, distance, allowed, c2w)
        allowed *= 0.9
    raise LyraSimError(
        f"the conditioning camera stands within {CLEARANCE} m of a surface, so the path {trajectory.name!r} has no"
        " room; move the camera"
    )


def is_clear(scene: QuadScene, positions: np.ndarray) -> bool:
    """Return whether all positions (N, 3) keep the clearance and see the first of them."""
    if scene.distance(positions).min() < CLEARANCE:
        return False
    origins = np.ascontiguousarray(positions, np.float32)
    return not scene.blocked(origins, origins[0] - origins, reach=1.0).any()


def held_out_poses(
    paths: list[Path], scene: QuadScene, rng: np.random.Generator, *, count: int, center_depth: float
) -> np.ndarray:
    """Draw poses midway between late frames of two different paths, facing what the paths face.

    Args:
        paths: The input paths; all start from the same pose.
        scene: Surfaces to keep clear of.
        rng: Chooses the frames.
        count: Number of poses.
        center_depth: Depth of the point that the paths are centred on [m].

    Returns:
        Camera-to-world poses, none of them near an input camera, (count, 4, 4).

    Raises:
        LyraSimError: The paths leave no room between them.
    """
    start = paths[0].c2w[0]
    tracks = [relative_to_first(path.c2w)[:, :3, 3] for path in paths]
    taken = np.concatenate(tracks)
    late = [_farthest_half(track) for track in tracks]
    pairs = list(combinations(range(len(paths)), 2))
    chosen: list[np.ndarray] = []
    for attempt in range(40 * max(count, len(pairs))):
        if len(chosen) == count:
            break
        one, other = pairs[attempt % len(pairs)]
        middle = (rng.choice(late[one]) + rng.choice(late[other])) / 2
        pose = start @ facing_pose(middle, np.array([0.0, 0.0, center_depth]))
        apart = np.linalg.norm(np.concatenate([taken, *(c[None] for c in chosen)]) - middle, axis=1).min()
        if apart > APART * center_depth and is_clear(scene, np.stack([start[:3, 3], pose[:3, 3]])):
            chosen.append(middle)
    if len(chosen) < count:
        raise LyraSimError(
            f"found room for {len(chosen)} of {count} held-out cameras between the paths; ask for fewer or for more"
            " movement"
        )
    poses = [start @ facing_pose(middle, np.array([0.0, 0.0, center_depth])) for middle in chosen]
    return np.stack(poses) if poses else np.empty((0, 4, 4))


def facing_pose(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the pose at `position` that faces `target`, with down near +y, camera to reference, (4, 4)."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = position
    return pose


def _farthest_half(track: np.ndarray) -> np.ndarray:
    """Return the half of the positions (T, 3) that lies farthest from the first (a spiral returns to it)."""
    order = np.argsort(np.linalg.norm(track - track[0], axis=1), kind="stable")
    return track[order[len(order) // 2 :]]
