"""Industrial plant: robots, conveyors, machine tools, fences, pipes and control cabinets."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, pick, shade
from generator.worlds.mesh import Part
from generator.worlds.parts.goods import build_carton, build_crate
from generator.worlds.parts.office import build_screen
from generator.worlds.scene import Scene
from generator.worlds.world import Material


def build_conveyor(
    frame: Part, scene: Scene, *, length: float, width: float = 0.7, height: float = 0.8
) -> Part:
    """Build a roller or belt conveyor along x, centred on the origin; return a frame on its belt."""
    rng = scene.rng
    part = frame.add("conveyor")
    rail = textures.enamel(
        pick(scene.taste, (scene.accent, (0.5, 0.52, 0.54), NAMED["blue"])), scene.variant()
    )
    for y in (-width / 2, width / 2 - 0.05):
        part.box((-length / 2, y, height - 0.14), (length / 2, y + 0.05, height + 0.03), rail)
    if rng.random() < 0.5:
        belt = textures.stripes((0.17, 0.17, 0.18), (0.22, 0.22, 0.23), 1, 0.5)
        part.box(
            (-length / 2, -width / 2 + 0.05, height - 0.06),
            (length / 2, width / 2 - 0.05, height),
            belt,
            faces="xXzZ",
        )
    else:
        steel = textures.steel((0.62, 0.63, 0.65), scene.variant())
        for x in np.arange(-length / 2 + 0.08, length / 2, 0.16):
            part.cylinder(
                (x, -width / 2 + 0.05, height - 0.05),
                (x, width / 2 - 0.05, height - 0.05),
                0.05,
                steel,
                sides=6,
                caps=False,
            )
        part.box(
            (-length / 2, -width / 2 + 0.05, height - 0.13),
            (length / 2, width / 2 - 0.05, height - 0.12),
            rail,
            faces="Z",
        )
    legs = max(2, round(length / 1.6) + 1)
    for x in np.linspace(-length / 2 + 0.1, length / 2 - 0.1, legs):
        for y in (-width / 2, width / 2 - 0.06):
            part.box((x - 0.03, y, 0), (x + 0.03, y + 0.06, height - 0.14), rail, faces="xXyY")
    return frame.at((0, 0, height))


def load_conveyor(belt: Part, scene: Scene, *, length: float) -> None:
    """Put work pieces, crates or cartons on a conveyor."""
    rng = scene.rng
    sort, colour = rng.integers(3), pick(rng, (scene.accent, NAMED["blue"], NAMED["grey"]))
    for x in np.arange(-length / 2 + 0.4, length / 2 - 0.3, 0.7):
        if scene.clutter == 0.0 or rng.random() > 0.25 + 0.6 * scene.clutter:
            continue
        place = belt.at((float(x + rng.uniform(-0.1, 0.1)), 0, 0), scene.normal(0.1))
        if sort == 0:
            build_carton(place, (0.42, 0.34, scene.uniform(0.2, 0.35)), scene, (0.69, 0.54, 0.36))
        elif sort == 1:
            build_crate(place, (0.4, 0.5, 0.24), colour)
        else:
            part = place.add("crate")
            part.block((0, 0, 0), (0.36, 0.36, 0.06), textures.wood((0.6, 0.48, 0.33)))
            part.cylinder((0, 0, 0.06), (0, 0, 0.24), 0.13, textures.steel((0.62, 0.62, 0.63)), sides=10)


def build_machine(
    wall: Part, scene: Scene, *, width: float = 2.2, depth: float = 1.5, height: float = 2.0
) -> None:
    """Build an enclosed machine tool, back at the wall frame's origin: door window, panel, signal lamp."""
    part = wall.add("machine")
    light = textures.enamel(
        pick(scene.taste, ((0.80, 0.81, 0.80), (0.72, 0.75, 0.76), (0.60, 0.63, 0.65))), scene.variant()
    )
    trim = textures.enamel(shade(scene.accent, 0.95), scene.variant())
    dark, half = textures.plastic((0.14, 0.16, 0.18)), width / 2
    part.box((-half, -depth, 0), (half, 0, 0.25), textures.enamel((0.22, 0.23, 0.25)), faces="xXyY")
    part.box((-half, -depth, 0.25), (half, 0, height), light)
    part.box(
        (-half - 0.01, -depth - 0.01, height - 0.3), (half + 0.01, 0.0, height - 0.12), trim, faces="xXy"
    )
    x0, x1 = -half + 0.12, half - 0.75
    part.box((x0, -depth - 0.04, 0.4), (x1, -depth, height - 0.38), light, faces="xXyzZ")
    part.box((x0 + 0.12, -depth - 0.045, 0.9), (x1 - 0.12, -depth - 0.04, height - 0.48), dark, faces="y")
    part.box(
        (x1 - 0.07, -depth - 0.08, 0.75), (x1 - 0.04, -depth - 0.04, 1.35), textures.steel((0.6, 0.6, 0.62))
    )
    part.box(
        (half - 0.62, -depth - 0.1, 0.85),
        (half - 0.1, -depth, height - 0.4),
        textures.enamel((0.30, 0.32, 0.34)),
    )
    build_screen(part.at((half - 0.36, -depth - 0.103, 1.35)), scene, width=0.4, height=0.28)
    for i in range(4):
        button = textures.plastic((NAMED["red"], NAMED["green"], NAMED["yellow"], NAMED["white"])[i])
        part.box(
            (half - 0.54 + 0.11 * i, -depth - 0.12, 1.0), (half - 0.48 + 0.11 * i, -depth - 0.1, 1.06), button
        )
    for i, lamp in enumerate(("green", "yellow", "red")):
        z = height + 0.12 * i
        part.cylinder(
            (half - 0.3, -depth + 0.2, z),
            (half - 0.3, -depth + 0.2, z + 0.12),
            0.05,
            textures.plastic(NAMED[lamp]),
            sides=8,
        )


def build_fence(frame: Part, scene: Scene, *, length: float, height: float = 1.9) -> None:
    """Build a safety fence of posts and bars along x from the origin."""
    part = frame.add("fence")
    post = textures.enamel(pick(scene.taste, (NAMED["yellow"], NAMED["yellow"], scene.accent)), 1)
    count = max(1, round(length / 1.5))
    for x in np.linspace(0, length, count + 1):
        part.block((x, 0, 0), (0.07, 0.07, height), post)
    for z in (0.15, 0.55 * height, height - 0.06):
        part.beam((0, 0, z), (length, 0, z), 0.04, 0.05, post)
    if scene.rng.random() < 0.5:
        panel = textures.plastic(shade(scene.accent, 0.9) if scene.rng.random() < 0.4 else (0.30, 0.32, 0.34))
        part.box((0, -0.01, 0.15), (length, 0.01, 0.5 * height), panel, faces="yYZ")
        return
    bar = textures.plastic((0.2, 0.2, 0.21))
    for x in np.arange(0.25, length - 0.1, 0.25):
        part.block((x, 0, 0.15), (0.025, 0.025, height - 0.2), bar, faces="xXyY")


def build_control_cabinet(
    wall: Part, scene: Scene, *, width: float = 0.8, height: float = 1.9, depth: float = 0.45
) -> None:
    """Build a switch cabinet against a wall frame, middle of its back at the origin."""
    part = wall.add("cabinet")
    paint = textures.enamel(
        pick(scene.taste, ((0.70, 0.71, 0.69), (0.62, 0.64, 0.66), (0.45, 0.50, 0.55))), scene.variant()
    )
    part.box((-width / 2, -depth, 0), (width / 2, 0, 0.1), textures.plastic((0.2, 0.2, 0.2)), faces="xXy")
    part.box((-width / 2, -depth, 0.1), (width / 2, 0, height), paint, faces="xXyZ")
    part.box(
        (-width / 2 + 0.03, -depth - 0.015, 0.13),
        (width / 2 - 0.03, -depth, height - 0.03),
        paint,
        faces="xXyzZ",
    )
    part.box(
        (-0.12, -depth - 0.018, height - 0.5),
        (0.12, -depth - 0.015, height - 0.3),
        textures.plastic(NAMED["yellow"]),
        faces="y",
    )
    for i in range(3):
        knob = textures.plastic((NAMED["red"], NAMED["green"], NAMED["white"])[i])
        part.box(
            (-0.15 + 0.11 * i, -depth - 0.045, height - 0.7),
            (-0.09 + 0.11 * i, -depth - 0.015, height - 0.64),
            knob,
        )


def build_pipe(
    frame: Part,
    start: tuple[float, float, float],
    end: tuple[float, float, float],
    radius: float,
    material: Material,
) -> None:
    """Run a pipe with flanges between two points."""
    part = frame.add("pipe")
    part.cylinder(start, end, radius, material, sides=10)
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    along = (b - a) / np.linalg.norm(b - a)
    for share in (0.15, 0.5, 0.85):
        middle = a + share * (b - a)
        part.cylinder(middle - 0.03 * along, middle + 0.03 * along, 1.35 * radius, material, sides=10)


def build_workbench(wall: Part, scene: Scene, *, width: float = 1.8) -> Part:
    """Build a workbench with a tool board against a wall frame; return a frame on the middle of its top."""
    part = wall.add("table")
    wood = textures.wood(pick(scene.taste, ((0.66, 0.50, 0.33), (0.55, 0.40, 0.26))), scene.variant())
    paint = textures.enamel(
        pick(scene.taste, (scene.accent, (0.4, 0.43, 0.46), NAMED["blue"])), scene.variant()
    )
    part.box((-width / 2, -0.75, 0.84), (width / 2, 0, 0.9), wood)
    for x in (-width / 2 + 0.05, width / 2 - 0.13):
        part.box((x, -0.7, 0), (x + 0.08, -0.62, 0.84), paint, faces="xXyY")
        part.box((x, -0.1, 0), (x + 0.08, -0.02, 0.84), paint, faces="xXyY")
    part.box((width / 2 - 0.65, -0.68, 0.4), (width / 2 - 0.14, -0.05, 0.84), paint, faces="xXyzZ")
    part.box((-width / 2, -0.7, 0.2), (width / 2, -0.05, 0.24), paint)
    part.box((-width / 2, -0.05, 1.1), (width / 2, -0.02, 1.95), paint, faces="xXyzZ")
    for i in range(int(4 + 8 * scene.clutter)):
        x, z = scene.rng.uniform(-0.45, 0.42) * width, scene.rng.uniform(1.2, 1.7)
        tool = textures.plastic((NAMED["red"], NAMED["black"], NAMED["grey"], NAMED["yellow"])[i % 4])
        part.box((x, -0.075, z), (x + 0.035, -0.05, z + scene.rng.uniform(0.12, 0.22)), tool, faces="xXyzZ")
    return wall.at((0, -0.4, 0.9))
