"""Lamps: every one is an area light with a housing around it."""

from __future__ import annotations

from generator.worlds import textures
from generator.worlds.colours import RGB
from generator.worlds.mesh import Part
from generator.worlds.scene import Scene

DAYLIGHT: RGB = (0.96, 1.0, 1.06)
NEUTRAL: RGB = (1.0, 1.0, 0.97)
TUNGSTEN: RGB = (1.12, 0.96, 0.74)


def strip_light(
    frame: Part, *, length: float, width: float = 0.3, power: float = 1.0, drop: float = 0.0
) -> None:
    """Hang a strip light along y under the frame's origin (a point of the ceiling), lit face down."""
    part = frame.add("lamp")
    body = textures.plastic((0.86, 0.87, 0.88))
    z = -drop - 0.08
    part.box((-width / 2, -length / 2, z), (width / 2, length / 2, z + 0.08), body, faces="xXyYZ")
    part.light((-width / 2, -length / 2, z), (0, length, 0), (width, 0, 0), [power * c for c in NEUTRAL])
    if drop > 0.05:
        for y in (-0.4, 0.4):
            part.beam((0, y * length, z + 0.08), (0, y * length, 0), 0.02, 0.02, body)


def panel_light(
    frame: Part, *, width: float = 0.6, length: float = 1.2, power: float = 1.0, colour: RGB = NEUTRAL
) -> None:
    """Set a light panel flush under the frame's origin (a point of the ceiling), lit face down."""
    part = frame.add("lamp")
    rim = textures.plastic((0.82, 0.83, 0.84))
    part.box((-width / 2, -length / 2, -0.03), (width / 2, length / 2, 0.0), rim, faces="xXyY")
    x, y = width / 2 - 0.02, length / 2 - 0.02
    part.light((-x, -y, -0.03), (0, 2 * y, 0), (2 * x, 0, 0), [power * c for c in colour])


def high_bay_light(frame: Part, scene: Scene, *, drop: float, power: float = 1.0) -> None:
    """Hang a round hall reflector with a square light below the frame's origin."""
    part = frame.add("lamp")
    shell = textures.steel((0.55, 0.56, 0.58), scene.variant())
    part.turned([(0.3, -drop - 0.3), (0.12, -drop - 0.05), (0.1, -drop + 0.1)], shell, sides=12)
    part.beam((0, 0, -drop + 0.1), (0, 0, 0), 0.02, 0.02, shell)
    part.light((-0.24, -0.24, -drop - 0.31), (0, 0.48, 0), (0.48, 0, 0), [power * c for c in NEUTRAL])
