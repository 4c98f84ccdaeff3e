"""Rooms: floor, ceiling, and walls with openings for doors and windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from generator.worlds.mesh import Part
from generator.worlds.scene import Scene
from generator.worlds.world import Material

Hole = tuple[float, float, float, float]
"""An opening in a wall: start and end along the wall, bottom and top [m]."""


@dataclass(frozen=True)
class Room:
    """Describe a box-shaped room; x is its width, y its length, and z = 0 its floor."""

    left: float
    """x of the left wall [m]."""
    right: float
    """x of the right wall [m]."""
    back: float
    """y of the wall behind the camera [m]."""
    front: float
    """y of the far wall [m]."""
    height: float
    """Ceiling height [m]."""
    holes: dict[str, list[Hole]] = field(default_factory=dict)
    """Openings by wall (`left`, `right`, `back`, `front`); see `wall_frame` for the wall's axis."""

    def wall_frame(self, part: Part, side: str) -> tuple[Part, float]:
        """Return a frame at a wall's left end, seen from inside, and the wall's length.

        In that frame x runs along the wall to the viewer's right, -y points into the room and z up.
        """
        width, length = self.right - self.left, self.front - self.back
        places = {
            "front": ((self.left, self.front, 0.0), 0.0, width),
            "right": ((self.right, self.front, 0.0), -np.pi / 2, length),
            "back": ((self.right, self.back, 0.0), np.pi, width),
            "left": ((self.left, self.back, 0.0), np.pi / 2, length),
        }
        at, yaw, extent = places[side]
        return part.at(at, yaw), extent


def hole_row(
    extent: float, count: int, *, width: float, sill: float, height: float, margin: float = 0.6
) -> list[Hole]:
    """Space equal openings evenly along a wall of `extent` [m]; fewer if they do not fit."""
    while count > 1 and count * (width + 0.3) > extent - 2 * margin:
        count -= 1
    width = min(width, extent - 2 * margin)
    pitch = (extent - 2 * margin) / count
    middles = [margin + (i + 0.5) * pitch for i in range(count)]
    return [(middle - width / 2, middle + width / 2, sill, sill + height) for middle in middles]


def build_room(scene: Scene, room: Room, *, wall: Material, floor: Material, ceiling: Material) -> None:
    """Build floor, ceiling and four walls, all facing inwards."""
    low, high = (room.left, room.back), (room.right, room.front)
    ground = scene.add("floor", (*low, 0.0))
    size = np.subtract(high, low)
    ground.quads(_rectangle(size[0], size[1]), floor, uv=np.zeros((1, 2)))
    scene.add("ceiling", (*low, room.height)).quads(
        _rectangle(size[0], size[1])[:, ::-1], ceiling, uv=np.zeros((1, 2))
    )
    for side in ("front", "right", "back", "left"):
        frame, extent = room.wall_frame(scene.add("wall"), side)
        build_wall(frame, extent, room.height, wall, room.holes.get(side, []))


def _rectangle(width: float, length: float) -> np.ndarray:
    """Return one upward quad from the origin, (1, 4, 3)."""
    return np.array([[[0, 0, 0], [width, 0, 0], [width, length, 0], [0, length, 0]]], np.float64)


def build_wall(frame: Part, extent: float, height: float, material: Material, holes: list[Hole]) -> None:
    """Build a wall in the plane y = 0 that faces -y, leaving out its holes; texture runs on across pieces."""
    u = sorted({0.0, extent, *(edge for hole in holes for edge in hole[:2])})
    v = sorted({0.0, height, *(edge for hole in holes for edge in hole[2:])})
    quads, offsets = [], []
    for u0, u1 in pairwise(u):
        for v0, v1 in pairwise(v):
            middle = ((u0 + u1) / 2.0, (v0 + v1) / 2.0)
            if any(h[0] < middle[0] < h[1] and h[2] < middle[1] < h[3] for h in holes):
                continue
            quads.append([(u0, 0, v0), (u1, 0, v0), (u1, 0, v1), (u0, 0, v1)])
            offsets.append((u0, v0))
    frame.quads(np.array(quads), material, uv=np.array(offsets))


def build_reveal(frame: Part, hole: Hole, depth: float, material: Material) -> None:
    """Build the four inner faces of an opening, from the wall's plane outwards (towards +y)."""
    u0, u1, v0, v1 = hole
    part = frame.at((u0, 0.0, v0))
    inner = np.array([u1 - u0, depth, v1 - v0])
    corners = {
        "floor": [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)],
        "top": [(0, 1, 1), (1, 1, 1), (1, 0, 1), (0, 0, 1)],
        "low": [(0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1)],
        "high": [(1, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1)],
    }
    part.quads(np.array(list(corners.values()), np.float64) * inner, material)


def wall_band(
    frame: Part, extent: float, low: float, high: float, material: Material, holes: list[Hole]
) -> None:
    """Paint a band on a wall between two heights, 3 mm proud of it, interrupted by holes."""
    cuts = sorted((h[0], h[1]) for h in holes if h[2] < high and h[3] > low)
    start = 0.0
    for u0, u1 in [*cuts, (extent, extent)]:
        if u0 > start:
            quad = [(start, -0.003, low), (u0, -0.003, low), (u0, -0.003, high), (start, -0.003, high)]
            frame.quads(np.array([quad]), material, uv=np.array([[start, low]]))
        start = max(start, u1)


def skirting(scene: Scene, room: Room, material: Material, height: float = 0.1) -> None:
    """Run a skirting board along all walls, leaving openings that reach the floor."""
    for side in ("front", "right", "back", "left"):
        frame, extent = room.wall_frame(scene.add("wall"), side)
        cuts = sorted((h[0], h[1]) for h in room.holes.get(side, []) if h[2] < height)
        start = 0.0
        for u0, u1 in [*cuts, (extent, extent)]:
            if u0 > start:
                frame.box((start, -0.02, 0.0), (u0, 0.0, height), material, faces="yZxX")
            start = max(start, u1)
