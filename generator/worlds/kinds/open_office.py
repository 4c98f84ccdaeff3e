"""An open office: rows of desks with screens and swivel chairs, windows on one side, cabinets and boards."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, mix, pick
from generator.worlds.mesh import Part
from generator.worlds.parts.doors import build_door, build_windows
from generator.worlds.parts.lamps import panel_light
from generator.worlds.parts.office import (
    build_desk,
    build_partition,
    build_task_chair,
    build_whiteboard,
    desk_top,
    furnish_desk,
)
from generator.worlds.parts.shell import Room, build_room, hole_row, skirting
from generator.worlds.parts.small import build_bin, build_picture, build_plant
from generator.worlds.parts.storage import build_cabinet, build_drawers, build_shelf_unit
from generator.worlds.parts.street import build_column
from generator.worlds.scene import PASTELS, WOODS, Scene, Viewpoint
from generator.worlds.world import Material

AISLE = 1.15
"""Half the width of the free aisle in front of the camera [m]."""


def build(scene: Scene) -> Viewpoint:
    """Furnish an open office and return the viewpoint along its aisle."""
    rng = scene.rng
    width, depth = max(6.4, scene.width(7.4, 10.0)), scene.length(7.0, 10.5)
    height = scene.uniform(2.6, 3.2)
    lit = "left" if rng.random() < 0.5 else "right"
    holes = hole_row(
        depth + 3.0, int(rng.integers(2, 4)), width=scene.uniform(1.8, 2.6), sill=0.85, height=1.5
    )
    room = Room(-width / 2, width / 2, -3.0, depth, height, {lit: holes})
    _shell(scene, room)
    wall, _ = room.wall_frame(scene.frame(), lit)
    build_windows(wall, scene, holes, panes=2, power=0.35)
    side = 1 if lit == "left" else -1
    aisle = side * scene.uniform(0.0, 0.12) * width
    _desks(scene, room, aisle)
    _far_wall(scene, room, aisle)
    _long_wall(scene, room, "right" if lit == "left" else "left")
    for x in (-0.25, 0.25):
        for y in (0.4, 0.75):
            spot = (x * width, room.back + y * (depth + 3.0), height)
            panel_light(scene.frame(spot), width=0.6, length=1.2)
    if scene.chance(0.4):
        column = textures.paint(pick(scene.taste, PASTELS), scene.variant())
        build_column(scene.frame((aisle - side * 1.6, 0.62 * depth, 0)), column, width=0.4, height=height)
    eye = (
        aisle + scene.uniform(-0.2, 0.2),
        scene.uniform(-0.6, 0.1),
        scene.uniform(1.4, 1.65),
    )
    yaw = side * scene.uniform(0.05, 0.3)
    return Viewpoint(eye, yaw, scene.uniform(0.07, 0.16), scene.degrees(64, 75))


def _shell(scene: Scene, room: Room) -> None:
    """Build the room's surfaces."""
    plain = textures.paint(pick(scene.taste, PASTELS), scene.variant())
    bare = textures.brick(pick(scene.taste, ((0.62, 0.36, 0.27), (0.78, 0.75, 0.70))), scene.variant())
    cast = textures.concrete((0.66, 0.65, 0.63), scene.variant())
    tones = (
        (0.34, 0.37, 0.42),
        (0.46, 0.43, 0.39),
        (0.36, 0.43, 0.40),
        mix(scene.accent, (0.4, 0.4, 0.42), 0.6),
    )
    soft = textures.carpet(pick(scene.taste, tones), scene.variant())
    boards = textures.planks(pick(scene.taste, WOODS), scene.variant())
    ceiling = textures.ceiling_tiles(
        pick(scene.taste, ((0.87, 0.87, 0.85), (0.80, 0.80, 0.79))), scene.variant()
    )
    floor = scene.floor(soft, soft, boards)
    build_room(scene, room, wall=scene.wall(plain, plain, bare, cast), floor=floor, ceiling=ceiling)
    skirting(scene, room, textures.paint(pick(scene.taste, ((0.40, 0.41, 0.43), (0.85, 0.85, 0.83))), 0))


def _desks(scene: Scene, room: Room, aisle: float) -> None:
    """Set rows of facing pairs of desks on both sides of the aisle."""
    top = desk_top(scene)
    screen = textures.fabric(
        pick(scene.taste, (scene.accent, (0.50, 0.53, 0.56), (0.36, 0.42, 0.48))), scene.variant()
    )
    seat = textures.fabric(
        pick(scene.taste, (scene.accent, NAMED["black"], (0.30, 0.33, 0.38))), scene.variant()
    )
    screened = scene.chance(0.6)
    width, pitch = scene.uniform(1.4, 1.65), scene.uniform(2.9, 3.4)
    for sign in (-1, 1):
        edge = room.right if sign > 0 else room.left
        free = abs(edge - aisle) - AISLE - 0.35
        columns = min(3, int(free // width))
        for i in range(columns):
            x = aisle + sign * (AISLE + (i + 0.5) * width)
            for y in np.arange(2.6, min(room.front - 1.5, 9.5), pitch):
                _pair(scene, scene.frame((x, float(y), 0)), top, seat, screen if screened else None, width)


def _pair(
    scene: Scene, frame: Part, top: Material, seat: Material, screen: Material | None, width: float
) -> None:
    """Set two desks face to face with their chairs, a partition and drawers."""
    rng = scene.rng
    for yaw in (0.0, np.pi):
        place = frame.at((0, 0, 0), yaw)
        surface = build_desk(place.at((0, -0.41, 0)), scene, top=top, width=width - 0.04)
        furnish_desk(surface, scene, width=width)
        turn = np.pi + scene.normal(0.35)
        if scene.clutter > 0 or rng.random() < 0.5:
            build_task_chair(place.at((scene.normal(0.1), -1.02, 0), turn), scene, cloth=seat)
        if rng.random() < 0.55:
            build_drawers(
                place.at((0.32 * width, -0.42, 0), np.pi * 0),
                scene,
                face=textures.plastic((0.74, 0.75, 0.75)),
                height=0.58,
            )
        if rng.random() < 0.3 * scene.clutter:
            build_bin(place.at((-0.38 * width, -0.75, 0)), scene)
    if screen is not None:
        build_partition(frame, scene, cloth=screen, length=width - 0.02)


def _far_wall(scene: Scene, room: Room, aisle: float) -> None:
    """Hang a board or pictures on the far wall, with a door at the end of the aisle and low cabinets."""
    rng = scene.rng
    wall, extent = room.wall_frame(scene.frame(), "front")
    door = aisle - room.left
    build_door(wall.at((door, 0, 0)), scene, width=float(rng.choice([0.95, 1.6])), glazed=scene.chance(0.5))
    face = scene.furniture(
        textures.plastic((0.82, 0.82, 0.80), 1),
        textures.wood(pick(scene.taste, WOODS), scene.variant()),
        textures.enamel((0.55, 0.58, 0.61), 2),
    )
    for sign in (-1, 1):
        middle = (door + (0.0 if sign < 0 else extent)) / 2 + sign * 0.3
        free = abs(middle - door) - 1.1
        if free < 0.6:
            continue
        if scene.chance(0.55):
            build_whiteboard(wall.at((middle, 0, 1.6)), scene, width=min(2.2, 2 * free))
        else:
            build_picture(wall.at((middle, 0, 1.6)), scene, width=min(1.3, 2 * free), height=0.9)
        if scene.clutter > 0 and free > 0.8:
            lid = build_cabinet(wall.at((middle, 0, 0)), scene, face=face, width=1.5, height=0.8, doors=3)
            if scene.chance(0.5):
                build_plant(lid.at((0.4, 0, 0)), scene, height=0.5)
    if scene.chance(0.7):
        build_plant(
            wall.at((door + (1.0 if door < extent / 2 else -1.0), -0.4, 0)),
            scene,
            height=scene.uniform(1.1, 1.7),
        )


def _long_wall(scene: Scene, room: Room, side: str) -> None:
    """Line the wall without windows with shelves, pictures and boards."""
    wall, extent = room.wall_frame(scene.frame(), side)
    wood = scene.furniture(
        textures.wood(pick(scene.taste, WOODS), scene.variant()), textures.plastic((0.84, 0.84, 0.82), 1)
    )
    for u in np.arange(2.0, extent - 1.0, 2.1):
        if scene.chance(0.25 + 0.4 * scene.clutter):
            build_shelf_unit(wall.at((float(u), 0, 0)), scene, wood=wood, width=1.0, depth=0.34, office=True)
        elif scene.chance(0.6):
            spot = wall.at((float(u), 0, 1.6))
            build_picture(spot, scene, width=scene.uniform(0.6, 1.1), height=scene.uniform(0.5, 0.9))
