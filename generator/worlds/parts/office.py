"""Office furniture: desks, task chairs, monitors, cabinets, partitions and boards."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, pick, shade
from generator.worlds.mesh import Part
from generator.worlds.parts.small import build_books, build_bottle, build_cup, build_paper
from generator.worlds.scene import WOODS, Scene
from generator.worlds.world import Material


def build_desk(
    frame: Part, scene: Scene, *, top: Material, width: float = 1.6, depth: float = 0.8, height: float = 0.74
) -> Part:
    """Build a desk centred on the origin, user at -y; return a frame on the middle of its top."""
    part = frame.add("desk")
    steel = textures.steel((0.66, 0.67, 0.68), 1)
    part.block((0, 0, height - 0.03), (width, depth, 0.03), top)
    for x in (-width / 2 + 0.06, width / 2 - 0.06):
        part.block((x, 0, 0.0), (0.06, depth * 0.85, 0.03), steel)
        part.block((x, 0.05, 0.03), (0.06, 0.1, height - 0.06), steel)
    part.box(
        (-width / 2 + 0.1, depth / 2 - 0.1, 0.35), (width / 2 - 0.1, depth / 2 - 0.08, height - 0.03), top
    )
    return frame.at((0, 0, height))


def furnish_desk(top: Part, scene: Scene, *, width: float = 1.6) -> None:
    """Put a monitor or two, a keyboard, and things according to clutter on a desk."""
    rng = scene.rng
    if scene.clutter == 0.0:
        return
    screens = 1 + int(rng.random() < 0.4)
    for i in range(screens):
        x = (i - (screens - 1) / 2) * 0.6 + scene.normal(0.03)
        build_monitor(top.at((x, 0.15, 0), scene.normal(0.12)), scene)
    board = top.add("monitor", (0.0, -0.18, 0))
    board.block((0, 0, 0), (0.42, 0.14, 0.02), textures.plastic(NAMED["black"]))
    for _ in range(scene.count(0, 4)):
        place = top.at(
            (scene.uniform(-0.42, 0.42) * width, scene.uniform(-0.3, 0.25), 0),
            scene.uniform(-0.6, 0.6),
        )
        (build_paper, build_cup, build_bottle, build_paper)[int(rng.integers(4))](place, scene)
    if scene.chance(0.3 * scene.clutter + 0.1):
        build_books(top.at((-0.45 * width, 0.35, 0)), scene, width=0.3)


def build_monitor(frame: Part, scene: Scene, *, width: float = 0.55, height: float = 0.33) -> None:
    """Stand a monitor on the origin that faces -y and shows windows."""
    part = frame.add("monitor")
    case = textures.plastic((0.13, 0.13, 0.14))
    part.block((0, 0.03, 0), (0.22, 0.18, 0.012), case)
    part.block((0, 0.05, 0), (0.05, 0.03, 0.2), case)
    part.box((-width / 2, 0, 0.12), (width / 2, 0.035, 0.12 + height), case)
    build_screen(part.at((0, -0.002, 0.12 + height / 2)), scene, width=width - 0.03, height=height - 0.03)


def build_screen(part: Part, scene: Scene, *, width: float, height: float) -> None:
    """Add the lit face of a screen of the same instance, in y = 0 facing -y, about the origin."""
    rng = scene.rng
    ground = ((0.16, 0.30, 0.48), (0.72, 0.76, 0.80), (0.14, 0.16, 0.20), (0.22, 0.42, 0.40))[
        int(rng.integers(4))
    ]
    rectangles = [((-0.5, -0.5, 0.5, 0.5), ground)]
    for _ in range(int(rng.integers(1, 4))):
        x, z = rng.uniform(-0.45, 0.1), rng.uniform(-0.45, 0.1)
        tone = ((0.92, 0.93, 0.94), (0.30, 0.55, 0.75), (0.85, 0.60, 0.25), (0.40, 0.65, 0.45))[
            int(rng.integers(4))
        ]
        rectangles.append(
            ((x, z, min(0.46, x + rng.uniform(0.2, 0.6)), min(0.44, z + rng.uniform(0.15, 0.6))), tone)
        )
    for i, ((x0, z0, x1, z1), tone) in enumerate(rectangles):
        y = -0.001 * i
        corners = np.array([[(x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)]]) * (width, 1, height)
        part.quads(corners, textures.glowing(tone, 0.55))


def build_task_chair(frame: Part, scene: Scene, *, cloth: Material) -> None:
    """Build a swivel chair on a star base; who sits on it faces -y."""
    part = frame.add("chair")
    black = textures.plastic((0.14, 0.14, 0.15))
    for i in range(5):
        angle = 2 * np.pi * i / 5 + 0.3
        foot = (0.3 * float(np.cos(angle)), 0.3 * float(np.sin(angle)), 0.06)
        part.beam((0, 0, 0.09), foot, 0.05, 0.04, black)
        part.block((foot[0], foot[1], 0.0), (0.05, 0.05, 0.06), black)
    part.cylinder((0, 0, 0.08), (0, 0, 0.44), 0.03, textures.steel((0.6, 0.6, 0.62)), sides=8)
    part.cushion((-0.24, -0.24, 0.44), (0.24, 0.22, 0.52), cloth, bevel=0.03)
    part.beam((0, 0.2, 0.46), (0, 0.29, 0.75), 0.06, 0.03, black)
    part.cushion((-0.22, 0.23, 0.58), (0.22, 0.30, 1.0), cloth, bevel=0.03)
    for x in (-0.28, 0.28):
        part.box((x - 0.025, -0.1, 0.66), (x + 0.025, 0.15, 0.69), black)
        part.box((x - 0.02, 0.0, 0.48), (x + 0.02, 0.05, 0.66), black)


def build_chair(frame: Part, scene: Scene, *, seat: Material, frame_material: Material | None = None) -> None:
    """Build a four-legged chair; who sits on it faces -y."""
    part = frame.add("chair")
    legs = frame_material or seat
    for x in (-0.19, 0.19):
        part.box((x - 0.018, -0.2, 0), (x + 0.018, -0.164, 0.44), legs)
        part.box((x - 0.018, 0.17, 0), (x + 0.018, 0.206, 0.88), legs)
    part.box((-0.22, -0.22, 0.44), (0.22, 0.21, 0.48), seat)
    part.box((-0.2, 0.172, 0.62), (0.2, 0.2, 0.86), seat)


def build_partition(
    frame: Part, scene: Scene, *, cloth: Material, length: float, height: float = 1.2
) -> None:
    """Build a cloth partition along x, centred on the origin."""
    part = frame.add("partition")
    rail = textures.plastic((0.72, 0.73, 0.74))
    part.block((0, 0, 0.08), (length, 0.05, height - 0.11), cloth, faces="xXyY")
    part.block((0, 0, height - 0.03), (length, 0.06, 0.03), rail)
    for x in (-length / 2 + 0.1, length / 2 - 0.1):
        part.block((x, 0, 0), (0.06, 0.3, 0.08), rail)


def build_whiteboard(wall: Part, scene: Scene, *, width: float = 1.8, height: float = 1.1) -> None:
    """Hang a board on a wall frame, its middle at the origin: strokes of a plan and some notes."""
    rng = scene.rng
    part = wall.add("sign")
    part.box(
        (-width / 2, -0.025, -height / 2),
        (width / 2, 0, height / 2),
        textures.steel((0.6, 0.61, 0.62)),
        faces="xXyzZ",
    )
    part.box(
        (-width / 2 + 0.03, -0.028, -height / 2 + 0.03),
        (width / 2 - 0.03, -0.025, height / 2 - 0.03),
        textures.plastic((0.92, 0.93, 0.93)),
        faces="y",
    )
    for i in range(int(rng.integers(4, 9)) if scene.clutter else 0):
        x, z = rng.uniform(-0.42, 0.25) * width, rng.uniform(-0.38, 0.3) * height
        ink = textures.plastic(
            shade(
                pick(
                    scene.taste,
                    (NAMED["blue"], NAMED["red"], NAMED["green"], NAMED["black"], NAMED["yellow"]),
                ),
                1.0,
            )
        )
        size = (rng.uniform(0.15, 0.5), 0.03) if rng.random() < 0.6 else (0.11, 0.11)
        part.box((x, -0.031 - 0.0005 * i, z), (x + size[0], -0.029, z + size[1]), ink, faces="y")


def desk_top(scene: Scene) -> Material:
    """Choose the finish of desk tops: wood, or white or grey laminate."""
    return scene.furniture(
        textures.wood(pick(scene.taste, WOODS), scene.variant()),
        textures.plastic((0.84, 0.84, 0.82), scene.variant()),
        textures.wood(pick(scene.taste, WOODS[1:4:2]), scene.variant()),
    )
