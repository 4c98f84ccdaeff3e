"""Cabinets, chests of drawers and bookcases."""

from __future__ import annotations

from generator.worlds import textures
from generator.worlds.mesh import Part
from generator.worlds.parts.small import build_binders, build_books
from generator.worlds.scene import Scene
from generator.worlds.world import Material


def build_cabinet(
    wall: Part,
    scene: Scene,
    *,
    face: Material,
    width: float = 0.8,
    height: float = 1.2,
    depth: float = 0.42,
    doors: int = 2,
) -> Part:
    """Build a cabinet with doors against a wall frame, middle of its back at the origin; return its top's middle."""
    part = wall.add("cabinet")
    part.box((-width / 2, -depth, 0.0), (width / 2, 0, 0.06), textures.plastic((0.2, 0.2, 0.21)), faces="xXy")
    part.box((-width / 2, -depth, 0.06), (width / 2, 0, height), face, faces="xXyZ")
    knob = textures.steel((0.35, 0.36, 0.38))
    gap = textures.plastic((0.22, 0.22, 0.23))
    for i in range(doors):
        x0 = -width / 2 + width * i / doors
        x1 = x0 + width / doors
        part.box(
            (x0 + 0.006, -depth - 0.018, 0.07),
            (x1 - 0.006, -depth - 0.002, height - 0.01),
            face,
            faces="xXyzZ",
        )
        part.box((x1 - 0.003, -depth - 0.003, 0.06), (x1 + 0.003, -depth - 0.001, height), gap, faces="y")
        grip = x1 - 0.05 if i % 2 == 0 else x0 + 0.05
        part.box(
            (grip - 0.012, -depth - 0.045, 0.55 * height),
            (grip + 0.012, -depth - 0.018, 0.55 * height + 0.14),
            knob,
        )
    return wall.at((0, -depth / 2, height))


def build_drawers(
    frame: Part,
    scene: Scene,
    *,
    face: Material,
    width: float = 0.42,
    height: float = 0.6,
    depth: float = 0.5,
    rows: int = 3,
) -> None:
    """Build a chest of drawers centred on the origin, drawers towards -y."""
    part = frame.add("cabinet")
    part.block((0, 0, 0), (width, depth, height), face, faces="xXyYZ")
    steel = textures.steel((0.4, 0.41, 0.43))
    for i in range(rows):
        z0, z1 = 0.04 + (height - 0.05) * i / rows, 0.03 + (height - 0.05) * (i + 1) / rows
        part.box(
            (-width / 2 + 0.01, -depth / 2 - 0.018, z0),
            (width / 2 - 0.01, -depth / 2, z1),
            face,
            faces="xXyzZ",
        )
        part.box(
            (-0.2 * width, -depth / 2 - 0.04, z1 - 0.06), (0.2 * width, -depth / 2 - 0.018, z1 - 0.035), steel
        )


def build_shelf_unit(
    wall: Part,
    scene: Scene,
    *,
    wood: Material,
    width: float = 0.9,
    height: float = 1.9,
    depth: float = 0.32,
    rows: int = 5,
    office: bool = False,
) -> None:
    """Build an open bookcase against a wall frame, middle of its back at the origin, and fill it."""
    part = wall.add("shelf")
    for x in (-width / 2, width / 2 - 0.025):
        part.box((x, -depth, 0), (x + 0.025, 0, height), wood)
    part.box((-width / 2, -0.015, 0), (width / 2, 0, height), wood, faces="y")
    pitch = (height - 0.08) / rows
    for i in range(rows + 1):
        z = 0.05 + pitch * i
        part.box((-width / 2 + 0.025, -depth, z), (width / 2 - 0.025, 0, z + 0.025), wood)
        if i < rows and scene.rng.random() < 0.25 + 0.7 * scene.clutter and scene.clutter > 0:
            place = wall.at((-width / 2 + 0.04, -0.03, z + 0.025))
            fill = (width - 0.08) * scene.uniform(0.5, 1.0)
            if office:
                build_binders(place, scene, width=fill)
            else:
                build_books(
                    place, scene, width=fill, depth=min(0.2, depth - 0.06), height=min(0.27, pitch - 0.06)
                )
