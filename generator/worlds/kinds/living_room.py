"""A living room: a suite around a low table on a rug, shelves, a window with curtains, lamps and pictures."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, mix, pick
from generator.worlds.mesh import Part
from generator.worlds.parts.doors import build_door, build_windows
from generator.worlds.parts.home import (
    build_curtains,
    build_floor_lamp,
    build_low_table,
    build_pendant,
    build_rug,
    build_sofa,
    build_television,
    sofa_cloth,
)
from generator.worlds.parts.lamps import panel_light
from generator.worlds.parts.shell import Room, build_room, hole_row, skirting
from generator.worlds.parts.small import (
    build_books,
    build_bottle,
    build_bowl,
    build_cup,
    build_picture,
    build_plant,
)
from generator.worlds.parts.storage import build_drawers, build_shelf_unit
from generator.worlds.scene import PASTELS, WOODS, Scene, Viewpoint
from generator.worlds.world import Material


def build(scene: Scene) -> Viewpoint:
    """Furnish a living room and return the viewpoint towards its seats."""
    rng = scene.rng
    width, depth = max(4.2, scene.width(4.6, 6.2)), scene.length(4.8, 6.4)
    height = scene.uniform(2.5, 3.0)
    front = (
        hole_row(width, 1, width=scene.uniform(1.5, 2.3), sill=0.75, height=1.4) if scene.chance(0.6) else []
    )
    side = (
        hole_row(depth + 2.4, 2, width=1.5, sill=0.75, height=1.4) if not front or scene.chance(0.4) else []
    )
    room = Room(-width / 2, width / 2, -2.4, depth, height, {"front": front, "left": side})
    _shell(scene, room)
    cloth = textures.fabric(
        pick(scene.taste, (mix(scene.accent, (0.8, 0.8, 0.78), 0.4), NAMED["beige"], (0.70, 0.72, 0.72))),
        scene.variant(),
    )
    for name in ("front", "left"):
        wall, _ = room.wall_frame(scene.frame(), name)
        build_windows(wall, scene, room.holes[name], panes=2, power=0.8)
        for low, high, _, top in room.holes[name]:
            build_curtains(
                wall.at(((low + high) / 2, 0, 0)), scene, width=high - low, top=top + 0.12, cloth=cloth
            )
    wood = scene.furniture(
        textures.wood(pick(scene.taste, WOODS), scene.variant()),
        textures.paint((0.85, 0.84, 0.80), scene.variant()),
    )
    _suite(scene, room, wood)
    _far_wall(scene, room, wood)
    _right_wall(scene, room, wood)
    _lamps(scene, room)
    eye = (
        scene.uniform(-0.12, 0.12) * width,
        scene.uniform(-0.8, -0.2),
        scene.uniform(1.35, 1.6),
    )
    yaw = float(rng.normal(0, 0.12) + 0.1 * eye[0])
    return Viewpoint(eye, yaw, scene.uniform(0.1, 0.18), scene.degrees(64, 75))


def _shell(scene: Scene, room: Room) -> None:
    """Build the room's surfaces."""
    plain = textures.paint(pick(scene.taste, PASTELS), scene.variant())
    deep = textures.paint(mix(scene.accent, (0.75, 0.74, 0.72), 0.6), scene.variant())
    papered = pick(scene.taste, PASTELS)
    striped = textures.stripes(papered, mix(papered, (0.6, 0.56, 0.5), 0.3), scene.variant(), 0.24)
    bare = textures.brick(pick(scene.taste, ((0.62, 0.36, 0.27), (0.80, 0.77, 0.72))), scene.variant())
    boards = textures.planks(pick(scene.taste, WOODS), scene.variant(), 14)
    wide = textures.planks(pick(scene.taste, WOODS), scene.variant(), 10)
    soft = textures.carpet(
        pick(scene.taste, ((0.62, 0.58, 0.52), (0.52, 0.53, 0.55), (0.58, 0.50, 0.42))), scene.variant()
    )
    ceiling = textures.paint((0.89, 0.89, 0.87), scene.variant())
    wall = scene.wall(plain, plain, deep, striped, bare)
    build_room(scene, room, wall=wall, floor=scene.floor(boards, wide, soft), ceiling=ceiling)
    skirting(
        scene, room, textures.paint(pick(scene.taste, ((0.88, 0.88, 0.86), (0.45, 0.32, 0.22))), 0), 0.12
    )


def _suite(scene: Scene, room: Room, wood: Material) -> None:
    """Set a sofa and armchairs around a low table on a rug."""
    rng = scene.rng
    cloth = sofa_cloth(scene)
    middle = scene.frame((scene.uniform(-0.3, 0.3), scene.uniform(2.5, 2.9), 0))
    if scene.chance(0.85):
        build_rug(middle, scene, width=scene.uniform(2.0, 2.6), depth=scene.uniform(1.5, 1.9))
    top = build_low_table(middle.at((0, 0, 0.013)), scene, top=wood, width=scene.uniform(0.9, 1.2))
    for _ in range(scene.count(1, 6)):
        spot = top.at((scene.uniform(-0.35, 0.35), scene.uniform(-0.18, 0.18), 0), scene.uniform(-1, 1))
        (build_cup, build_bowl, build_bottle, _flat_books)[int(rng.integers(4))](spot, scene)
    sofa = scene.uniform(1.8, 2.3)
    layout = rng.integers(3)
    if scene.clutter == 0.0 and scene.chance(0.4):
        return
    turns = {0: (0.0, -1), 1: (np.pi / 2, 1), 2: (-np.pi / 2, -1)}
    if layout == 0:
        build_sofa(middle.at((0, 1.15, 0), 0.0), scene, cloth=cloth, width=sofa)
    else:
        yaw, sign = turns[int(layout)]
        build_sofa(middle.at((-sign * 1.35, 0.15, 0), yaw), scene, cloth=cloth, width=sofa)
    other = cloth if scene.chance(0.5) else sofa_cloth(scene)
    for sign in (-1, 1):
        if layout != 0 and sign == (1 if layout == 2 else -1):
            continue
        if rng.random() < 0.75:
            spot = middle.at(
                (sign * 1.4, scene.uniform(-0.1, 0.4), 0),
                -sign * (np.pi / 2) + scene.normal(0.2),
            )
            build_sofa(spot, scene, cloth=other, width=0.92, depth=0.85)


def _flat_books(frame: Part, scene: Scene) -> None:
    """Lay a small pile of books."""
    z = 0.0
    for _ in range(int(scene.rng.integers(1, 4))):
        part = frame.at((0, 0, z), scene.normal(0.2)).add("book")
        part.block(
            (0, 0, 0),
            (0.17, 0.24, 0.03),
            textures.plastic(pick(scene.rng, (scene.accent, NAMED["beige"], NAMED["red"], NAMED["teal"]))),
        )
        z += 0.03


def _far_wall(scene: Scene, room: Room, wood: Material) -> None:
    """Put shelves, a television or pictures on the far wall, clear of its window."""
    wall, extent = room.wall_frame(scene.frame(), "front")
    if room.holes["front"]:
        low, high = room.holes["front"][0][:2]
        for u, free in (((low - 0.35) / 2, low - 0.35), ((high + 0.35 + extent) / 2, extent - high - 0.35)):
            if free > 0.85 and scene.chance(0.6):
                build_shelf_unit(
                    wall.at((u, 0, 0)),
                    scene,
                    wood=wood,
                    width=min(1.0, free),
                    height=scene.uniform(1.6, 2.1),
                )
            elif free > 0.5:
                build_picture(wall.at((u, 0, 1.6)), scene, width=min(0.7, free), height=0.8)
        return
    if scene.chance(0.5):
        build_television(wall.at((extent / 2, 0, 0)), scene, face=wood, width=scene.uniform(1.5, 2.0))
        build_picture(wall.at((0.9, 0, 1.6)), scene, width=0.7, height=0.9)
    else:
        for x, y in ((-0.55, 0.0), (0.35, 0.12), (0.95, -0.1)):
            build_picture(
                wall.at((extent / 2 + x, 0, 1.65 + y)),
                scene,
                width=scene.uniform(0.45, 0.75),
                height=scene.uniform(0.45, 0.7),
            )
    build_shelf_unit(
        wall.at((extent - 0.75, 0, 0)), scene, wood=wood, width=0.95, height=scene.uniform(1.7, 2.2)
    )
    if scene.chance(0.5):
        build_shelf_unit(wall.at((0.75, 0, 0)), scene, wood=wood, width=0.95, height=1.2, rows=3)


def _right_wall(scene: Scene, room: Room, wood: Material) -> None:
    """Give the right wall a door, a chest of drawers and pictures; plants stand in the corners."""
    wall, extent = room.wall_frame(scene.frame(), "right")
    build_door(wall.at((extent - 1.6, 0, 0)), scene)
    build_drawers(wall.at((1.9, -0.28, 0)), scene, face=wood, width=1.0, height=0.85, depth=0.45)
    if scene.clutter > 0:
        build_books(wall.at((1.5, -0.15, 0.85)), scene, width=scene.uniform(0.2, 0.5))
    build_picture(
        wall.at((1.9, 0, 1.65)),
        scene,
        width=scene.uniform(0.6, 1.0),
        height=scene.uniform(0.5, 0.8),
    )
    if scene.chance(0.6):
        build_picture(wall.at((3.4, 0, 1.6)), scene, width=0.6, height=0.8)
    for x in (room.left + 0.4, room.right - 0.45):
        if scene.chance(0.6):
            build_plant(scene.frame((x, room.front - 0.65, 0)), scene, height=scene.uniform(1.1, 1.8))


def _lamps(scene: Scene, room: Room) -> None:
    """Hang a lamp over the table, stand one beside the suite, and light the near part of the room."""
    build_pendant(
        scene.frame((scene.uniform(-0.4, 0.4), 2.7, room.height)),
        scene,
        drop=scene.uniform(0.35, 0.6),
        power=1.6,
    )
    corner = (room.left + 0.45) if scene.chance(0.5) else (room.right - 0.5)
    build_floor_lamp(scene.frame((corner, scene.uniform(3.0, room.front - 0.9), 0)), scene, power=1.3)
    panel_light(scene.frame((0, -0.6, room.height)), width=0.5, length=0.5, power=0.9)
