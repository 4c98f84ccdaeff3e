"""A laboratory: an island bench with a reagent shelf, wall benches, a fume hood, cabinets and instruments."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, mix, pick
from generator.worlds.mesh import Part
from generator.worlds.parts.doors import build_door, build_windows
from generator.worlds.parts.instruments import build_trolley
from generator.worlds.parts.kitchen import build_sink
from generator.worlds.parts.lab import (
    build_bench,
    build_fume_hood,
    build_reagent_shelf,
    build_stool,
    litter_bench,
)
from generator.worlds.parts.lamps import panel_light
from generator.worlds.parts.office import build_whiteboard
from generator.worlds.parts.shell import Room, build_room, hole_row, skirting, wall_band
from generator.worlds.parts.signs import build_wall_sign
from generator.worlds.parts.small import build_bin, build_picture
from generator.worlds.parts.storage import build_cabinet, build_shelf_unit
from generator.worlds.parts.street import build_extinguisher
from generator.worlds.scene import PASTELS, WOODS, Scene, Viewpoint
from generator.worlds.world import Material


def build(scene: Scene) -> Viewpoint:
    """Furnish a laboratory and return the viewpoint along its island bench."""
    rng = scene.rng
    width, depth = max(5.2, scene.width(5.8, 7.6)), scene.length(6.0, 8.5)
    height = scene.uniform(2.7, 3.1)
    lit = "left" if rng.random() < 0.5 else "right"
    holes = hole_row(depth + 2.6, int(rng.integers(2, 4)), width=1.6, sill=1.15, height=1.2)
    room = Room(-width / 2, width / 2, -2.6, depth, height, {lit: holes})
    _shell(scene, room)
    top = textures.terrazzo(
        pick(scene.taste, ((0.20, 0.21, 0.22), (0.62, 0.64, 0.65), (0.30, 0.34, 0.38))), scene.variant()
    )
    fronts = (
        (0.84, 0.85, 0.85),
        (0.55, 0.64, 0.70),
        mix(scene.accent, (0.8, 0.8, 0.8), 0.35),
        (0.66, 0.70, 0.66),
    )
    face = scene.furniture(
        textures.plastic(pick(scene.taste, fronts), scene.variant()),
        textures.plastic(pick(scene.taste, fronts), scene.variant()),
        textures.wood(pick(scene.taste, WOODS), scene.variant()),
    )
    window_wall, extent = room.wall_frame(scene.frame(), lit)
    build_windows(window_wall, scene, holes, panes=2, power=0.35)
    near = (3.0 if lit == "left" else 0.3, extent - 0.3 if lit == "left" else extent - 3.0)
    _wall_bench(scene, window_wall, near, top, face)
    other = "right" if lit == "left" else "left"
    _hood_wall(scene, *room.wall_frame(scene.frame(), other), face, flip=other == "right")
    side = 1 if rng.random() < 0.5 else -1
    _island(scene, room, side, top, face)
    _far_wall(scene, *room.wall_frame(scene.frame(), "front"), face)
    for x in (-0.24, 0.24):
        for y in (0.35, 0.72):
            panel_light(
                scene.frame((x * width, room.back + y * (depth + 2.6), height)), width=0.6, length=1.2
            )
    eye = (
        -side * scene.uniform(0.55, 0.85),
        scene.uniform(-0.6, 0.0),
        scene.uniform(1.45, 1.68),
    )
    yaw = -side * scene.uniform(0.02, 0.2)
    return Viewpoint(eye, yaw, scene.uniform(0.09, 0.17), scene.degrees(66, 75))


def _shell(scene: Scene, room: Room) -> None:
    """Build the room's surfaces."""
    pale = ((0.87, 0.88, 0.87), (0.82, 0.86, 0.87), (0.86, 0.85, 0.80))
    plain = textures.paint(pick(scene.taste, pale), scene.variant())
    glazed = textures.tiles(pick(scene.taste, pale), scene.variant(), 0.2)
    tinted = textures.paint(pick(scene.taste, PASTELS), scene.variant())
    floors = ((0.66, 0.67, 0.66), (0.58, 0.62, 0.64), (0.68, 0.65, 0.58), (0.50, 0.58, 0.56))
    lino = textures.terrazzo(pick(scene.taste, floors), scene.variant())
    square = textures.tiles(pick(scene.taste, floors), scene.variant(), 0.4)
    ceiling = textures.ceiling_tiles((0.87, 0.87, 0.86), scene.variant())
    build_room(
        scene,
        room,
        wall=scene.wall(plain, glazed, tinted),
        floor=scene.floor(lino, lino, square),
        ceiling=ceiling,
    )
    skirting(scene, room, textures.plastic(pick(scene.taste, ((0.40, 0.43, 0.46), (0.30, 0.42, 0.52)))), 0.12)
    if scene.chance(0.5):
        tone = textures.paint(mix(scene.accent, (0.85, 0.85, 0.85), 0.35), scene.variant())
        for side in ("left", "right", "front"):
            frame, extent = room.wall_frame(scene.add("wall"), side)
            wall_band(frame, extent, room.height - 0.55, room.height - 0.3, tone, room.holes.get(side, []))


def _island(scene: Scene, room: Room, side: int, top: Material, face: Material) -> None:
    """Build the island bench with its shelf, stools and what lies on it, along y beside the camera's path."""
    rng = scene.rng
    depth = scene.uniform(1.2, 1.4)
    start, end = 2.0, room.front - scene.uniform(1.5, 2.2)
    length = end - start
    x = side * (depth / 2 + scene.uniform(0.35, 0.55))
    frame = scene.frame((x, (start + end) / 2, 0), np.pi / 2)
    surface = build_bench(frame, scene, length=length, depth=depth, top=top, face=face, both=True)
    build_reagent_shelf(surface.at((0.15, 0, 0)), scene, length=length - 0.5)
    for y in (-0.36, 0.36):
        litter_bench(surface, scene, length=length, y=y * depth / 1.2)
    for u in np.arange(-length / 2 + 0.5, length / 2, 1.2):
        for sign in (-1, 1):
            if rng.random() < 0.25 + 0.4 * scene.clutter:
                build_stool(frame.at((float(u), sign * (depth / 2 + 0.3), 0)), scene)


def _wall_bench(scene: Scene, wall: Part, span: tuple[float, float], top: Material, face: Material) -> None:
    """Build a bench under the windows with instruments and a sink."""
    low, high = span
    length = high - low
    frame = wall.at(((low + high) / 2, -0.36, 0))
    surface = build_bench(frame, scene, length=length, depth=0.7, top=top, face=face, both=False)
    litter_bench(surface, scene, length=length - 1.0, y=-0.05)
    build_sink(wall.at((high - 1.0, -0.02, 0)))


def _hood_wall(scene: Scene, wall: Part, extent: float, face: Material, *, flip: bool) -> None:
    """Stand a fume hood, tall cabinets and shelves along the wall without windows."""
    rng = scene.rng
    places = np.arange(3.9, extent - 0.8, 1.9)
    hood = int(rng.integers(max(1, len(places) - 1)))
    for i, u in enumerate(places):
        spot = wall.at((float(extent - u) if flip else float(u), 0, 0))
        if i == hood:
            build_fume_hood(spot, scene)
        elif scene.chance(0.4):
            build_cabinet(spot, scene, face=face, width=1.0, height=1.95, depth=0.45)
        elif scene.chance(0.6):
            build_shelf_unit(spot, scene, wood=face, width=1.2, height=1.9, depth=0.36)
        else:
            build_whiteboard(spot.at((0, 0, 1.6)), scene, width=1.5)


def _far_wall(scene: Scene, wall: Part, extent: float, face: Material) -> None:
    """Give the far wall a door, notices and cabinets."""
    door = scene.uniform(0.3, 0.7) * extent
    build_door(wall.at((door, 0, 0)), scene, width=1.0, glazed=True)
    build_wall_sign(wall.at((door + 0.85, 0, 1.65)), scene, width=0.34, height=0.34, colour=NAMED["yellow"])
    for u in (0.9, extent - 0.9):
        if abs(u - door) > 1.4 and scene.chance(0.75):
            build_cabinet(wall.at((u, 0, 0)), scene, face=face, width=1.0, height=scene.uniform(1.6, 2.0))
    build_extinguisher(wall.at((door - 0.75, 0, 0)))
    for u in (0.5 * (door - 1.0), 0.5 * (door + 1.1 + extent)):
        if scene.chance(0.7):
            build_picture(wall.at((u, 0, 2.15 if scene.chance(0.5) else 1.7)), scene, width=0.8, height=0.55)
    if scene.clutter > 0:
        build_bin(wall.at((door - 1.1, -0.3, 0)), scene, height=0.6)
        if scene.chance(0.8):
            build_trolley(
                wall.at((door + scene.uniform(-0.3, 0.5), -scene.uniform(0.9, 1.6), 0), scene.normal(0.5)),
                scene,
            )
