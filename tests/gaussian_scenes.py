"""Random Gaussians, small scenes and an analytic room for the tests of files, USD and colliders."""

from __future__ import annotations

import numpy as np

from lyra_sim.collider import DepthViews
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import LabelledMesh, Scene, TriangleMesh

ROOM = np.array([[-4.0, -3.0, 0.0], [4.0, 3.0, 2.8]])
"""Corners of the analytic room [m]."""
BOXES = np.array([[[1.0, -1.0, 0.0], [1.8, 0.2, 0.9]], [[-0.5, 1.2, 0.0], [0.4, 2.0, 1.7]]])
"""Corners of the boxes that stand in it [m]."""


def random_gaussians(count: int = 300, *, degree: int = 0, seed: int = 0) -> Gaussians:
    rng = np.random.default_rng(seed)
    rotations = rng.normal(size=(count, 4))
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    return Gaussians(
        means=rng.normal(scale=3.0, size=(count, 3)).astype(np.float32),
        scales=np.exp(rng.uniform(-7, 0, (count, 3))).astype(np.float32),
        rotations=rotations.astype(np.float32),
        opacities=rng.uniform(0, 1, count).astype(np.float32),
        sh=rng.normal(scale=0.4, size=(count, (degree + 1) ** 2, 3)).astype(np.float32),
    )


def square(*, side: float = 4.0) -> TriangleMesh:
    corners = np.array([[0, 0, 0], [side, 0, 0], [side, side, 0], [0, side, 0]], np.float32)
    return TriangleMesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32))


def step() -> TriangleMesh:
    """Return a floor with an upright step across it, 0.5 m high."""
    x = np.array([0, 2, 2, 4], np.float32)
    z = np.array([0, 0, 0.5, 0.5], np.float32)
    vertices = np.concatenate([np.stack([x, x * 0 + y, z], axis=1) for y in (0.0, 4.0)])
    faces = [[i, i + 1, i + 5] for i in range(3)] + [[i, i + 5, i + 4] for i in range(3)]
    return TriangleMesh(vertices.astype(np.float32), np.array(faces, np.int32))


def small_scene(*, seed: int = 0, degree: int = 0, classes: tuple[str, ...] = ("floor", "rug")) -> Scene:
    mesh = square()
    label = np.arange(len(mesh.faces), dtype=np.int32) % len(classes)
    return Scene(
        random_gaussians(seed=seed, degree=degree),
        mesh,
        LabelledMesh(mesh.vertices, mesh.faces, label, classes),
        {"prompt": "a test", "seed": seed, "versions": {"lyra_sim": "0"}, "sizes": [1, 2.5], "empty": []},
        instances=({"name": "floor_0", "label": "floor"},),
    )


def assert_same(a: Gaussians, b: Gaussians) -> None:
    for name in ("means", "scales", "rotations", "opacities", "sh"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the camera-to-world pose, OpenCV axes, of a level camera."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose


def room_views(count: int = 16, *, height: int = 72, width: int = 128, seed: int = 0) -> DepthViews:
    """Return exact depth of the room from cameras that stand in one corner and look across it."""
    rng = np.random.default_rng(seed)
    poses = [
        look_at(
            np.array([-3.2, -2.2, 1.4]) + rng.uniform(-0.5, 0.5, 3), rng.uniform([0, 0, 0.3], [2, 2, 1.4])
        )
        for _ in range(count)
    ]
    intrinsics = np.tile([0.62 * width, 0.62 * width, width / 2, height / 2], (count, 1))
    depth = np.stack([room_depth(p, i, height, width) for p, i in zip(poses, intrinsics, strict=True)])
    return DepthViews(depth, np.stack(poses), intrinsics)


def room_depth(pose: np.ndarray, intrinsics: np.ndarray, height: int, width: int) -> np.ndarray:
    fx, fy, cx, cy = intrinsics
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(u)], axis=-1) @ pose[:3, :3].T
    depth = _slab(rays, pose[:3, 3], ROOM)[1]
    for box in BOXES:
        near, far = _slab(rays, pose[:3, 3], box)
        depth = np.where((near < far) & (near > 0), np.minimum(depth, near), depth)
    return depth.astype(np.float32)


def room_distance(points: np.ndarray) -> np.ndarray:
    """Return the distance [m] of points from the room's walls and boxes."""
    distance = np.minimum(points - ROOM[0], ROOM[1] - points).min(axis=1)
    for low, high in BOXES:
        outside = np.maximum(low - points, points - high)
        box = np.linalg.norm(np.maximum(outside, 0), axis=1) + np.minimum(outside.max(axis=1), 0)
        distance = np.minimum(distance, np.abs(box))
    return np.abs(distance)


def _slab(rays: np.ndarray, origin: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = (box[0] - origin) / rays, (box[1] - origin) / rays
    return np.minimum(low, high).max(axis=-1), np.maximum(low, high).min(axis=-1)
