"""A factory cell: a robot behind a fence, a conveyor, machine tools, control cabinets and a work bench."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, jitter, pick
from generator.worlds.mesh import Part
from generator.worlds.parts.doors import build_shutter, build_windows
from generator.worlds.parts.goods import build_carton_stack, build_crate, build_drum
from generator.worlds.parts.industry import (
    build_control_cabinet,
    build_conveyor,
    build_fence,
    build_machine,
    build_pipe,
    build_workbench,
    load_conveyor,
)
from generator.worlds.parts.lamps import high_bay_light, strip_light
from generator.worlds.parts.racks import build_load
from generator.worlds.parts.robot import build_robot_arm
from generator.worlds.parts.shell import Room, build_room, hole_row, wall_band
from generator.worlds.parts.signs import build_wall_sign, floor_area, floor_line
from generator.worlds.parts.small import build_bottle
from generator.worlds.parts.street import build_extinguisher
from generator.worlds.scene import Scene, Viewpoint


@dataclass(frozen=True)
class _Cell:
    """Say where the robot's fenced cell lies."""

    x0: float
    x1: float
    y0: float
    y1: float


def build(scene: Scene) -> Viewpoint:
    """Furnish a factory cell and return the viewpoint towards the robot."""
    rng = scene.rng
    width, depth = max(6.5, scene.width(8.5, 12.0)), scene.length(7.5, 10.0)
    height = scene.uniform(4.2, 5.4)
    high = hole_row(depth + 3.2, 2, width=2.3, sill=height - 1.7, height=1.1)
    bright_side = "left" if rng.random() < 0.5 else "right"
    room = Room(-width / 2, width / 2, -3.2, depth, height, {bright_side: high})
    _shell(scene, room)
    wall, _ = room.wall_frame(scene.frame(), bright_side)
    build_windows(wall, scene, high, panes=3, power=0.35)
    side = 1 if rng.random() < 0.5 else -1
    middle = side * scene.uniform(0.1, 0.2) * width
    half = min(2.1, 0.26 * width)
    cell = _Cell(middle - half, middle + half, scene.uniform(3.0, 3.6), scene.uniform(6.0, 6.6))
    _robot_cell(scene, cell, room)
    _walls(scene, room, side)
    _loose(scene, room, cell, side)
    eye = (
        scene.uniform(-0.08, 0.08) * width,
        scene.uniform(-0.9, -0.2),
        scene.uniform(1.45, 1.7),
    )
    yaw = float(np.arctan2(eye[0] - 0.5 * middle, 5.5) + rng.normal(0, 0.06))
    return Viewpoint(eye, yaw, scene.uniform(0.05, 0.13), scene.degrees(64, 75))


def _shell(scene: Scene, room: Room) -> None:
    """Build walls with a painted base, a coated floor, and a roof with trusses, ducts and lamps."""
    sheet = textures.corrugated(
        pick(scene.taste, ((0.72, 0.74, 0.75), (0.78, 0.77, 0.72), (0.62, 0.68, 0.70))), scene.variant()
    )
    block = textures.tiles((0.76, 0.75, 0.72), scene.variant(), 0.4, (0.63, 0.62, 0.60))
    plain = textures.paint(pick(scene.taste, ((0.80, 0.81, 0.80), (0.82, 0.79, 0.71))), scene.variant())
    bare = textures.brick((0.60, 0.33, 0.25), scene.variant())
    coated = textures.slab(
        pick(scene.taste, ((0.46, 0.50, 0.50), (0.55, 0.54, 0.51), (0.42, 0.48, 0.44), (0.50, 0.52, 0.56))),
        scene.variant(),
    )
    roof = textures.corrugated(
        pick(scene.taste, ((0.66, 0.67, 0.68), (0.75, 0.75, 0.73))), scene.variant(), 0.4
    )
    build_room(
        scene, room, wall=scene.wall(sheet, block, plain, bare), floor=scene.floor(coated), ceiling=roof
    )
    steel = textures.enamel(
        pick(scene.taste, ((0.50, 0.53, 0.57), (0.33, 0.40, 0.48), (0.62, 0.60, 0.55))), scene.variant()
    )
    for y in np.arange(room.back + 1.0, room.front, 2.8):
        truss = scene.add("ceiling", (0, float(y), room.height))
        truss.box((room.left, -0.08, -0.55), (room.right, 0.08, -0.43), steel, faces="yYzZ")
        for x in np.arange(room.left, room.right - 0.9, 0.9):
            truss.beam((x, 0, -0.45), (x + 0.45, 0, -0.02), 0.05, 0.05, steel)
            truss.beam((x + 0.45, 0, -0.02), (x + 0.9, 0, -0.45), 0.05, 0.05, steel)
    duct = textures.steel((0.68, 0.69, 0.70), scene.variant())
    x = scene.uniform(0.2, 0.35) * room.left
    build_pipe(
        scene.frame(),
        (x, room.back + 0.1, room.height - 0.95),
        (x, room.front - 0.1, room.height - 0.95),
        0.24,
        duct,
    )
    bays = scene.chance(0.5)
    for x in (0.5 * room.left, 0.0, 0.5 * room.right):
        for y in (1.2, 5.2):
            if bays:
                high_bay_light(scene.frame((x, y, room.height)), scene, drop=0.65, power=2.5)
            elif x:
                strip_light(scene.frame((x, y, room.height)), length=2.2, width=0.32, drop=0.65)


def _robot_cell(scene: Scene, cell: _Cell, room: Room) -> None:
    """Build the robot, its conveyor and the fence around them, open towards the conveyor."""
    middle = (cell.x0 + cell.x1) / 2
    y = scene.uniform(0.45, 0.6) * cell.y1 + 0.5 * cell.y0
    build_robot_arm(scene.frame((middle, y, 0), scene.normal(0.3)), scene, reach=scene.uniform(1.35, 1.7))
    length = float(min(cell.x1 - cell.x0 + 2.2, room.right - room.left - 1.0))
    start = np.clip(middle, room.left + length / 2 + 0.3, room.right - length / 2 - 0.3)
    belt = build_conveyor(scene.frame((float(start), cell.y0 + 0.75, 0)), scene, length=length)
    load_conveyor(belt, scene, length=length)
    floor_area(scene, (cell.x0 - 0.25, cell.y0 - 0.25), (cell.x1 + 0.25, cell.y1 + 0.25), NAMED["yellow"])
    build_fence(scene.frame((cell.x0, cell.y1, 0)), scene, length=cell.x1 - cell.x0)
    for x in (cell.x0, cell.x1):
        build_fence(scene.frame((x, cell.y0 + 1.4, 0), np.pi / 2), scene, length=cell.y1 - cell.y0 - 1.4)
    if scene.chance(0.5):
        build_fence(
            scene.frame((cell.x0, cell.y0 - 0.1, 0)), scene, length=0.45 * (cell.x1 - cell.x0), height=1.3
        )
    tone = pick(scene.taste, (NAMED["green"], NAMED["grey"], NAMED["white"], NAMED["yellow"]))
    for x in (-0.9, 0.9):
        floor_line(scene, x, room.back + 0.5, cell.y0 - 0.6, colour=tone)


def _pick_stand(frame: Part, scene: Scene) -> None:
    """Build a low stand with work pieces that the robot picks from."""
    part = frame.add("table")
    paint = textures.enamel(pick(scene.taste, (scene.accent, NAMED["grey"])), scene.variant())
    part.block((0, 0, 0.6), (0.9, 0.7, 0.06), textures.steel((0.6, 0.61, 0.62), 1))
    for x in (-0.4, 0.4):
        for y in (-0.3, 0.3):
            part.block((x, y, 0), (0.06, 0.06, 0.6), paint, faces="xXyY")
    for x in (-0.22, 0.22):
        if scene.clutter > 0:
            build_crate(frame.at((x, 0, 0.66)), (0.36, 0.5, 0.22), scene.accent)


def _walls(scene: Scene, room: Room, side: int) -> None:
    """Stand machine tools along the far wall, cabinets and a bench along the sides."""
    rng = scene.rng
    band = textures.paint(jitter(scene.taste, scene.accent, 0.1), scene.variant())
    top = scene.uniform(0.9, 1.4)
    for name in ("front", "left", "right"):
        frame, extent = room.wall_frame(scene.add("wall"), name)
        wall_band(frame, extent, 0.0, top, band, [])
    wall, extent = room.wall_frame(scene.frame(), "front")
    u = 1.3
    while u < extent - 1.2:
        if scene.chance(0.62):
            build_machine(wall.at((u, -0.1, 0)), scene, width=2.2, depth=1.4, height=scene.uniform(1.8, 2.2))
            u += 2.7
        elif scene.chance(0.4):
            build_shutter(wall.at((u, 0, 0)), scene, width=2.0, height=2.6)
            u += 2.8
        else:
            build_control_cabinet(wall.at((u - 0.6, -0.05, 0)), scene)
            u += 1.3
    for name in ("left", "right"):
        wall, extent = room.wall_frame(scene.frame(), name)
        near = (lambda y: y - room.back) if name == "left" else (lambda y: room.front - y)
        build_control_cabinet(wall.at((near(5.6), -0.05, 0)), scene, width=1.0)
        build_wall_sign(wall.at((near(4.6), 0, 2.0)), scene)
        build_extinguisher(wall.at((near(4.6), 0, 0)))
        if (name == "left") == (side > 0):
            bench = build_workbench(wall.at((near(3.0), 0, 0)), scene)
            for _ in range(scene.count(1, 6)):
                spot = bench.at((scene.uniform(-0.8, 0.8), scene.uniform(-0.25, 0.2), 0))
                if rng.random() < 0.5:
                    build_bottle(spot, scene)
                else:
                    build_crate(spot, (0.2, 0.3, 0.12), scene.accent)


def _loose(scene: Scene, room: Room, cell: _Cell, side: int) -> None:
    """Stand pallets, drums and crates in the free part of the hall."""
    rng = scene.rng
    for _ in range(scene.count(1, 5)):
        x = -side * scene.uniform(1.6, max(1.8, 0.5 * (room.right - room.left) - 1.6))
        y = scene.uniform(2.9, 6.5)
        if cell.x0 - 0.8 < x < cell.x1 + 0.8 or not scene.claim(x, y, 0.65):
            continue
        place = scene.frame((x, y, 0), scene.normal(0.15))
        sort = rng.integers(4)
        if sort == 0:
            build_drum(place, pick(rng, (scene.accent, NAMED["blue"], NAMED["grey"])), scene.variant())
        elif sort == 1:
            for level in range(int(rng.integers(1, 4))):
                build_crate(place.at((0, 0, 0.3 * level)), (0.6, 0.4, 0.29), scene.accent)
        elif sort == 2:
            build_carton_stack(place, scene, width=0.8, depth=0.6, height=scene.uniform(0.4, 1.0))
        else:
            build_load(place, scene, width=1.1, depth=0.9, room=scene.uniform(0.9, 1.6), detail=True)
