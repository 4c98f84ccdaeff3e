"""Laboratory instruments and glassware that stand on benches and trolleys."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, RGB, pick
from generator.worlds.mesh import Part
from generator.worlds.parts.office import build_screen
from generator.worlds.scene import Scene

LIQUIDS: tuple[RGB, ...] = (
    (0.25, 0.45, 0.75),
    (0.80, 0.55, 0.15),
    (0.70, 0.85, 0.88),
    (0.35, 0.65, 0.40),
    (0.75, 0.30, 0.35),
)


def build_glassware(frame: Part, scene: Scene) -> None:
    """Stand a conical flask, a beaker or a cylinder with coloured liquid."""
    part = frame.add("bottle")
    rng = scene.rng
    glass = textures.plastic((0.80, 0.86, 0.87))
    liquid = textures.plastic(LIQUIDS[int(rng.integers(len(LIQUIDS)))])
    sort = rng.integers(3)
    if sort == 0:
        part.turned([(0.08, 0), (0.05, 0.09)], liquid, sides=10, caps=False)
        part.turned([(0.05, 0.09), (0.02, 0.16), (0.022, 0.2)], glass, sides=10)
    elif sort == 1:
        part.cylinder((0, 0, 0), (0, 0, 0.08), 0.055, liquid, sides=10)
        part.cylinder((0, 0, 0.08), (0, 0, 0.14), 0.055, glass, sides=10)
    else:
        part.cylinder((0, 0, 0), (0, 0, 0.02), 0.05, glass, sides=8)
        part.cylinder((0, 0, 0.02), (0, 0, 0.2), 0.022, liquid, sides=8)
        part.cylinder((0, 0, 0.2), (0, 0, 0.3), 0.022, glass, sides=8)


def build_microscope(frame: Part, scene: Scene) -> None:
    """Stand a microscope; its user is at -y."""
    part = frame.add("instrument")
    body, dark = textures.plastic((0.86, 0.87, 0.87)), textures.plastic((0.16, 0.17, 0.18))
    part.block((0, 0, 0), (0.2, 0.28, 0.05), body)
    part.block((0, 0.1, 0.05), (0.09, 0.07, 0.3), body)
    part.block((0, -0.01, 0.14), (0.18, 0.16, 0.02), dark)
    part.beam((0, 0.14, 0.34), (0, -0.06, 0.34), 0.1, 0.08, body)
    part.cylinder((0, -0.03, 0.19), (0, -0.03, 0.31), 0.03, dark, sides=8)
    for x in (-0.035, 0.035):
        part.cylinder((x, -0.04, 0.37), (x, -0.14, 0.45), 0.022, dark, sides=8)


def build_analyser(frame: Part, scene: Scene) -> None:
    """Stand a bench-top instrument with a display: a centrifuge, an incubator or an analyser."""
    part = frame.add("instrument")
    width, depth, height = scene.uniform(0.4, 0.65), 0.45, scene.uniform(0.3, 0.55)
    case = textures.plastic(pick(scene.taste, ((0.85, 0.86, 0.86), (0.75, 0.78, 0.80), (0.35, 0.38, 0.42))))
    part.cushion((-width / 2, -depth / 2, 0), (width / 2, depth / 2, height), case, bevel=0.025)
    build_screen(
        part.at((0.2 * width, -depth / 2 - 0.003, 0.72 * height)),
        scene,
        width=0.4 * width,
        height=0.3 * height,
    )
    door = textures.plastic(pick(scene.taste, ((0.18, 0.20, 0.22), scene.accent, (0.55, 0.62, 0.66))))
    part.box(
        (-0.42 * width, -depth / 2 - 0.012, 0.12 * height),
        (0.02 * width, -depth / 2, 0.85 * height),
        door,
        faces="xXyzZ",
    )


def build_tube_rack(frame: Part, scene: Scene) -> None:
    """Stand a rack of test tubes with coloured caps."""
    part = frame.add("instrument")
    part.block(
        (0, 0, 0),
        (0.26, 0.1, 0.07),
        textures.plastic(pick(scene.taste, (scene.accent, NAMED["white"], NAMED["blue"], NAMED["orange"]))),
    )
    cap = textures.plastic(LIQUIDS[int(scene.rng.integers(len(LIQUIDS)))])
    for x in np.linspace(-0.1, 0.1, 5):
        for y in (-0.025, 0.025):
            part.block((x, y, 0.07), (0.028, 0.028, 0.06), cap, faces="xXyYZ")


def build_trolley(frame: Part, scene: Scene) -> None:
    """Stand a steel trolley with two shelves on castors, with things on it; its handle is at -x."""
    part = frame.add("cart")
    steel, grey = textures.steel((0.68, 0.69, 0.70), 1), textures.plastic((0.25, 0.25, 0.26))
    for z in (0.22, 0.82):
        part.block((0, 0, z), (0.8, 0.5, 0.03), steel)
    for x in (-0.38, 0.38):
        for y in (-0.23, 0.23):
            part.block((x, y, 0.1), (0.03, 0.03, 0.82), steel, faces="xXyYZ")
            part.cylinder((x - 0.02, y, 0.05), (x + 0.02, y, 0.05), 0.05, grey, sides=8)
    part.beam((-0.46, -0.23, 0.9), (-0.46, 0.23, 0.9), 0.025, 0.025, steel)
    for x, z in ((-0.2, 0.85), (0.2, 0.85), (0.0, 0.25)):
        if scene.clutter == 0.0:
            continue
        place = frame.at((x, scene.uniform(-0.08, 0.08), z), scene.normal(0.2))
        sort = scene.rng.integers(3)
        if sort == 0:
            build_tube_rack(place, scene)
        elif sort == 1:
            build_glassware(place, scene)
        else:
            place.add("crate").block((0, 0, 0), (0.3, 0.36, 0.16), textures.plastic(scene.accent))
