"""What stands in a camera's way: the collider of a scene, or its opaque Gaussians where it has none."""

from __future__ import annotations

import numpy as np
from embreex.mesh_construction import TriangleMesh as EmbreeMesh
from embreex.rtcore_scene import EmbreeScene
from scipy.spatial import cKDTree

from lyra_sim.ground import opaque_points
from lyra_sim.scene import Scene

SPACING = 0.04
"""Distance between the points that stand for a collider's surface [m]; grows where they would be too many."""
MOST_POINTS = 400_000
"""Most points that stand for the surface."""
DIRECTIONS = 64
"""Rays that are cast from a camera to find out whether it stands inside something."""


class Obstacles:
    """Answer how near to something, and whether inside of something, a camera stands."""

    def __init__(self, scene: Scene) -> None:
        """Prepare the collider of `scene`, or the centres of its opaque Gaussians if it has none."""
        collider = scene.collider if scene.collider is not None and len(scene.collider.faces) else None
        points = (
            sample_surface(collider.vertices, collider.faces)[0]
            if collider is not None
            else opaque_points(scene.gaussians)
        )
        self._tree = cKDTree(points)
        self._rays: EmbreeScene | None = None
        if collider is not None:
            self._rays = EmbreeScene(robust=True)
            EmbreeMesh(self._rays, np.ascontiguousarray(collider.vertices[collider.faces], np.float32))

    @property
    def has_collider(self) -> bool:
        """Whether the answers are about a collider and not about the Gaussians themselves."""
        return self._rays is not None

    def clearance(self, positions: np.ndarray) -> np.ndarray:
        """Return the distance [m] of positions (P, 3) to the nearest point of the surface, (P,)."""
        return self._tree.query(np.asarray(positions, np.float64))[0]

    def inside(self, positions: np.ndarray) -> np.ndarray:
        """Return which positions (P, 3) stand inside or behind a wall, (P,) bool; none without a collider.

        Faces turn their fronts to free space, so most of what such a camera sees around it are back faces.
        """
        count = len(positions)
        if self._rays is None or not count:
            return np.zeros(count, bool)
        directions = np.tile(_sphere(DIRECTIONS), (count, 1))
        origins = np.repeat(np.asarray(positions, np.float32), DIRECTIONS, axis=0)
        hit = self._rays.run(origins, directions, output=1)
        met = hit["primID"] >= 0
        back = met & (np.einsum("nd,nd->n", hit["Ng"], directions) > 0)
        met, back = met.reshape(count, -1).sum(axis=1), back.reshape(count, -1).sum(axis=1)
        return back > 0.5 * np.maximum(met, 1)


def sample_surface(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points all over a mesh, drawn evenly by area, and its corners; the same on every call.

    Args:
        vertices: [m], (N, 3).
        faces: Vertex indices, (M, 3).

    Returns:
        Points [m], (P, 3) float64, and the face of each, (P,).
    """
    corners = vertices[faces].astype(np.float64)
    areas = 0.5 * np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    count = int(min(MOST_POINTS, 2 * areas.sum() / SPACING**2))
    random = np.random.default_rng(0)
    drawn = np.searchsorted(np.cumsum(areas), random.random(count) * areas.sum()).clip(max=len(areas) - 1)
    a, b = random.random((2, count))
    a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
    picked = corners[drawn]
    edge_1, edge_2 = picked[:, 1] - picked[:, 0], picked[:, 2] - picked[:, 0]
    points = picked[:, 0] + a[:, None] * edge_1 + b[:, None] * edge_2
    return np.concatenate([points, corners.reshape(-1, 3)]), np.append(
        drawn, np.repeat(np.arange(len(faces)), 3)
    )


def _sphere(count: int) -> np.ndarray:
    """Return `count` unit directions spread evenly over the sphere (a Fibonacci spiral), (count, 3) float32."""
    index = np.arange(count) + 0.5
    z, angle = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1).astype(np.float32)
