"""A hospital room: one to three beds with their stands and monitors, curtains, a window, a washbasin."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, mix, pick
from generator.worlds.mesh import Part
from generator.worlds.parts.clinic import (
    build_bed,
    build_bedside,
    build_curtain_rail,
    build_drip,
    build_patient_monitor,
    build_supply_rail,
)
from generator.worlds.parts.doors import build_door, build_windows
from generator.worlds.parts.home import build_curtains
from generator.worlds.parts.instruments import build_trolley
from generator.worlds.parts.lamps import panel_light
from generator.worlds.parts.office import build_chair, build_screen
from generator.worlds.parts.shell import Room, build_room, hole_row, skirting, wall_band
from generator.worlds.parts.signs import build_wall_sign
from generator.worlds.parts.small import build_bin, build_picture, build_plant
from generator.worlds.parts.storage import build_cabinet
from generator.worlds.scene import WOODS, Scene, Viewpoint
from generator.worlds.world import Material


def build(scene: Scene) -> Viewpoint:
    """Furnish a hospital room and return the viewpoint towards its beds."""
    rng = scene.rng
    beds = int(rng.integers(1, 4))
    width = max(4.2, scene.width(4.6, 6.0))
    depth = max(4.6, scene.length(3.4, 4.0) + 1.55 * (beds - 1) + 1.6)
    height = scene.uniform(2.6, 3.0)
    holes = hole_row(width, 1, width=scene.uniform(1.6, 2.4), sill=0.85, height=1.35)
    room = Room(-width / 2, width / 2, -2.4, depth, height, {"front": holes})
    _shell(scene, room)
    wood = scene.furniture(
        textures.wood(pick(scene.taste, WOODS), scene.variant()), textures.plastic((0.62, 0.72, 0.78), 1)
    )
    wall, _ = room.wall_frame(scene.frame(), "front")
    build_windows(wall, scene, holes, panes=2, power=0.6)
    tones = (
        mix(scene.accent, (0.85, 0.85, 0.85), 0.4),
        (0.62, 0.74, 0.80),
        (0.72, 0.80, 0.70),
        (0.84, 0.78, 0.66),
    )
    cloth = textures.fabric(pick(scene.taste, tones), scene.variant())
    low, high, _, top = holes[0]
    build_curtains(wall.at(((low + high) / 2, 0, 0)), scene, width=high - low, top=top + 0.1, cloth=cloth)
    side = 1 if rng.random() < 0.5 else -1
    _beds(scene, room, side, beds, wood, cloth)
    _other_side(scene, room, -side, wood)
    _far_corners(scene, wall, width, holes[0])
    for y in (0.2, 0.52, 0.82):
        panel_light(scene.frame((0, room.back + y * (depth + 2.4), height)), width=0.6, length=1.2)
    eye = (
        -side * scene.uniform(0.1, 0.2) * width,
        scene.uniform(-0.7, -0.1),
        scene.uniform(1.4, 1.62),
    )
    yaw = -side * scene.uniform(0.12, 0.26)
    return Viewpoint(eye, yaw, scene.uniform(0.1, 0.18), scene.degrees(66, 75))


def _shell(scene: Scene, room: Room) -> None:
    """Build the room's surfaces with a rail and a tinted lower wall."""
    pale = ((0.86, 0.88, 0.86), (0.84, 0.87, 0.89), (0.88, 0.85, 0.79), (0.80, 0.86, 0.82))
    plain = textures.paint(pick(scene.taste, pale), scene.variant())
    floors = ((0.62, 0.68, 0.68), (0.70, 0.66, 0.58), (0.58, 0.64, 0.70), (0.66, 0.68, 0.62))
    lino = textures.terrazzo(pick(scene.taste, floors), scene.variant())
    boards = textures.planks(pick(scene.taste, WOODS[1::2]), scene.variant())
    ceiling = textures.ceiling_tiles((0.88, 0.88, 0.87), scene.variant())
    build_room(scene, room, wall=scene.wall(plain), floor=scene.floor(lino, lino, boards), ceiling=ceiling)
    skirting(scene, room, textures.plastic(pick(scene.taste, ((0.45, 0.52, 0.56), (0.70, 0.71, 0.71)))), 0.12)
    lower = textures.paint(mix(scene.accent, (0.84, 0.86, 0.85), 0.72), scene.variant())
    rail = textures.wood(pick(scene.taste, WOODS), scene.variant())
    tinted = scene.chance(0.7)
    for side in ("left", "right", "front"):
        frame, extent = room.wall_frame(scene.add("wall"), side)
        holes = room.holes.get(side, [])
        if tinted:
            wall_band(frame, extent, 0.12, 0.9, lower, holes)
        wall_band(frame, extent, 0.9, 1.05, rail, holes)


def _beds(scene: Scene, room: Room, side: int, count: int, wood: Material, cloth: Material) -> None:
    """Stand beds with their heads at one side wall, each with cabinet, rail, stand or monitor, and curtain."""
    wall, _ = room.wall_frame(scene.frame(), "right" if side > 0 else "left")
    pitch = scene.uniform(2.2, 2.5)
    first = 3.1 if count == 1 else 2.7
    for i in range(count):
        y = first + i * pitch
        if y > room.front - 1.0:
            break
        u = room.front - y if side > 0 else y - room.back
        near = 1 if side > 0 else -1
        spot = wall.at((u, 0, 0))
        build_bed(spot.at((0, -0.03, 0)), scene, board=wood)
        build_bedside(spot.at((-near * 0.85, 0, 0)), scene, face=wood)
        build_supply_rail(spot.at((0, 0, 1.5)), scene, width=1.5)
        if scene.chance(0.35 + 0.5 * scene.clutter):
            build_drip(spot.at((near * 0.72, -0.55, 0)), scene)
        if scene.chance(0.3 + 0.5 * scene.clutter):
            build_patient_monitor(spot.at((-near * 0.85, -0.9, 0), scene.normal(0.3)), scene)
        if i > 0 or scene.chance(0.4):
            place = spot.at((-near * 1.25, 0, 0))
            length = min(2.1, 0.42 * (room.right - room.left))
            build_curtain_rail(
                place, scene, length=length, height=2.05, drawn=scene.uniform(0.2, 0.5), cloth=cloth
            )


def _other_side(scene: Scene, room: Room, side: int, wood: Material) -> None:
    """Give the wall opposite the beds a wardrobe, a television, pictures, a chair and a door."""
    wall, _ = room.wall_frame(scene.frame(), "right" if side > 0 else "left")

    def along(y: float) -> Part:
        return wall.at((room.front - y if side > 0 else y - room.back, 0, 0))

    build_door(along(0.6), scene, width=1.2, leaf=wood, glazed=True)
    if scene.chance(0.8):
        build_cabinet(along(room.front - 0.75), scene, face=wood, width=0.9, height=1.95, depth=0.55)
    if scene.chance(0.6):
        screen = along(2.6).add("monitor", (0, -0.06, 1.75))
        screen.box((-0.5, 0, -0.3), (0.5, 0.06, 0.3), textures.plastic((0.10, 0.10, 0.11)))
        build_screen(screen.at((0, -0.003, 0)), scene, width=0.94, height=0.54)
    else:
        build_picture(along(2.6).at((0, 0, 1.55)), scene, width=scene.uniform(0.6, 0.9), height=0.6)
    seat = textures.fabric(pick(scene.taste, (scene.accent, NAMED["teal"], NAMED["blue"])), scene.variant())
    for _ in range(scene.count(1, 3)):
        place = along(scene.uniform(2.4, room.front - 1.6)).at((0, -0.4, 0), scene.normal(0.3))
        build_chair(place, scene, seat=seat, frame_material=wood)
        break
    if scene.clutter > 0.2 and scene.chance(0.5):
        build_trolley(along(scene.uniform(3.2, room.front - 1.6)).at((0, -1.0, 0), scene.normal(0.4)), scene)
    if scene.clutter > 0:
        build_bin(along(1.7).at((0, -0.25, 0)), scene, height=0.5)
    build_wall_sign(along(1.5).at((0, 0, 1.6)), scene, width=0.3, height=0.24)


def _far_corners(scene: Scene, wall: Part, width: float, hole: tuple[float, float, float, float]) -> None:
    """Stand a plant beside the window, and hang a picture."""
    low, high = hole[:2]
    if low > 0.9 and scene.chance(0.6):
        build_picture(wall.at(((low - 0.3) / 2, 0, 1.6)), scene, width=0.5, height=0.6)
    if scene.chance(0.6):
        corner = high + 0.3 if scene.chance(0.5) else low - 0.3
        build_plant(
            wall.at((float(np.clip(corner, 0.6, width - 0.6)), -0.4, 0)),
            scene,
            height=scene.uniform(0.8, 1.3),
        )
