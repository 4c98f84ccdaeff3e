"""Distances between points that were clicked, and the box that the view is cut to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lyra_sim.scene import Scene
from lyra_sim.viewer.rays import mesh_depth, splat_depth


@dataclass(frozen=True)
class Measure:
    """Hold up to two points [m]."""

    points: tuple[np.ndarray, ...] = ()

    def with_point(self, point: np.ndarray) -> Measure:
        """Return the measurement with one more point; a third one starts anew."""
        return Measure((point,) if len(self.points) == 2 else (*self.points, point))

    @property
    def distance(self) -> float | None:
        """Distance between the points [m], or None before there are two."""
        return float(np.linalg.norm(self.points[1] - self.points[0])) if len(self.points) == 2 else None

    def text(self) -> str:
        """Return the distance and its parts along the axes, or where the first point is."""
        if not self.points:
            return ""
        if self.distance is None:
            x, y, z = self.points[0]
            return f"from ({x:.2f}, {y:.2f}, {z:.2f})"
        x, y, z = np.abs(self.points[1] - self.points[0])
        return f"{self.distance:.3f} m ({x:.2f}, {y:.2f}, {z:.2f})"


@dataclass(frozen=True)
class Section:
    """Hold a box along the axes; what lies outside is not shown."""

    low: np.ndarray
    """Lower corner [m], (3,)."""
    high: np.ndarray
    """Upper corner [m], (3,)."""

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Return which points (N, 3) lie in the box, (N,) bool."""
        return np.logical_and(points >= self.low, points <= self.high).min(axis=1)

    def faces(self, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Return which faces have their middle in the box, (M,) bool."""
        return self.inside(vertices[faces].mean(axis=1))

    def first_hit(self, scene: Scene, origin: np.ndarray, direction: np.ndarray) -> np.ndarray | None:
        """Return the first point in the box that a ray meets, of the collider or else of the splats, or None.

        Args:
            scene: The scene.
            origin: Start of the ray [m], (3,).
            direction: Direction of the ray, of any length, (3,).
        """
        distance = None
        if scene.collider is not None:
            vertices, faces = scene.collider.vertices, scene.collider.faces
            distance = mesh_depth(vertices, faces[self.faces(vertices, faces)], origin, direction)
        if distance is None:
            distance = splat_depth(
                scene.gaussians.select(self.inside(scene.gaussians.means)), origin, direction
            )
        return None if distance is None else origin + distance * direction / np.linalg.norm(direction)
