"""Laboratory furniture and instruments: benches with reagent shelves, fume hoods, microscopes, glassware."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import pick
from generator.worlds.mesh import Part
from generator.worlds.parts.instruments import (
    build_analyser,
    build_glassware,
    build_microscope,
    build_tube_rack,
)
from generator.worlds.parts.office import build_monitor, build_paper, build_screen
from generator.worlds.parts.small import build_bottle
from generator.worlds.scene import Scene
from generator.worlds.world import Material

BENCH = 0.9
"""Height of a bench top [m]."""


def build_bench(
    frame: Part, scene: Scene, *, length: float, depth: float, top: Material, face: Material, both: bool
) -> Part:
    """Build a bench along x centred on the origin, fronts towards -y (and +y if `both`); return its top's middle."""
    part = frame.add("table")
    part.block((0, 0, BENCH - 0.04), (length, depth, 0.04), top)
    part.block(
        (0, 0, 0), (length - 0.04, depth - 0.16, 0.09), textures.plastic((0.2, 0.2, 0.21)), faces="xXyY"
    )
    body = frame.add("cabinet")
    body.block((0, 0, 0.09), (length - 0.02, depth - 0.06, BENCH - 0.13), face, faces="xXyY")
    grip = textures.steel((0.40, 0.41, 0.43), 1)
    units = max(1, round(length / 0.6))
    for sign in (-1, 1) if both else (-1,):
        side = body.at((0, 0, 0), 0.0 if sign < 0 else np.pi)
        y = -depth / 2 + 0.03
        for i in range(units):
            x0, x1 = -length / 2 + length * i / units + 0.01, -length / 2 + length * (i + 1) / units - 0.01
            drawers = i % 2 == scene.rng.integers(2)
            rows = ((0.1, 0.34), (0.35, 0.59), (0.6, 0.84)) if drawers else ((0.1, 0.62), (0.63, 0.84))
            for low, high in rows:
                side.box((x0, y - 0.018, low), (x1, y, high), face, faces="xXyzZ")
                side.box(
                    ((x0 + x1) / 2 - 0.09, y - 0.042, high - 0.06),
                    ((x0 + x1) / 2 + 0.09, y - 0.018, high - 0.04),
                    grip,
                )
    return frame.at((0, 0, BENCH))


def build_reagent_shelf(top: Part, scene: Scene, *, length: float) -> None:
    """Stand a two-tier shelf with bottles along the middle of a bench top."""
    part = top.add("shelf")
    steel, glass = textures.steel((0.66, 0.67, 0.68), 1), textures.plastic((0.72, 0.78, 0.80))
    for x in np.linspace(-length / 2 + 0.05, length / 2 - 0.05, max(2, round(length / 1.2) + 1)):
        part.block((x, 0, 0), (0.04, 0.06, 0.75), steel, faces="xXyYZ")
    for z in (0.35, 0.7):
        part.block((0, 0, z), (length, 0.3, 0.02), glass)
        for x in np.arange(-length / 2 + 0.1, length / 2 - 0.1, 0.13):
            if scene.rng.random() < 0.75 * scene.clutter:
                place = top.at((float(x), scene.uniform(-0.09, 0.09), z + 0.02))
                build_bottle(place, scene, height=scene.uniform(0.15, 0.26))


def build_fume_hood(wall: Part, scene: Scene, *, width: float = 1.5, height: float = 2.4) -> None:
    """Build a fume hood against a wall frame, middle of its back at the origin, sash half open."""
    part = wall.add("machine")
    white, steel = textures.enamel((0.82, 0.84, 0.85), scene.variant()), textures.steel((0.62, 0.63, 0.64), 1)
    half, depth = width / 2, 0.8
    part.box((-half, -depth, 0), (half, 0, 0.86), white, faces="xXy")
    for i in range(2):
        x0 = -half + i * half
        part.box(
            (x0 + 0.02, -depth - 0.018, 0.1),
            (x0 + half - 0.02, -depth, 0.8),
            textures.plastic(scene.accent),
            faces="xXyzZ",
        )
    part.box((-half, -depth, 0.86), (half, 0, 0.92), textures.terrazzo((0.24, 0.25, 0.26), 1))
    for x in (-half, half - 0.1):
        part.box((x, -depth, 0.92), (x + 0.1, 0, height), white)
    part.box((-half, -depth, 1.95), (half, 0, height), white)
    part.box(
        (-half + 0.1, -0.06, 0.92),
        (half - 0.1, 0.0, 1.95),
        textures.tiles((0.80, 0.82, 0.82), 0, 0.2),
        faces="y",
    )
    sash = 0.92 + scene.uniform(0.35, 0.6)
    part.box((-half + 0.1, -depth + 0.02, sash), (half - 0.1, -depth + 0.04, sash + 0.05), steel)
    part.box(
        (-half + 0.1, -depth + 0.025, sash + 0.05),
        (half - 0.1, -depth + 0.035, 1.95),
        textures.plastic((0.58, 0.68, 0.72)),
        faces="yY",
    )
    build_screen(part.at((half - 0.05, -depth - 0.003, 1.5)), scene, width=0.07, height=0.14)
    for x in np.arange(-half + 0.3, half - 0.2, 0.24):
        if scene.rng.random() < 0.7 * scene.clutter:
            build_glassware(wall.at((float(x), -0.45, 0.92)), scene)
    part.cylinder((0, -0.4, height), (0, -0.4, height + 0.6), 0.13, steel, sides=10, caps=False)


def litter_bench(top: Part, scene: Scene, *, length: float, y: float) -> None:
    """Put instruments and glassware along one side of a bench top; y is their distance from its middle line."""
    rng = scene.rng
    turn = 0.0 if y < 0 else np.pi
    x = -length / 2 + 0.3
    while x < length / 2 - 0.25:
        step = 0.3
        if scene.clutter > 0 and rng.random() < 0.25 + 0.65 * scene.clutter:
            place = top.at((x, y, 0), turn + scene.normal(0.12))
            sort = rng.choice(7, p=[0.12, 0.2, 0.14, 0.24, 0.14, 0.08, 0.08])
            if sort == 0:
                build_microscope(place, scene)
            elif sort == 1:
                build_analyser(place, scene)
                step = 0.75
            elif sort == 2:
                build_tube_rack(place, scene)
            elif sort == 5:
                build_monitor(place, scene)
                step = 0.7
            elif sort == 6:
                build_paper(place, scene)
            else:
                for shift in (-0.1, 0.08):
                    build_glassware(place.at((shift, scene.uniform(-0.08, 0.08), 0)), scene)
        x += step + scene.uniform(0.05, 0.25)


def build_stool(frame: Part, scene: Scene) -> None:
    """Stand a round laboratory stool."""
    part = frame.add("chair")
    steel = textures.steel((0.62, 0.63, 0.64), 1)
    for i in range(4):
        angle = np.pi / 4 + i * np.pi / 2
        part.beam(
            (0.2 * np.cos(angle), 0.2 * np.sin(angle), 0.015),
            (0.09 * np.cos(angle), 0.09 * np.sin(angle), 0.56),
            0.03,
            0.03,
            steel,
        )
    part.cylinder(
        (0, 0, 0.56),
        (0, 0, 0.62),
        0.17,
        textures.plastic(pick(scene.taste, (scene.accent, (0.15, 0.15, 0.16)))),
        sides=14,
    )
