"""An office corridor: doors, glazed rooms and notices on both sides, light panels in a tiled ceiling."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, mix, pick, shade
from generator.worlds.mesh import Part
from generator.worlds.parts.doors import build_door, build_windows
from generator.worlds.parts.goods import build_carton_stack
from generator.worlds.parts.lamps import panel_light
from generator.worlds.parts.office import build_chair
from generator.worlds.parts.shell import Room, build_room, hole_row, skirting, wall_band
from generator.worlds.parts.signs import build_hanging_sign, build_wall_sign
from generator.worlds.parts.small import build_bin, build_picture, build_plant
from generator.worlds.parts.storage import build_cabinet
from generator.worlds.parts.street import build_extinguisher
from generator.worlds.scene import PASTELS, WOODS, Scene, Viewpoint
from generator.worlds.world import Material


def build(scene: Scene) -> Viewpoint:
    """Furnish an office corridor and return the viewpoint along it."""
    width = max(1.65, scene.width(2.1, 2.8))
    length = scene.length(8.5, 16.0)
    height = scene.uniform(2.5, 2.9)
    bright = scene.chance(0.5)
    holes = (
        hole_row(width, 1, width=min(1.5, width - 0.5), sill=0.9, height=1.25, margin=0.2) if bright else []
    )
    room = Room(-width / 2, width / 2, -3.5, length, height, {"front": holes})
    _shell(scene, room)
    wall, extent = room.wall_frame(scene.frame(), "front")
    if bright:
        build_windows(wall, scene, holes, panes=2, power=0.8)
    else:
        build_door(wall.at((extent / 2, 0, 0)), scene, width=min(1.7, width - 0.4), glazed=True)
    leaf = scene.furniture(
        textures.wood(pick(scene.taste, WOODS), scene.variant()),
        textures.paint(
            pick(scene.taste, (scene.accent, (0.72, 0.73, 0.74), (0.88, 0.88, 0.86))), scene.variant()
        ),
    )
    for side in ("left", "right"):
        wall, extent = room.wall_frame(scene.frame(), side)
        _side(scene, wall, extent, leaf, width)
    count = int(np.clip(round((room.front - room.back) / 2.6), 4, 7))
    across = scene.chance(0.4)
    for i in range(count):
        y = room.back + (i + 0.5) * (room.front - room.back) / count
        size = (min(1.2, 0.6 * width), 0.6) if across else (0.6, 1.2)
        panel_light(scene.frame((0, y, height)), width=size[0], length=size[1])
    if scene.chance(0.7):
        build_hanging_sign(scene.frame((0, scene.uniform(4.0, 6.0), height - 0.4)), scene, rise=0.18)
    eye = (
        scene.uniform(-0.1, 0.1) * width,
        scene.uniform(-0.6, 0.3),
        scene.uniform(1.4, 1.65),
    )
    return Viewpoint(eye, scene.normal(0.06), scene.uniform(0.02, 0.1), scene.degrees(62, 74))


def _shell(scene: Scene, room: Room) -> None:
    """Build the corridor's surfaces, with a rail or a coloured dado."""
    plain = textures.paint(pick(scene.taste, PASTELS), scene.variant())
    bare = textures.brick(pick(scene.taste, ((0.62, 0.36, 0.27), (0.80, 0.77, 0.72))), scene.variant())
    wall = scene.wall(plain, plain, bare)
    soft = textures.carpet(
        pick(
            scene.taste,
            (
                (0.32, 0.36, 0.42),
                (0.45, 0.42, 0.38),
                (0.36, 0.42, 0.38),
                mix(scene.accent, (0.4, 0.4, 0.42), 0.6),
            ),
        ),
        scene.variant(),
    )
    lino = textures.terrazzo(
        pick(scene.taste, ((0.62, 0.62, 0.58), (0.55, 0.58, 0.60), (0.66, 0.60, 0.50))), scene.variant()
    )
    boards = textures.planks(pick(scene.taste, WOODS), scene.variant())
    square = textures.tiles(pick(scene.taste, ((0.66, 0.64, 0.60), (0.55, 0.56, 0.58))), scene.variant(), 0.4)
    build_room(
        scene,
        room,
        wall=wall,
        floor=scene.floor(soft, lino, boards, square),
        ceiling=textures.ceiling_tiles((0.86, 0.86, 0.84), scene.variant()),
    )
    skirting(
        scene,
        room,
        textures.paint(pick(scene.taste, ((0.40, 0.41, 0.43), (0.85, 0.85, 0.83), (0.45, 0.33, 0.24))), 0),
    )
    style = scene.rng.integers(3)
    tone = textures.paint(
        scene.accent if style == 0 else shade(pick(scene.taste, PASTELS), 0.75), scene.variant()
    )
    low, high = ((0.95, 1.15), (0.1, 1.05), (0.0, 0.0))[style]
    for side in ("left", "right") if high > low else ():
        frame, extent = room.wall_frame(scene.add("wall"), side)
        wall_band(frame, extent, low, high, tone, [])


def _side(scene: Scene, wall: Part, extent: float, leaf: Material, width: float) -> None:
    """Line one side of the corridor with doors, and what stands or hangs between them."""
    pitch = scene.uniform(2.6, 3.6)
    u = scene.uniform(0.6, 1.6)
    while u < extent - 0.7:
        build_door(wall.at((u, 0, 0)), scene, width=0.92, leaf=leaf, glazed=scene.chance(0.25))
        build_wall_sign(wall.at((u + 0.72, 0, 1.55)), scene, width=0.26, height=0.2, colour=NAMED["white"])
        between = wall.at((u + pitch / 2, 0, 0))
        if u + pitch < extent - 0.5:
            _between(scene, between, pitch, width)
        u += pitch
    build_extinguisher(wall.at((0.5 * extent + scene.uniform(0.5, 1.0), 0, 0)))


def _between(scene: Scene, spot: Part, pitch: float, width: float) -> None:
    """Hang or stand one or two things on the wall between two doors; keep the middle of the corridor free."""
    rng = scene.rng
    free = pitch - 1.5
    sort = rng.choice(["glass", "picture", "board", "nothing"], p=[0.25, 0.4, 0.2, 0.15])
    if sort == "glass" and free > 1.0:
        _inner_window(scene, spot, width=min(free, 1.8))
    elif sort == "picture":
        build_picture(
            spot.at((0, 0, 1.55)),
            scene,
            width=scene.uniform(0.5, 0.9),
            height=scene.uniform(0.5, 0.8),
        )
    elif sort == "board":
        _notice_board(scene, spot.at((0, 0, 1.5)), width=min(free, 1.3))
    # The camera's path stays near the middle line: whatever stands on the floor is at most 0.45 m deep.
    if width < 1.95 or rng.random() > scene.clutter + 0.1 or scene.clutter == 0.0:
        return
    thing = rng.integers(5)
    at = spot.at((scene.uniform(-0.25, 0.25), -0.24, 0))
    if thing == 0:
        build_plant(at, scene, height=scene.uniform(0.9, 1.4))
    elif thing == 1:
        build_chair(at.at((0, 0, 0)), scene, seat=textures.fabric(scene.accent, scene.variant()))
    elif thing == 2:
        build_bin(at, scene, height=0.6)
    elif thing == 3 and sort != "glass":
        build_cabinet(
            spot, scene, face=textures.plastic((0.75, 0.76, 0.76)), width=0.8, height=1.1, depth=0.38
        )
    else:
        build_carton_stack(at, scene, width=0.45, depth=0.38, height=scene.uniform(0.3, 0.9))


def _inner_window(scene: Scene, spot: Part, *, width: float) -> None:
    """Set a glazed panel into the wall that shows a lit office dimly: blinds, and tones behind them."""
    part = spot.add("window", (0, 0, 0.95))
    rim = textures.steel((0.45, 0.46, 0.48), 1)
    height = 1.1
    for x in (-width / 2, width / 2 - 0.04):
        part.box((x, -0.03, 0), (x + 0.04, 0, height), rim)
    for z in (0.0, height - 0.04):
        part.box((-width / 2, -0.03, z), (width / 2, 0, z + 0.04), rim)
    blind = textures.slats(
        pick(scene.taste, ((0.62, 0.68, 0.70), (0.75, 0.74, 0.70), (0.45, 0.52, 0.56))), scene.variant(), 0.06
    )
    part.box((-width / 2 + 0.04, -0.012, 0.04), (width / 2 - 0.04, -0.01, height - 0.04), blind, faces="y")
    part.box((-0.02, -0.03, 0.04), (0.02, -0.01, height - 0.04), rim, faces="xXy")


def _notice_board(scene: Scene, spot: Part, *, width: float) -> None:
    """Hang a cork board with sheets of paper."""
    rng = scene.rng
    part = spot.add("sign")
    part.box((-width / 2, -0.02, -0.42), (width / 2, 0, 0.42), textures.wood(WOODS[2], 1), faces="xXyzZ")
    cork = textures.terrazzo((0.66, 0.50, 0.34), scene.variant())
    part.box((-width / 2 + 0.03, -0.022, -0.39), (width / 2 - 0.03, -0.02, 0.39), cork, faces="y")
    for i in range(scene.count(2, 9)):
        x, z = rng.uniform(-0.44, 0.25) * width, rng.uniform(-0.34, 0.06)
        sheet = textures.plastic(
            (NAMED["white"], (0.95, 0.90, 0.70), (0.70, 0.82, 0.90), (0.92, 0.78, 0.76))[int(rng.integers(4))]
        )
        part.box((x, -0.025 - 0.0006 * i, z), (x + 0.2, -0.022, z + 0.27), sheet, faces="y")
