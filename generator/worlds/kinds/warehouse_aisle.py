"""A warehouse aisle: pallet racks on both sides, a gate or wall at the end, lamps over the aisle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, jitter, pick
from generator.worlds.parts.doors import build_door, build_shutter
from generator.worlds.parts.goods import build_carton_stack, build_drum
from generator.worlds.parts.lamps import strip_light
from generator.worlds.parts.racks import DEPTH, build_load, build_rack_bay, build_upright, fill_bay
from generator.worlds.parts.shell import Room, build_room, wall_band
from generator.worlds.parts.signs import build_hanging_sign, floor_line
from generator.worlds.parts.street import build_extinguisher
from generator.worlds.parts.vehicles import build_pallet_truck
from generator.worlds.scene import CONCRETES, Scene, Viewpoint
from generator.worlds.world import Material

START = -2.4
"""y of the first upright [m]; the camera is near y = 0."""


def build(scene: Scene) -> Viewpoint:
    """Furnish a warehouse aisle and return the viewpoint down the aisle."""
    rng = scene.rng
    aisle = max(1.9, scene.width(2.5, 3.4))
    bay = scene.uniform(2.3, 2.8)
    bays = int(np.clip(round(scene.length(11.0, 19.0) / bay), 3, 8))
    step = scene.uniform(1.35, 1.75)
    floors = int(rng.integers(3, 5))
    end = START + bays * bay
    side = aisle / 2 + DEPTH + 0.35
    height = floors * step + rng.uniform(1.2, 2.2)
    room = Room(-side, side, -4.5, end + scene.uniform(2.0, 4.0), height)
    _shell(scene, room)
    upright = textures.enamel(_rack_colour(scene), scene.variant())
    beam = textures.enamel(
        pick(scene.taste, (NAMED["orange"], (0.86, 0.5, 0.14), NAMED["yellow"])), scene.variant()
    )
    racks = _Racks(aisle, bay, bays, step, floors, upright, beam)
    for sign in (-1, 1):
        _rack_row(scene, sign, racks)
        floor_line(scene, sign * (aisle / 2 - 0.12), room.back + 0.3, end + 0.4)
    _lamps(scene, room)
    _end_wall(scene, room)
    _loose(scene, aisle, end)
    build_hanging_sign(
        scene.frame((rng.uniform(-0.3, 0.3), rng.uniform(5.0, 8.0), min(2.75, height - 1.2))), scene
    )
    sway = min(0.25, aisle / 2 - 0.75)
    eye = (scene.uniform(-sway, sway), scene.uniform(-0.3, 0.6), scene.uniform(1.4, 1.7))
    return Viewpoint(
        eye,
        scene.normal(0.035),
        scene.uniform(0.02, 0.12),
        scene.degrees(62, 74),
    )


def _rack_colour(scene: Scene) -> tuple[float, float, float]:
    """Return the colour of the uprights: that of the prompt, else mostly blue."""
    return scene.colour(NAMED["blue"], NAMED["blue"], (0.18, 0.36, 0.55), NAMED["green"], (0.45, 0.47, 0.5))


def _shell(scene: Scene, room: Room) -> None:
    """Build hall walls, slab and roof with joists."""
    sheet = textures.corrugated(
        pick(scene.taste, ((0.72, 0.74, 0.75), (0.64, 0.68, 0.72), (0.76, 0.73, 0.66))), scene.variant()
    )
    cast = textures.concrete(pick(scene.taste, CONCRETES), scene.variant())
    block = textures.tiles((0.70, 0.69, 0.66), scene.variant(), 0.4, (0.55, 0.54, 0.52))
    wall = scene.wall(sheet, cast, block)
    slab = textures.slab(
        pick(scene.taste, ((0.52, 0.52, 0.51), (0.60, 0.59, 0.56), (0.45, 0.47, 0.49))), scene.variant()
    )
    smooth = textures.concrete(pick(scene.taste, CONCRETES), scene.variant())
    roof = textures.corrugated(
        pick(scene.taste, ((0.66, 0.67, 0.68), (0.75, 0.75, 0.73))), scene.variant(), 0.4
    )
    build_room(scene, room, wall=wall, floor=scene.floor(slab, smooth), ceiling=roof)
    joist = textures.enamel(
        pick(scene.taste, ((0.55, 0.57, 0.6), (0.35, 0.38, 0.42), (0.72, 0.3, 0.2))), scene.variant()
    )
    for y in np.arange(room.back + 1.0, room.front, 3.2):
        beam = scene.add("ceiling", (0, float(y), room.height))
        beam.box((room.left, -0.09, -0.32), (room.right, 0.09, 0.0), joist, faces="xXyYz")


@dataclass(frozen=True)
class _Racks:
    """Say how the racks of an aisle are built."""

    aisle: float
    bay: float
    bays: int
    step: float
    floors: int
    upright: Material
    beam: Material


def _rack_row(scene: Scene, sign: int, racks: _Racks) -> None:
    """Build the racks along the left (-1) or right (+1) side of the aisle and fill them."""
    levels = [racks.step * i for i in range(racks.floors)]
    clear = [racks.step - 0.12] * racks.floors
    top = levels[-1] + 1.1
    x, yaw = sign * racks.aisle / 2, -sign * np.pi / 2
    for i in range(racks.bays):
        near, far = START + i * racks.bay, START + (i + 1) * racks.bay
        frame = scene.add("shelf", (x, near if sign < 0 else far, 0.0), yaw)
        build_rack_bay(frame, levels[1:], bay=racks.bay, top=top, upright=racks.upright, beam=racks.beam)
        if far > 0.4:
            fill_bay(frame, scene, levels, clear, bay=racks.bay, detail=far < 6.5)
    last = START if sign > 0 else START + racks.bays * racks.bay
    build_upright(scene.add("shelf", (x, last, 0.0), yaw), top, racks.upright)


def _lamps(scene: Scene, room: Room) -> None:
    """Hang strip lights over the aisle."""
    count = int(np.clip(round((room.front - room.back) / 3.6), 3, 7))
    drop = scene.uniform(0.15, 0.6)
    pitch = (room.front - room.back) / count
    for i in range(count):
        place = scene.frame((0.0, room.back + (i + 0.5) * pitch, room.height))
        strip_light(place, length=min(2.4, 0.7 * pitch), width=0.34, drop=drop)


def _end_wall(scene: Scene, room: Room) -> None:
    """Close the aisle with a shutter or a door, a painted band and sometimes goods in front."""
    wall, extent = room.wall_frame(scene.frame(), "front")
    band = textures.paint(jitter(scene.taste, scene.accent, 0.1), scene.variant())
    if scene.chance(0.6):
        wall_band(wall.add("wall"), extent, 0.0, scene.uniform(0.9, 1.4), band, [])
    middle = extent / 2 + scene.uniform(-0.3, 0.3)
    if scene.chance(0.6):
        build_shutter(
            wall.at((middle, 0, 0)),
            scene,
            width=scene.uniform(2.2, 2.8),
            height=scene.uniform(2.4, 3.0),
        )
    else:
        build_door(wall.at((middle, 0, 0)), scene, width=scene.uniform(0.95, 1.9))
    build_extinguisher(wall.at((middle - 1.75, 0, 0)))


def _loose(scene: Scene, aisle: float, end: float) -> None:
    """Leave things in the aisle: a pallet truck, pallets and cartons along the racks."""
    rng = scene.rng
    side = 1 if rng.random() < 0.5 else -1
    if scene.clutter > 0.2 and scene.chance(0.65):
        spot = (side * (aisle / 2 - 0.55), scene.uniform(5.0, 8.5), 0.0)
        scene.claim(spot[0], spot[1] + 0.4, 0.85)
        build_pallet_truck(scene.add("cart", spot, scene.normal(0.15)), scene, loaded=scene.chance(0.5))
    for _ in range(scene.count(0, 4)):
        side = 1 if rng.random() < 0.5 else -1
        spot = (side * (aisle / 2 - 0.25), scene.uniform(3.8, end), 0.0)
        if not scene.claim(spot[0], spot[1], 0.35):
            continue
        place = scene.frame(spot, scene.normal(0.2))
        if rng.random() < 0.6:
            build_carton_stack(place, scene, width=0.5, depth=0.42, height=scene.uniform(0.35, 0.9))
        else:
            build_drum(place, pick(rng, (scene.accent, NAMED["grey"])), scene.variant())
    if scene.clutter > 0.2:
        for x in (-0.7, 0.75):
            if scene.chance(0.6):
                place = scene.frame((x, end + 1.2, 0.0), scene.normal(0.08))
                build_load(place, scene, width=1.1, depth=0.9, room=scene.uniform(0.8, 1.7), detail=True)
