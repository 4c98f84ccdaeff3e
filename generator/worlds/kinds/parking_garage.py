"""A parking garage: a drive between two rows of bays with cars, columns, pipes under a low ceiling."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, RGB, pick
from generator.worlds.parts.doors import build_door, build_shutter
from generator.worlds.parts.industry import build_pipe
from generator.worlds.parts.lamps import strip_light
from generator.worlds.parts.shell import Room, build_room, wall_band
from generator.worlds.parts.signs import build_hanging_sign, build_wall_sign, code, floor_line, write
from generator.worlds.parts.street import build_column, build_cone, build_extinguisher
from generator.worlds.parts.vehicles import build_car
from generator.worlds.scene import CONCRETES, Scene, Viewpoint

PAINTS: tuple[RGB, ...] = (
    (0.78, 0.79, 0.80), (0.20, 0.21, 0.23), (0.88, 0.88, 0.87), (0.55, 0.57, 0.60), (0.60, 0.11, 0.11),
    (0.13, 0.25, 0.48), (0.18, 0.36, 0.28), (0.70, 0.62, 0.48), (0.32, 0.44, 0.58),
)  # fmt: skip
BAY = 2.6
"""Width of a parking bay [m]."""
BAY_LENGTH = 4.9


def build(scene: Scene) -> Viewpoint:
    """Furnish a parking garage and return the viewpoint along its drive."""
    rng = scene.rng
    drive = float(np.clip(scene.width(5.4, 6.4), 4.4, 9.0))
    bays = int(np.clip(round(scene.length(13.0, 21.0) / BAY), 4, 11))
    height = scene.uniform(2.45, 2.95)
    half = drive / 2 + BAY_LENGTH
    start = -BAY
    room = Room(-half, half, -4.6, start + bays * BAY + scene.uniform(2.5, 5.0), height)
    _shell(scene, room)
    _bays(scene, drive, bays, start, height)
    _overhead(scene, room, drive)
    _end_wall(scene, room)
    for x in (0.0,):
        floor_line(scene, x, 2.5, 4.0, width=0.14, colour=NAMED["white"])
        floor_line(scene, x, 6.0, 7.5, width=0.14, colour=NAMED["white"])
    for _ in range(scene.count(0, 4)):
        side = 1 if rng.random() < 0.5 else -1
        spot = (side * scene.uniform(0.3, 0.46) * drive, scene.uniform(3.0, 9.0), 0.0)
        if scene.claim(spot[0], spot[1], 0.25):
            build_cone(scene.frame(spot))
    eye = (
        scene.uniform(-0.18, 0.18) * drive,
        scene.uniform(-1.2, 0.5),
        scene.uniform(1.35, 1.6),
    )
    yaw = float(np.clip(rng.normal(0, 0.16), -0.35, 0.35))
    return Viewpoint(eye, yaw, scene.uniform(0.01, 0.09), scene.degrees(64, 75))


def _shell(scene: Scene, room: Room) -> None:
    """Build walls with a coloured band, floor and ceiling with beams."""
    rng = scene.rng
    cast = textures.concrete(pick(scene.taste, CONCRETES), scene.variant())
    white = textures.paint(pick(scene.taste, ((0.84, 0.84, 0.81), (0.76, 0.77, 0.76))), scene.variant())
    block = textures.tiles((0.74, 0.73, 0.70), scene.variant(), 0.4, (0.60, 0.59, 0.57))
    dark = textures.asphalt(pick(scene.taste, ((0.34, 0.34, 0.35), (0.42, 0.42, 0.42))), scene.variant())
    coated = textures.slab(
        pick(scene.taste, ((0.50, 0.51, 0.52), (0.46, 0.50, 0.48), (0.56, 0.52, 0.47))), scene.variant()
    )
    wall = scene.wall(cast, white, block)
    soffit = textures.concrete(pick(scene.taste, ((0.70, 0.69, 0.67), (0.78, 0.78, 0.76))), scene.variant())
    build_room(scene, room, wall=wall, floor=scene.floor(dark, coated, coated), ceiling=soffit)
    band = textures.paint(scene.accent, scene.variant())
    for side in ("left", "right", "front"):
        frame, extent = room.wall_frame(scene.add("wall"), side)
        wall_band(frame, extent, 1.0, float(1.0 + rng.uniform(0.35, 0.6)), band, [])
    for y in np.arange(room.back + 1.0, room.front, 2 * BAY):
        beam = scene.add("ceiling", (0, float(y), room.height))
        beam.box((room.left, -0.2, -0.28), (room.right, 0.2, 0.0), soffit, faces="yYz")


def _bays(scene: Scene, drive: float, bays: int, start: float, height: float) -> None:
    """Mark the bays, set columns between every other pair, and park cars."""
    rng = scene.rng
    full = (0.0, 0.35, 0.62, 0.92)[("empty", "tidy", "normal", "cluttered").index(scene.words.clutter)]
    cast = textures.concrete(pick(scene.taste, CONCRETES), scene.variant())
    line = textures.enamel(pick(scene.taste, (NAMED["white"], NAMED["white"], NAMED["yellow"])), 1)
    width = scene.uniform(0.4, 0.55)
    for sign in (-1, 1):
        mark = scene.add("floor_marking", (0, 0, 0.002))
        for i in range(bays + 1):
            x0, x1 = sorted((sign * (drive / 2 + 0.1), sign * (drive / 2 + BAY_LENGTH - 0.1)))
            y = start + i * BAY
            mark.quads(
                np.array([[(x0, y - 0.05, 0), (x1, y - 0.05, 0), (x1, y + 0.05, 0), (x0, y + 0.05, 0)]]), line
            )
            if i % 2 == 0 and i > 0:
                spot = (sign * (drive / 2 + 0.65), y, 0.0)
                build_column(
                    scene.frame(spot), cast, width=width, height=height, band=scene.accent, text=code(scene)
                )
        for i in range(bays):
            if rng.random() < full and start + i * BAY > -0.5:
                spot = (
                    sign * (drive / 2 + 2.6 + rng.normal(0, 0.12)),
                    start + (i + 0.5) * BAY + rng.normal(0, 0.08),
                    0.0,
                )
                nose_out = rng.random() < 0.3
                colour = scene.colour(*PAINTS) if rng.random() < 0.4 else pick(rng, PAINTS)
                turn = (1 if sign > 0 else -1) * (-1 if nose_out else 1) * np.pi / 2
                build_car(
                    scene.frame(spot, turn + scene.normal(0.02)),
                    scene,
                    colour,
                    variant=int(rng.integers(3)),
                )


def _overhead(scene: Scene, room: Room, drive: float) -> None:
    """Hang strip lights over the drive and run pipes along it."""
    rng = scene.rng
    count = int(np.clip(round((room.front - room.back) / 4.2), 3, 7))
    pitch = (room.front - room.back) / count
    offset = scene.uniform(-0.25, 0.25) * drive
    for i in range(count):
        strip_light(
            scene.frame((offset, room.back + (i + 0.5) * pitch, room.height)),
            length=1.6,
            width=0.28,
            drop=0.12,
        )
    paint = textures.enamel(
        pick(scene.taste, (NAMED["red"], (0.6, 0.62, 0.64), (0.75, 0.75, 0.73))), scene.variant()
    )
    duct = textures.steel((0.66, 0.67, 0.68), scene.variant())
    x = (1 if rng.random() < 0.5 else -1) * (drive / 2 + 0.1)
    for i in range(int(rng.integers(1, 4))):
        z, y0, y1 = room.height - 0.38, room.back + 0.1, room.front - 0.1
        build_pipe(scene.frame(), (x + 0.22 * i, y0, z), (x + 0.22 * i, y1, z), 0.055, paint)
    if scene.chance(0.6):
        pipe = scene.add("pipe", (-np.sign(x) * (drive / 2 + 1.4), 0, room.height - 0.62))
        pipe.box((-0.35, room.back + 0.05, 0), (0.35, room.front - 0.05, 0.32), duct, faces="xXz")
    build_hanging_sign(
        scene.frame((-offset, scene.uniform(6.5, 9.0), min(2.2, room.height - 0.5))), scene, rise=0.1
    )


def _end_wall(scene: Scene, room: Room) -> None:
    """Close the drive with a gate, doors to the stairs, or a big level number."""
    wall, extent = room.wall_frame(scene.frame(), "front")
    middle = extent / 2
    if scene.chance(0.5):
        build_shutter(wall.at((middle, 0, 0)), scene, width=3.2, height=2.1)
    else:
        build_door(wall.at((middle + scene.uniform(-1.5, 1.5), 0, 0)), scene, width=1.6, height=2.0)
    write(wall.add("sign", (middle - 3.4, -0.01, 1.75)), code(scene), 0.8, NAMED["black"])
    build_extinguisher(wall.at((middle + 2.1, 0, 0)))
    build_wall_sign(wall.at((middle + 2.9, 0, 1.8)), scene, width=0.7, height=0.45)
