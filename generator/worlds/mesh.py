"""A builder of labelled quads: objects are made of boxes, beams and turned shapes in their own frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from generator.worlds.labels import LABELS
from generator.worlds.shapes import (
    along_grain,
    bar_axes,
    chamfer_pattern,
    polygon_quads,
    unit_cube,
    yaw_matrix,
)
from generator.worlds.world import Instance, Material

Vector = Sequence[float] | np.ndarray


@dataclass
class Emitter:
    """Hold one area light while the world is being built; its radiance is relative until exposure is set."""

    corner: np.ndarray
    edge_u: np.ndarray
    edge_v: np.ndarray
    radiance: np.ndarray
    material: int


@dataclass(frozen=True)
class _Batch:
    """Hold quads of one instance and material in a local frame until the mesh is assembled."""

    corners: np.ndarray
    rotation: np.ndarray
    origin: np.ndarray
    instance: int
    material: int
    uv: np.ndarray | None


@dataclass
class Mesh:
    """Collect the quads, materials, instances and lights of one world."""

    _batches: list[_Batch] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    emitters: list[Emitter] = field(default_factory=list)
    _material_index: dict[str, int] = field(default_factory=dict)
    _label_count: dict[str, int] = field(default_factory=dict)

    def add(self, label: str, at: Vector = (0.0, 0.0, 0.0), yaw: float = 0.0) -> Part:
        """Start a new instance whose frame lies at `at` [m], turned about +z by `yaw` [rad]."""
        if label not in LABELS:
            raise KeyError(f"{label!r} is not in generator.worlds.LABELS")
        count = self._label_count.get(label, 0)
        self._label_count[label] = count + 1
        self.instances.append(Instance(label, f"{label}_{count}"))
        return Part(self, len(self.instances) - 1, np.asarray(at, np.float64), yaw_matrix(yaw))

    def frame(self, at: Vector = (0.0, 0.0, 0.0), yaw: float = 0.0) -> Part:
        """Return a frame to place objects in; geometry needs an instance, see `Part.add`."""
        return Part(self, -1, np.asarray(at, np.float64), yaw_matrix(yaw))

    def assemble(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return corners (Q, 4, 3) and texture offsets (Q, 2) [m], material and instance index (Q,), world frame."""
        batches = self._batches
        counts = [len(batch.corners) for batch in batches]

        def per_quad(values: list) -> np.ndarray:
            return np.repeat(np.array(values), counts, axis=0)

        material = per_quad([batch.material for batch in batches]).astype(np.int32)
        instance = per_quad([batch.instance for batch in batches]).astype(np.int32)
        local = np.concatenate([batch.corners for batch in batches])
        rotation = per_quad([batch.rotation for batch in batches])
        corners = np.einsum("qcx,qyx->qcy", local, rotation)
        corners += per_quad([batch.origin for batch in batches])[:, None]
        grain = np.array([finish.grain for finish in self.materials])[material]
        corners[grain] = along_grain(corners[grain])
        # Without a given offset the texture starts anywhere, but at the same place all over an instance.
        tile = np.array([finish.tile_size for finish in self.materials])[material]
        offset = (instance[:, None] * np.array([0.61803, 0.41421])) % 1.0 * tile[:, None]
        given = np.repeat([batch.uv is not None for batch in batches], counts)
        if given.any():
            offset[given] = np.concatenate([batch.uv for batch in batches if batch.uv is not None])
        return corners.astype(np.float32), offset.astype(np.float32), material, instance

    def material_index(self, material: Material) -> int:
        """Return the index of a material, adding it at first use; the name is its identity."""
        if material.name not in self._material_index:
            self._material_index[material.name] = len(self.materials)
            self.materials.append(material)
        return self._material_index[material.name]


@dataclass(frozen=True)
class Part:
    """Build geometry of one instance in a local frame (metres, Z up)."""

    mesh: Mesh
    index: int
    origin: np.ndarray
    rotation: np.ndarray

    def at(self, offset: Vector, yaw: float = 0.0) -> Part:
        """Return a frame inside this one that builds the same instance."""
        return Part(self.mesh, self.index, self.to_world(offset), self.rotation @ yaw_matrix(yaw))

    def tilted(self, rotation: np.ndarray, offset: Vector = (0.0, 0.0, 0.0)) -> Part:
        """Return a frame inside this one, turned by any rotation matrix, that builds the same instance."""
        return Part(self.mesh, self.index, self.to_world(offset), self.rotation @ rotation)

    def add(self, label: str, at: Vector = (0.0, 0.0, 0.0), yaw: float = 0.0) -> Part:
        """Start a new instance placed in this frame."""
        part = self.mesh.add(label)
        return Part(self.mesh, part.index, self.to_world(at), self.rotation @ yaw_matrix(yaw))

    def to_world(self, points: Vector) -> np.ndarray:
        """Move points [m] from the local to the world frame."""
        return np.asarray(points, np.float64) @ self.rotation.T + self.origin

    def quads(self, corners: np.ndarray, material: Material, *, uv: np.ndarray | None = None) -> None:
        """Add quads (N, 4, 3), counter-clockwise from outside; without `uv` the texture starts anywhere."""
        assert self.index >= 0, "geometry needs an instance: call add(label) on the frame first"
        index = self.mesh.material_index(material)
        batch = _Batch(np.asarray(corners, np.float64), self.rotation, self.origin, self.index, index, uv)
        self.mesh._batches.append(batch)

    def sheet(self, corners: np.ndarray, material: Material, *, thickness: float = 0.004) -> None:
        """Add thin quads that are seen from both sides, such as leaves and cloth: two faces `thickness` [m] apart."""
        front = np.asarray(corners, np.float64)
        normal = np.cross(front[:, 1] - front[:, 0], front[:, 2] - front[:, 0])
        normal *= thickness / (2.0 * np.linalg.norm(normal, axis=1, keepdims=True))
        self.quads(front + normal[:, None], material)
        self.quads((front - normal[:, None])[:, ::-1], material)

    def box(self, low: Vector, high: Vector, material: Material, *, faces: str = "xXyYzZ") -> None:
        """Add the named faces of an axis-aligned box (small letters face the negative axis)."""
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        self.quads(unit_cube(faces) * (high - low) + low, material)

    def block(self, centre: Vector, size: Vector, material: Material, *, faces: str = "xXyYzZ") -> None:
        """Add a box by the centre of its base and its size."""
        x, y, z = centre
        w, d, h = size
        self.box((x - w / 2, y - d / 2, z), (x + w / 2, y + d / 2, z + h), material, faces=faces)

    def cushion(self, low: Vector, high: Vector, material: Material, *, bevel: float = 0.04) -> None:
        """Add a box with chamfered edges, for upholstery and other soft or moulded shapes."""
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        bevel = min(bevel, 0.45 * float((high - low).min()))
        sign, inset = chamfer_pattern()
        self.quads((low + high) / 2.0 + sign * ((high - low) / 2.0 - bevel * inset), material)

    def beam(self, start: Vector, end: Vector, width: float, height: float, material: Material) -> None:
        """Add a bar of rectangular section between two points; `height` is measured upwards if it can be."""
        start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
        along, side, up = bar_axes(end - start)
        unit = unit_cube("xXyYzZ") - np.array([0.0, 0.5, 0.5])
        scaled = unit * np.array([np.linalg.norm(end - start), width, height])
        self.quads(scaled @ np.stack([along, side, up]) + start, material)

    def cylinder(
        self,
        start: Vector,
        end: Vector,
        radius: float,
        material: Material,
        *,
        sides: int = 12,
        caps: bool = True,
    ) -> None:
        """Add a round bar between two points."""
        length = float(np.linalg.norm(np.asarray(end, np.float64) - np.asarray(start, np.float64)))
        profile = [(radius, 0.0), (radius, length)]
        self.turned(profile, material, start=start, end=end, sides=sides, caps=caps)

    def turned(
        self,
        profile: Sequence[tuple[float, float]],
        material: Material,
        *,
        start: Vector = (0.0, 0.0, 0.0),
        end: Vector = (0.0, 0.0, 1.0),
        sides: int = 12,
        caps: bool = True,
    ) -> None:
        """Turn a profile of (radius, height) points about the axis from `start` towards `end`."""
        start = np.asarray(start, np.float64)
        axis, side, up = bar_axes(np.asarray(end, np.float64) - start)
        angles = (np.arange(sides + 1) % sides + 0.5) * (2.0 * np.pi / sides)
        circle = np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * up
        rings = np.array([start + radius * circle + height * axis for radius, height in profile])
        wall = [rings[:-1, :-1], rings[:-1, 1:], rings[1:, 1:], rings[1:, :-1]]
        self.quads(np.stack(wall, axis=2).reshape(-1, 4, 3), material)
        if caps:
            ends = [polygon_quads(rings[0, :-1][::-1]), polygon_quads(rings[-1, :-1])]
            self.quads(np.concatenate(ends), material)

    def prism(
        self, outline: Sequence[tuple[float, float]], low: float, high: float, material: Material
    ) -> None:
        """Extrude a convex counter-clockwise outline (x, y) from z = low to z = high."""
        flat = np.asarray(outline, np.float64)
        bottom = np.column_stack([flat, np.full(len(flat), low)])
        top = np.column_stack([flat, np.full(len(flat), high)])
        walls = np.stack([bottom, np.roll(bottom, -1, 0), np.roll(top, -1, 0), top], axis=1)
        self.quads(np.concatenate([walls, polygon_quads(bottom[::-1]), polygon_quads(top)]), material)

    def light(self, corner: Vector, edge_u: Vector, edge_v: Vector, radiance: Vector) -> None:
        """Add an emissive rectangle that lights the side of cross(edge_u, edge_v); radiance is relative."""
        origin = self.to_world(corner)
        u, v = self.rotation @ np.asarray(edge_u, np.float64), self.rotation @ np.asarray(edge_v, np.float64)
        dark = Material(f"light_{len(self.mesh.emitters)}", np.full((2, 2, 3), 0.8, np.float32), 1.0)
        local = np.asarray(corner, np.float64) + np.array(
            [np.zeros(3), edge_u, np.add(edge_u, edge_v), edge_v]
        )
        self.quads(local[None], dark)
        index = self.mesh.material_index(dark)
        self.mesh.emitters.append(Emitter(origin, u, v, np.asarray(radiance, np.float64), index))
