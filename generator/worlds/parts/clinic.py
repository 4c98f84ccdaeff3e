"""Hospital furniture: beds, bedside cabinets, drip stands, patient monitors, curtain rails."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, mix, pick
from generator.worlds.mesh import Part
from generator.worlds.parts.office import build_screen
from generator.worlds.parts.small import build_bottle, build_cup
from generator.worlds.scene import WOODS, Scene
from generator.worlds.world import Material

STEEL = textures.steel((0.72, 0.73, 0.74), 1)


def build_bed(wall: Part, scene: Scene, *, board: Material) -> None:
    """Build a hospital bed with its head at a wall frame's origin; the foot end points to -y."""
    part = wall.add("bed")
    white, grey = textures.plastic((0.88, 0.89, 0.89)), textures.plastic((0.45, 0.47, 0.50))
    for y in (-1.85, -0.3):
        for x in (-0.38, 0.38):
            part.cylinder((x - 0.03, y, 0.07), (x + 0.03, y, 0.07), 0.07, grey, sides=10)
            part.box((x - 0.03, y - 0.03, 0.1), (x + 0.03, y + 0.03, 0.38), STEEL, faces="xXyY")
    part.box((-0.42, -2.0, 0.36), (0.42, -0.15, 0.46), white)
    part.box((-0.2, -1.6, 0.16), (0.2, -0.5, 0.3), grey)
    part.box((-0.48, -0.12, 0.3), (0.48, -0.06, 1.12), board)
    part.box((-0.48, -2.12, 0.3), (0.48, -2.06, 0.92), board)
    linen = textures.fabric((0.90, 0.90, 0.89), 1)
    lift = scene.uniform(0.0, 0.5)
    part.cushion((-0.44, -2.03, 0.46), (0.44, -0.85, 0.62), linen, bevel=0.04)
    c, s = np.cos(lift), np.sin(lift)
    head = part.tilted(np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]]), (0, -0.87, 0.46))
    head.cushion((-0.44, 0, 0), (0.44, 0.75, 0.16), linen, bevel=0.04)
    head.cushion((-0.3, 0.32, 0.15), (0.3, 0.72, 0.27), textures.fabric((0.93, 0.93, 0.92), 2), bevel=0.06)
    tones = (
        mix(scene.accent, (0.9, 0.9, 0.9), 0.45),
        (0.62, 0.74, 0.82),
        (0.70, 0.80, 0.72),
        (0.86, 0.80, 0.68),
    )
    cover = textures.fabric(pick(scene.taste, tones), scene.variant())
    end = -1.05 if scene.clutter > 0.2 else -1.4
    part.cushion((-0.47, -2.04, 0.42), (0.47, end, 0.655), cover, bevel=0.05)
    part.cushion((-0.48, end - 0.22, 0.6), (0.48, end + 0.02, 0.68), linen, bevel=0.03)
    for x in (-0.47, 0.45):
        part.box((x, -1.35, 0.78), (x + 0.025, -0.4, 0.82), STEEL)
        for y in (-1.3, -0.9, -0.45):
            part.box((x, y, 0.46), (x + 0.025, y + 0.03, 0.78), STEEL, faces="xXyY")


def build_bedside(wall: Part, scene: Scene, *, face: Material) -> None:
    """Build a bedside cabinet on castors at a wall frame's origin with what a patient keeps on it."""
    part = wall.add("cabinet")
    part.box((-0.24, -0.5, 0.1), (0.24, -0.06, 0.84), textures.plastic((0.86, 0.87, 0.87)))
    for low, high in ((0.14, 0.56), (0.59, 0.8)):
        part.box((-0.22, -0.515, low), (0.22, -0.5, high), face, faces="xXyzZ")
        part.box((-0.08, -0.54, high - 0.07), (0.08, -0.515, high - 0.045), STEEL)
    part.box((-0.26, -0.52, 0.84), (0.26, -0.04, 0.87), face)
    for x in (-0.18, 0.18):
        for y in (-0.45, -0.12):
            part.block((x, y, 0), (0.05, 0.05, 0.1), textures.plastic((0.25, 0.25, 0.26)), faces="xXyY")
    if scene.clutter > 0:
        build_cup(wall.at((0.12, -0.3, 0.87)), scene)
        if scene.chance(0.3 + 0.6 * scene.clutter):
            build_bottle(wall.at((-0.12, -0.22, 0.87)), scene, height=0.26)


def build_drip(frame: Part, scene: Scene) -> None:
    """Stand a drip stand with two bags and a pump."""
    part = frame.add("instrument")
    for i in range(5):
        angle = 2 * np.pi * i / 5
        part.beam((0, 0, 0.07), (0.28 * np.cos(angle), 0.28 * np.sin(angle), 0.05), 0.035, 0.03, STEEL)
    part.cylinder((0, 0, 0.05), (0, 0, 1.95), 0.016, STEEL, sides=8)
    part.beam((-0.16, 0, 1.93), (0.16, 0, 1.93), 0.016, 0.016, STEEL)
    for x, tone in ((-0.14, (0.85, 0.88, 0.88)), (0.14, (0.86, 0.82, 0.60))):
        part.cushion((x - 0.065, -0.025, 1.62), (x + 0.065, 0.025, 1.9), textures.plastic(tone), bevel=0.02)
    part.block((0, -0.07, 1.1), (0.2, 0.13, 0.24), textures.plastic((0.80, 0.82, 0.84)))
    build_screen(part.at((0, -0.137, 1.25)), scene, width=0.14, height=0.09)


def build_patient_monitor(frame: Part, scene: Scene) -> None:
    """Stand a monitor on a rolling column that faces -y and shows traces."""
    part = frame.add("instrument")
    white, black = textures.plastic((0.84, 0.85, 0.86)), textures.plastic((0.08, 0.09, 0.10))
    part.block((0, 0, 0), (0.5, 0.5, 0.1), textures.plastic((0.40, 0.42, 0.45)))
    part.block((0, 0, 0.1), (0.08, 0.08, 1.0), white, faces="xXyY")
    part.block((0, -0.02, 0.55), (0.36, 0.3, 0.16), white)
    part.cushion((-0.25, -0.1, 1.08), (0.25, 0.1, 1.46), white, bevel=0.02)
    part.box((-0.22, -0.103, 1.13), (0.22, -0.1, 1.42), black, faces="y")
    for i, name in enumerate(("green", "red", "blue", "yellow")):
        z = 1.38 - 0.065 * i
        trace = textures.glowing(mix(NAMED[name], (1, 1, 1), 0.35), 0.8)
        quads = []
        for j in range(8):
            x = -0.2 + 0.036 * j
            rise = 0.035 if j % 3 == 1 else 0.0
            quads.append(
                [
                    (x, -0.105, z - 0.012),
                    (x + 0.034, -0.105, z - 0.012),
                    (x + 0.034, -0.105, z + rise),
                    (x, -0.105, z + rise),
                ]
            )
        part.quads(np.array(quads), trace)


def build_supply_rail(wall: Part, scene: Scene, *, width: float) -> None:
    """Fix a bed-head unit to a wall frame, its middle at the origin: outlets, gauges and a reading light's housing."""
    part = wall.add("instrument")
    part.box(
        (-width / 2, -0.1, -0.12), (width / 2, 0, 0.12), textures.plastic((0.86, 0.87, 0.88)), faces="xXyzZ"
    )
    strip = textures.wood(WOODS[1], 1)
    part.box((-width / 2, -0.104, -0.03), (width / 2, -0.1, 0.03), strip, faces="y")
    for i, name in enumerate(("white", "yellow", "blue", "green", "white", "red")):
        x = (-0.42 + 0.16 * i) * width
        part.box((x, -0.13, -0.1), (x + 0.07, -0.1, -0.035), textures.plastic(NAMED[name]), faces="xXyzZ")


def build_curtain_rail(
    frame: Part, scene: Scene, *, length: float, height: float, drawn: float, cloth: Material
) -> None:
    """Hang a privacy curtain from a rail along -y from the origin; `drawn` is the share of it that hangs open."""
    part = frame.add("curtain")
    part.box((-0.015, -length, height), (0.015, 0, height + 0.03), STEEL)
    part.box((-0.01, -length, height), (0.01, -length + 0.02, height + 0.5), STEEL)
    folds = 10
    y = -np.arange(folds + 1) * drawn * length / folds
    x = np.where(np.arange(folds + 1) % 2 == 0, -0.05, 0.05)
    low = np.column_stack([x, y, np.full(folds + 1, 0.35)])
    high = np.column_stack([x, y, np.full(folds + 1, height)])
    part.sheet(np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1), cloth)
