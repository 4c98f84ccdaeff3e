"""A kitchen: cabinets and appliances along the far wall and one side, a window, a table or an island."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, pick, shade
from generator.worlds.mesh import Part
from generator.worlds.parts.doors import build_door, build_windows
from generator.worlds.parts.home import build_pendant, build_table
from generator.worlds.parts.kitchen import (
    TOP,
    Finish,
    build_base,
    build_hood,
    build_oven,
    build_refrigerator,
    build_sink,
    build_wall_cabinet,
    build_worktop,
    litter,
)
from generator.worlds.parts.lamps import panel_light
from generator.worlds.parts.office import build_chair
from generator.worlds.parts.shell import Room, build_room, skirting
from generator.worlds.parts.small import build_bin, build_bowl, build_picture, build_plant
from generator.worlds.scene import PASTELS, WOODS, Scene, Viewpoint


def build(scene: Scene) -> Viewpoint:
    """Furnish a kitchen and return the viewpoint towards its far corner."""
    width, depth = max(3.4, scene.width(3.8, 5.2)), scene.length(4.2, 5.6)
    height = scene.uniform(2.5, 2.9)
    window = 0.6 * round((0.5 * width + scene.uniform(-0.5, 0.3)) / 0.6)
    hole = (window - 0.65, window + 0.65, 1.1, 2.15)
    side_hole = (1.0, 2.3, 0.9, 2.1)
    lit = scene.chance(0.5)
    room = Room(
        -width / 2, width / 2, -2.4, depth, height, {"front": [hole], "right": [side_hole] if lit else []}
    )
    finish = _finish(scene)
    _shell(scene, room)
    wall, extent = room.wall_frame(scene.frame(), "front")
    build_windows(wall, scene, [hole], panes=2, power=0.8)
    _far_run(scene, wall, extent, finish, window, height)
    wall, extent = room.wall_frame(scene.frame(), "left")
    _side_run(scene, wall, extent, finish, height)
    wall, extent = room.wall_frame(scene.frame(), "right")
    build_windows(wall, scene, room.holes["right"], panes=2, power=0.6)
    _free_side(scene, wall, extent)
    _middle(scene, room, finish)
    for y in (0.3, 0.72):
        spot = (scene.uniform(-0.1, 0.1) * width, room.back + y * (depth + 2.4), height)
        panel_light(scene.frame(spot), width=0.5, length=0.9)
    eye = (
        scene.uniform(-0.02, 0.14) * width,
        scene.uniform(-0.7, -0.2),
        scene.uniform(1.4, 1.62),
    )
    yaw = scene.uniform(-0.02, 0.22)
    return Viewpoint(eye, yaw, scene.uniform(0.1, 0.18), scene.degrees(66, 75))


def _finish(scene: Scene) -> Finish:
    """Choose cabinet fronts, worktop, splash-back and handles."""
    taste = scene.taste
    wood = textures.wood(pick(taste, WOODS), scene.variant())
    tones = (
        (0.88, 0.88, 0.86),
        (0.32, 0.38, 0.42),
        (0.62, 0.70, 0.66),
        (0.36, 0.46, 0.58),
        (0.80, 0.74, 0.62),
        (0.50, 0.56, 0.44),
    )
    base = scene.furniture(
        textures.paint(pick(taste, tones), scene.variant()), wood, textures.paint(pick(taste, tones), 1)
    )
    white = textures.paint((0.88, 0.88, 0.86), scene.variant())
    upper = base if scene.chance(0.6) or scene.words.colour or scene.words.material else white
    stone = textures.terrazzo(
        pick(taste, ((0.22, 0.22, 0.23), (0.72, 0.70, 0.66), (0.48, 0.47, 0.46))), scene.variant()
    )
    block = textures.wood(pick(taste, WOODS), scene.variant())
    tops = (stone, block, textures.concrete((0.55, 0.54, 0.52), scene.variant()))
    glaze = pick(
        taste, ((0.86, 0.86, 0.83), shade(scene.accent, 0.9), (0.55, 0.66, 0.70), (0.78, 0.72, 0.60))
    )
    splash = textures.tiles(glaze, scene.variant(), 0.13, (0.70, 0.69, 0.66))
    handle = textures.steel(pick(taste, ((0.62, 0.62, 0.63), (0.14, 0.14, 0.15), (0.68, 0.55, 0.32))), 1)
    return Finish(base, upper, tops[int(taste.integers(3))], splash, handle)


def _shell(scene: Scene, room: Room) -> None:
    """Build the room's surfaces."""
    plain = textures.paint(pick(scene.taste, PASTELS), scene.variant())
    light, dark = (
        pick(scene.taste, ((0.80, 0.78, 0.73), (0.86, 0.85, 0.82))),
        pick(scene.taste, ((0.30, 0.32, 0.34), shade(scene.accent, 0.8))),
    )
    chess = textures.checker(light, dark, scene.variant(), 0.3)
    square = textures.tiles(
        pick(scene.taste, ((0.68, 0.62, 0.54), (0.60, 0.60, 0.59), (0.72, 0.48, 0.36))), scene.variant(), 0.33
    )
    boards = textures.planks(pick(scene.taste, WOODS), scene.variant())
    ceiling = textures.paint((0.89, 0.89, 0.87), scene.variant())
    build_room(
        scene, room, wall=scene.wall(plain), floor=scene.floor(chess, square, boards, boards), ceiling=ceiling
    )
    skirting(scene, room, textures.paint((0.85, 0.85, 0.83), 0))


def _far_run(scene: Scene, wall: Part, extent: float, finish: Finish, window: float, height: float) -> None:
    """Build the run under the window: base units, sink, oven with hood or wall cabinets, splash-back."""
    splash = wall.add("wall", (0, -0.004, 0))
    splash.box((0, 0, TOP), (extent, 0.003, 1.1), finish.splash, faces="y")
    units, slot = int((extent - 0.02) / 0.6), 0.6
    start = extent - units * slot
    sink = int(np.clip(round((window - start - 0.4) / slot), 0, units - 1))
    choices = [i for i in range(units) if abs(start + (i + 0.5) * slot - window) > 1.0]
    oven = int(scene.rng.choice(choices)) if choices else -1
    for i in range(units):
        place = wall.at((start + i * slot, 0, 0))
        if i == oven:
            build_oven(place, finish)
            build_hood(place, height=height)
            splash.box(
                (start + i * slot - 0.05, 0, 1.1),
                (start + (i + 1) * slot + 0.05, 0.003, 1.55),
                finish.splash,
                faces="y",
            )
            continue
        build_base(place, finish, width=slot, drawers=scene.chance(0.4))
        if abs(start + (i + 0.5) * slot - window) > 0.98:
            build_wall_cabinet(place, finish, width=slot)
            splash.box(
                (start + i * slot, 0, 1.1), (start + (i + 1) * slot, 0.003, 1.45), finish.splash, faces="y"
            )
    build_worktop(wall, finish, width=extent)
    build_sink(wall.at((start + sink * slot, 0, 0)))
    top = wall.at((0, 0, TOP))
    litter(top, scene, low=0.1, high=start + sink * slot - 0.05)
    litter(top, scene, low=start + sink * slot + 0.85, high=extent - 0.1)


def _side_run(scene: Scene, wall: Part, extent: float, finish: Finish, height: float) -> None:
    """Build a run along the left wall that ends before the camera, and a refrigerator at its near end."""
    rng = scene.rng
    length = 0.6 * float(rng.integers(2, 5))
    end = extent - 0.63
    low = end - length
    near = low - 0.66
    for u in np.arange(low, end - 0.3, 0.6):
        place = wall.at((float(u), 0, 0))
        build_base(place, finish, width=0.6, drawers=scene.chance(0.4))
        if rng.random() < 0.6:
            build_wall_cabinet(place, finish, width=0.6)
        else:
            _shelf(scene, place, finish)
    splash = wall.add("wall", (0, -0.004, 0))
    splash.box((low, 0, TOP), (extent, 0.003, 1.45), finish.splash, faces="y")
    build_worktop(wall.at((low, 0, 0)), finish, width=extent - 0.6 - low)
    litter(wall.at((0, 0, TOP)), scene, low=low + 0.05, high=end - 0.05)
    if near > 2.6:
        build_refrigerator(wall.at((near, 0, 0)), scene, height=scene.uniform(1.7, 2.0))
        if near > 4.0 and scene.chance(0.5):
            build_door(wall.at((near - 0.8, 0, 0)), scene)


def _shelf(scene: Scene, wall: Part, finish: Finish) -> None:
    """Hang two open boards with wares on a wall frame, left end at the origin."""
    for z in (1.5, 1.85):
        wall.add("shelf").box((0, -0.25, z), (0.6, 0, z + 0.03), finish.top)
        litter(wall.at((0, 0, z + 0.03)), scene, low=0.05, high=0.55, depth=0.18)


def _free_side(scene: Scene, wall: Part, extent: float) -> None:
    """Hang a picture, stand a plant or a bin along the wall without cabinets."""
    if scene.chance(0.6):
        build_picture(
            wall.at((3.2, 0, 1.55)),
            scene,
            width=scene.uniform(0.4, 0.7),
            height=scene.uniform(0.5, 0.8),
        )
    if scene.chance(0.5):
        build_plant(wall.at((2.6, -0.35, 0)), scene, height=scene.uniform(0.8, 1.3))
    if scene.clutter > 0 and scene.chance(0.6):
        build_bin(wall.at((0.9, -0.25, 0)), scene, height=0.45)


def _middle(scene: Scene, room: Room, finish: Finish) -> None:
    """Set a table with chairs, or an island, between the camera and the far run."""
    rng = scene.rng
    free = room.front - 0.65
    if scene.clutter == 0.0 or free < 3.4:
        return
    place = scene.frame(
        (scene.uniform(0.15, 0.3) * room.right, float(min(free - 1.3, rng.uniform(2.2, 2.8))), 0)
    )
    wood = scene.furniture(
        textures.wood(pick(scene.taste, WOODS), scene.variant()), textures.paint((0.86, 0.86, 0.84), 1)
    )
    top = build_table(place, scene, top=wood, width=scene.uniform(1.0, 1.4), depth=0.8)
    seat = (
        textures.plastic(pick(scene.taste, (scene.accent, NAMED["white"], NAMED["black"])))
        if scene.chance(0.4)
        else wood
    )
    for x in (-0.3, 0.3):
        for sign in (-1, 1):
            if rng.random() < 0.7:
                build_chair(
                    place.at((x, 0.55 * sign, 0), (0 if sign > 0 else np.pi) + scene.normal(0.15)),
                    scene,
                    seat=seat,
                )
    build_bowl(top.at((scene.uniform(-0.2, 0.2), 0, 0)), scene, radius=0.16)
    litter(top.at((0, 0.35, 0)), scene, low=-0.5, high=0.5, depth=0.6)
    build_pendant(
        scene.frame((*place.origin[:2], room.height)), scene, drop=scene.uniform(0.5, 0.75), power=1.2
    )
