"""What a procedural world is: quads with materials, labels and instances, in metres, Z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lyra_sim.scene import TriangleMesh


@dataclass(frozen=True)
class Material:
    """Describe how a surface looks."""

    name: str
    texture: np.ndarray
    """Tileable albedo, display-referred sRGB in [0, 1], (S, S, 3) float32 with S a power of two."""
    tile_size: float
    """Side of one texture tile on the surface [m]."""
    emission: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Emitted radiance, linear; (0, 0, 0) for all but light sources."""
    grain: bool = False
    """Whether the texture runs along u, so that the mesh builder turns u along a quad's longer side."""


@dataclass(frozen=True)
class Instance:
    """Name one object of the world."""

    label: str
    """Semantic class in snake_case, such as `floor`, `shelf` or `cardboard_box`."""
    name: str
    """Unique name within the world, such as `cardboard_box_12`."""


@dataclass(frozen=True)
class Light:
    """Describe a one-sided rectangular area light; the same rectangle is in the mesh as an emissive quad."""

    corner: np.ndarray
    """One corner [m], (3,)."""
    edge_u: np.ndarray
    """First edge from the corner [m], (3,)."""
    edge_v: np.ndarray
    """Second edge from the corner [m], (3,). The lit side is that of cross(edge_u, edge_v)."""
    radiance: np.ndarray
    """Emitted radiance, linear RGB, (3,)."""


@dataclass(frozen=True)
class World:
    """Hold one world: a soup of planar quads, floor at z = 0, metres, Z up, right-handed.

    Corners run counter-clockwise seen from the outside. Texture coordinates of a quad are metres along
    corner 0 to corner 1 (u) and corner 0 to corner 3 (v), plus `uv_offset`. A triangle is a quad whose
    last two corners coincide.
    """

    kind: str
    """Name of the kind, such as `warehouse_aisle`."""
    corners: np.ndarray
    """Quad corners [m], (Q, 4, 3) float32."""
    uv_offset: np.ndarray
    """Texture offset [m], (Q, 2) float32."""
    material: np.ndarray
    """Index into `materials`, (Q,) int32."""
    instance: np.ndarray
    """Index into `instances`, (Q,) int32."""
    materials: tuple[Material, ...]
    instances: tuple[Instance, ...]
    lights: tuple[Light, ...]
    ambient: np.ndarray
    """Radiance that arrives from every direction (stands for bounced light), linear RGB, (3,)."""
    c2w: np.ndarray
    """Pose of the conditioning camera, OpenCV axes (x right, y down, z forward), camera to world, (4, 4)."""
    horizontal_fov: float
    """Horizontal field of view of the conditioning camera [rad]."""

    def triangles(self) -> TriangleMesh:
        """Return the surface as two triangles per quad, without the empty ones of triangles written as quads."""
        faces = (
            np.arange(4 * len(self.corners), dtype=np.int32)
            .reshape(-1, 4)[:, [0, 1, 2, 0, 2, 3]]
            .reshape(-1, 3)
        )
        vertices = self.corners.reshape(-1, 3).astype(np.float32)
        a, b, c = (vertices[faces[:, i]] for i in range(3))
        return TriangleMesh(vertices, faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-9])

    @property
    def labels(self) -> tuple[str, ...]:
        """Sorted semantic classes of the world."""
        return tuple(sorted({instance.label for instance in self.instances}))
