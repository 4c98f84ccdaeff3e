"""Choose cameras from which a scene without cameras is seen well enough for a collider."""

from __future__ import annotations

import numpy as np

from lyra_sim.gaussians import Gaussians

EYE_HEIGHT = 1.4
"""Height of the cameras above the floor [m]."""


def choose_views(
    gaussians: Gaussians, *, places: int = 6, height: int = 192, width: int = 192
) -> tuple[np.ndarray, np.ndarray]:
    """Return poses (V, 4, 4), OpenCV axes, and intrinsics (V, 4) [px] of cameras in the scene's free space.

    At each of up to `places` free places over the floor, far from what stands there and from each other, six
    cameras look around and three look down. A scene without free floor is seen from a ring around it.

    Args:
        gaussians: Gaussians in metres, Z up, floor at z = 0.
        places: Most places to look from.
        height: Image height [px].
        width: Image width [px].
    """
    points = gaussians.means[gaussians.opacities > 0.3]
    points = points if len(points) else gaussians.means
    eyes = _free_places(points, places)
    if len(eyes):
        poses = [
            look(eye, yaw, pitch)
            for eye in eyes
            for pitch, turns in ((-8.0, 6), (-45.0, 3))
            for yaw in np.arange(turns) * 360.0 / turns
        ]
        focal = 0.5 * width  # 90 degrees
    else:
        poses, focal = _ring(points), 0.9 * width
    intrinsics = np.tile([focal, focal, width / 2, height / 2], (len(poses), 1))
    return np.stack(poses), intrinsics


def look(eye: np.ndarray, yaw: float, pitch: float) -> np.ndarray:
    """Return the pose of a level camera at `eye` that looks along `yaw` and `pitch` [degrees], z up."""
    a, b = np.radians(yaw), np.radians(pitch)
    forward = np.array([np.cos(a) * np.cos(b), np.sin(a) * np.cos(b), np.sin(b)])
    right = np.array([np.sin(a), -np.cos(a), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose


def _free_places(points: np.ndarray, places: int) -> np.ndarray:
    """Return eye positions over free floor, (P, 3); none where no floor is free."""
    from scipy.ndimage import binary_dilation, distance_transform_edt

    low, high = np.percentile(points, [1, 99], axis=0)
    cell = max(0.2, float(np.sqrt((high[0] - low[0]) * (high[1] - low[1]) / 250_000)))
    shape = tuple(int(n) for n in np.ceil((high[:2] - low[:2]) / cell) + 1)
    inside = ((points[:, :2] >= low[:2]) & (points[:, :2] <= high[:2])).all(axis=1)
    index = ((points[inside, :2] - low[:2]) / cell).astype(int)
    z = points[inside, 2]
    floor, body = np.zeros(shape, bool), np.zeros(shape, bool)
    on_floor, in_way = np.abs(z) < 0.15, (z > 0.25) & (z < EYE_HEIGHT + 0.4)
    floor[tuple(index[on_floor].T)] = True
    body[tuple(index[in_way].T)] = True
    room = distance_transform_edt(~np.pad(body, 1, constant_values=True))[1:-1, 1:-1] * cell
    room[~binary_dilation(floor, iterations=2)] = 0.0
    chosen: list[np.ndarray] = []
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1) * cell
    spread = np.full(shape, np.inf)
    while len(chosen) < places:
        # Far from what is there counts up to a metre; beyond it, far from the other cameras.
        score = np.where(room > 0.35, np.minimum(room, 1.0) * np.minimum(spread, 1e6), 0.0)
        best = np.unravel_index(int(np.argmax(score)), shape)
        if score[best] <= 0 or spread[best] < 0.8:
            break
        chosen.append(np.array([*(low[:2] + (np.array(best) + 0.5) * cell), EYE_HEIGHT]))
        spread = np.minimum(spread, np.linalg.norm(grid - np.array(best) * cell, axis=-1))
    return np.array(chosen).reshape(-1, 3)


def _ring(points: np.ndarray) -> list[np.ndarray]:
    """Return poses on two circles around the points that look at their middle."""
    low, high = np.percentile(points, [2, 98], axis=0)
    centre, radius = (low + high) / 2, 1.6 * float(np.linalg.norm(high - low)) / 2
    poses = []
    for elevation in (15.0, 45.0):
        for yaw in np.arange(12) * 30.0:
            pose = look(np.zeros(3), yaw + 180.0, -elevation)
            pose[:3, 3] = centre - radius * pose[:3, 2]
            poses.append(pose)
    return poses
