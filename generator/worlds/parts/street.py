"""Bollards, cones, columns and other things of docks and garages."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, RGB
from generator.worlds.mesh import Part
from generator.worlds.parts.signs import write
from generator.worlds.scene import Scene
from generator.worlds.world import Material


def build_bollard(frame: Part, scene: Scene, *, height: float = 1.0) -> None:
    """Stand a steel bollard with dark bands."""
    part = frame.add("bollard")
    paint, band = textures.enamel(NAMED["yellow"], scene.variant()), textures.plastic((0.12, 0.12, 0.13))
    part.cylinder((0, 0, 0), (0, 0, height), 0.075, paint, sides=10)
    for z in (0.45, 0.75):
        part.cylinder((0, 0, z * height), (0, 0, (z + 0.12) * height), 0.077, band, sides=10, caps=False)


def build_cone(frame: Part) -> None:
    """Stand a traffic cone."""
    part = frame.add("traffic_cone")
    orange, white = textures.plastic((0.90, 0.36, 0.08)), textures.plastic((0.92, 0.92, 0.90))
    part.block((0, 0, 0), (0.36, 0.36, 0.03), orange, faces="xXyYZ")
    for low, high, paint in ((0.0, 0.3, orange), (0.3, 0.46, white), (0.46, 0.65, orange)):
        profile = [(0.14 - 0.18 * low, 0.03 + low), (0.14 - 0.18 * high, 0.03 + high)]
        part.turned(profile, paint, sides=10, caps=False)


def build_column(
    frame: Part, material: Material, *, width: float, height: float, band: RGB | None = None, text: str = ""
) -> None:
    """Build a square column with an optional painted band and a code on all sides."""
    part = frame.add("column")
    part.block((0, 0, 0), (width, width, height), material, faces="xXyY")
    if band is None:
        return
    paint = textures.paint(band, 1)
    part.block((0, 0, 0.9), (width + 0.006, width + 0.006, 0.75), paint, faces="xXyYzZ")
    hazard = textures.stripes(NAMED["yellow"], NAMED["black"], 0, 0.16, diagonal=True)
    part.block((0, 0, 0), (width + 0.02, width + 0.02, 0.5), hazard, faces="xXyYZ")
    ink = NAMED["white"] if sum(band) < 1.8 else NAMED["black"]
    for i in range(4):
        face = part.at((0, 0, 1.28), i * np.pi / 2)
        write(face.at((0, -width / 2 - 0.006, 0)), text, 0.36 * width, ink)


def build_extinguisher(wall: Part) -> None:
    """Hang a fire extinguisher on a wall frame, under its sign; the origin is on the floor line."""
    part = wall.add("extinguisher", (0, -0.1, 0.55))
    red, black = textures.plastic((0.74, 0.08, 0.08)), textures.plastic((0.10, 0.10, 0.11))
    part.turned([(0.08, 0), (0.085, 0.03), (0.085, 0.4), (0.035, 0.48)], red, sides=10)
    part.cylinder((0, 0, 0.48), (0, 0, 0.54), 0.03, black, sides=8)
    part.beam((0, -0.03, 0.54), (0, -0.12, 0.3), 0.025, 0.025, black)
    board = wall.add("sign", (0, -0.012, 1.55))
    board.box((-0.12, 0, -0.12), (0.12, 0.012, 0.12), red, faces="xXyzZ")
    board.box((-0.035, -0.003, -0.09), (0.035, 0, 0.07), textures.plastic(NAMED["white"]), faces="y")
