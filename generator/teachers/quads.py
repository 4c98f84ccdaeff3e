"""Geometry of a world for the ray caster: a frame per quad and an Embree scene over the quads."""

from __future__ import annotations

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from generator.worlds.world import World


class QuadScene:
    """Answer ray queries about the quads of a world, and give each quad a metric frame in its plane.

    All arrays are in the world frame and in metres. Quad q becomes the triangles 2q and 2q + 1.
    """

    def __init__(self, world: World) -> None:
        """Build the frames and the acceleration structure of `world`."""
        corners = np.ascontiguousarray(world.corners, np.float64)
        self.corners = corners
        self.frames = quad_frames(corners)
        self.bounds = _bounds(corners, self.frames)
        triangles = corners[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 3)
        self._scene = EmbreeScene(robust=True)
        TriangleMesh(self._scene, np.ascontiguousarray(triangles, np.float32))

    def first_quad(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Return the first quad along each ray, or -1; rays are (N, 3) float32, the result is (N,) int32."""
        return self._scene.run(origins, directions) >> 1

    def first_hit(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first quad along each ray (or -1) and the ray parameter of the hit, both (N,)."""
        hit = self._scene.run(origins, directions, output=1)
        return hit["primID"] >> 1, hit["tfar"]

    def blocked(self, origins: np.ndarray, directions: np.ndarray, *, reach: float) -> np.ndarray:
        """Return whether anything lies on each ray before the ray parameter `reach`, (N,) bool."""
        reaches = np.full(len(origins), reach, np.float32)
        return self._scene.run(origins, directions, dists=reaches, query="OCCLUDED") >= 0

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Return the distance of points (N, 3) to the nearest quad's bounding rectangle [m], (N,)."""
        offset = np.asarray(points, np.float64)[:, None] - self.frames[:, 0]
        planar = np.einsum("nqx,qax->nqa", offset, self.frames[:, 1:3])
        low, size = self.bounds[:, 0], self.bounds[:, 1]
        beside = planar - np.clip(planar, low, low + size)
        height = np.einsum("nqx,qx->nq", offset, self.frames[:, 3])
        return np.sqrt((beside**2).sum(axis=-1) + height**2).min(axis=1)


def quad_frames(corners: np.ndarray) -> np.ndarray:
    """Return origin, u axis, v axis and unit normal of each quad, (Q, 4, 3) float64.

    The u axis runs from corner 0 to corner 1; the v axis is perpendicular to it in the plane, so that a
    position in the plane is two lengths in metres whatever the quad's shape.
    """
    normal = _unit(np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]))
    u = _unit(corners[:, 1] - corners[:, 0])
    return np.stack([corners[:, 0], u, np.cross(normal, u), normal], axis=1)


def _bounds(corners: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Return each quad's bounding rectangle in its frame: least (u, v), then size, (Q, 2, 2) [m]."""
    planar = np.einsum("qcx,qax->qca", corners - frames[:, None, 0], frames[:, 1:3])
    low = planar.min(axis=1)
    return np.stack([low, planar.max(axis=1) - low], axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
