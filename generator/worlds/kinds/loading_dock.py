"""A loading dock: shutters and open trailers along the far wall, lanes of pallets, a fork-lift truck."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, jitter, pick
from generator.worlds.mesh import Part
from generator.worlds.parts.doors import build_door, build_shutter
from generator.worlds.parts.goods import build_carton_stack
from generator.worlds.parts.lamps import high_bay_light, strip_light
from generator.worlds.parts.racks import build_load
from generator.worlds.parts.shell import Hole, Room, build_room, wall_band
from generator.worlds.parts.signs import build_wall_sign, code, floor_area, floor_line, write
from generator.worlds.parts.street import build_bollard, build_cone, build_extinguisher
from generator.worlds.parts.vehicles import build_forklift, build_pallet_truck
from generator.worlds.scene import CONCRETES, Scene, Viewpoint

GATE_HEIGHT = 2.9


def build(scene: Scene) -> Viewpoint:
    """Furnish a loading dock and return the viewpoint towards its gates."""
    rng = scene.rng
    width, depth = max(7.5, scene.width(10.0, 14.0)), scene.length(6.5, 9.5)
    height = scene.uniform(4.6, 5.8)
    gates = max(2, round(width / 4.6))
    pitch = width / gates
    opened = [scene.chance(0.5) for _ in range(gates)]
    opened[int(rng.integers(gates))] = True
    half = 1.3
    holes: list[Hole] = [
        ((i + 0.5) * pitch - half, (i + 0.5) * pitch + half, 0.0, GATE_HEIGHT)
        for i in range(gates)
        if opened[i]
    ]
    room = Room(-width / 2, width / 2, -3.2, depth, height, {"front": holes})
    _shell(scene, room)
    wall, _ = room.wall_frame(scene.frame(), "front")
    for i in range(gates):
        gate = wall.at(((i + 0.5) * pitch, 0, 0))
        if opened[i]:
            _open_gate(gate, scene, half)
        else:
            build_shutter(gate, scene, width=2 * half, height=GATE_HEIGHT)
        _gate_surroundings(gate, scene, half, i)
    _traffic(scene, room, depth)
    for i in range(gates):
        _lane(scene, room, room.left + (i + 0.5) * pitch)
    _sides(scene, room)
    eye = (
        scene.uniform(-0.15, 0.15) * width,
        scene.uniform(-0.6, 0.0),
        scene.uniform(1.45, 1.7),
    )
    yaw = float(np.clip(0.09 * eye[0] + rng.normal(0, 0.1), -0.3, 0.3))
    return Viewpoint(eye, yaw, scene.uniform(0.03, 0.11), scene.degrees(64, 75))


def _shell(scene: Scene, room: Room) -> None:
    """Build the hall with beams and lamps."""
    sheet = textures.corrugated(
        pick(scene.taste, ((0.74, 0.75, 0.75), (0.66, 0.70, 0.73), (0.78, 0.75, 0.68))), scene.variant()
    )
    block = textures.tiles((0.72, 0.71, 0.68), scene.variant(), 0.4, (0.58, 0.57, 0.55))
    cast = textures.concrete(pick(scene.taste, CONCRETES), scene.variant())
    slab = textures.slab(
        pick(scene.taste, ((0.50, 0.50, 0.49), (0.58, 0.57, 0.54), (0.44, 0.46, 0.48))), scene.variant()
    )
    roof = textures.corrugated(
        pick(scene.taste, ((0.68, 0.69, 0.70), (0.52, 0.55, 0.58))), scene.variant(), 0.4
    )
    build_room(scene, room, wall=scene.wall(sheet, block, cast), floor=scene.floor(slab), ceiling=roof)
    joist = textures.enamel(
        pick(scene.taste, ((0.55, 0.57, 0.6), (0.32, 0.35, 0.4), (0.70, 0.3, 0.2))), scene.variant()
    )
    for y in np.arange(room.back + 1.2, room.front, 3.0):
        scene.add("ceiling", (0, float(y), room.height)).box(
            (room.left, -0.1, -0.35), (room.right, 0.1, 0.0), joist, faces="yYz"
        )
    hall = scene.chance(0.5)
    for x in (-0.25, 0.25):
        for y in (0.25, 0.72):
            place = scene.frame(
                (x * (room.right - room.left), room.back + y * (room.front - room.back), room.height)
            )
            if hall:
                high_bay_light(place, scene, drop=0.5, power=3.0)
            else:
                strip_light(place, length=2.4, width=0.34, drop=0.45)


def _open_gate(gate: Part, scene: Scene, half: float) -> None:
    """Build a trailer behind an open gate: floor boards, walls, load and a lamp that shines in."""
    rng = scene.rng
    part = gate.add("truck")
    length, height = scene.uniform(4.5, 7.0), 2.6
    skin = textures.slats(
        pick(scene.taste, ((0.80, 0.81, 0.80), (0.72, 0.73, 0.72), (0.76, 0.70, 0.58))), scene.variant(), 0.5
    )
    boards = textures.planks((0.50, 0.38, 0.26), scene.variant(), 10)
    inner = half - 0.08
    part.quads(
        np.array([[(-half, 0, 0), (half, 0, 0), (half, length, 0), (-half, length, 0)]], np.float64), boards
    )
    part.quads(
        np.array(
            [[(-inner, length, 0), (inner, length, 0), (inner, length, height), (-inner, length, height)]],
            np.float64,
        ),
        skin,
    )
    sides = [
        [(-inner, 0, 0), (-inner, length, 0), (-inner, length, height), (-inner, 0, height)],
        [(inner, length, 0), (inner, 0, 0), (inner, 0, height), (inner, length, height)],
        [(-inner, length, height), (inner, length, height), (inner, 0, height), (-inner, 0, height)],
    ]
    part.quads(np.array(sides, np.float64), skin)
    seal = textures.plastic((0.13, 0.13, 0.14))
    for x in (-half - 0.15, half - 0.12):
        part.box((x, -0.06, 0), (x + 0.27, 0.12, GATE_HEIGHT), seal, faces="xXyY")
    part.box((-half - 0.15, -0.06, height - 0.15), (half + 0.15, 0.12, GATE_HEIGHT + 0.2), seal)
    lamp = gate.add("lamp", (0, 0.3, height - 0.02))
    lamp.light((-0.3, 0, 0), (0, 0.4, 0), (0.6, 0, 0), (2.0, 2.0, 1.9))
    for y in np.arange(length - 0.7, 0.9, -1.15):
        for x in (-0.58, 0.58):
            if rng.random() < 0.25 + 0.5 * scene.clutter and scene.clutter > 0:
                build_load(gate.at((x, float(y), 0)), scene, width=1.1, depth=1.0, room=2.1, detail=False)


def _gate_surroundings(gate: Part, scene: Scene, half: float, number: int) -> None:
    """Add the leveller plate, bollards, number and signal lamp of a gate."""
    plate = gate.add("floor_marking")
    steel = textures.steel((0.42, 0.43, 0.44), scene.variant())
    hazard = textures.stripes(NAMED["yellow"], NAMED["black"], 0, 0.2, diagonal=True)
    plate.box((-1.0, -2.2, 0), (1.0, 0, 0.012), steel, faces="xXyZ")
    for x in (-1.14, 1.0):
        plate.box((x, -2.2, 0), (x + 0.14, 0, 0.014), hazard, faces="xXyZ")
    for x in (-half - 0.45, half + 0.45):
        build_bollard(gate.at((x, -0.45, 0)), scene)
    board = gate.add("sign", (0, -0.02, GATE_HEIGHT + 0.62))
    board.box((-0.32, -0.02, -0.26), (0.32, 0.0, 0.26), textures.plastic(NAMED["white"]), faces="xXyzZ")
    write(board.at((0, -0.023, 0)), str(number + 1), 0.36, NAMED["black"])
    signal = gate.add("lamp", (half + 0.42, -0.02, 1.9))
    signal.box((-0.08, -0.1, -0.18), (0.08, 0.02, 0.18), textures.plastic((0.12, 0.12, 0.12)))
    for z, lit, name in ((0.09, 0.9, "red"), (-0.09, 0.15, "green")):
        face = textures.glowing(NAMED[name], lit)
        signal.box((-0.05, -0.104, z - 0.05), (0.05, -0.1, z + 0.05), face, faces="y")


def _lane(scene: Scene, room: Room, x: float) -> None:
    """Outline a lane in front of a gate and stand pallets beside it."""
    for sign in (-1, 1):
        floor_line(scene, x + sign * 1.45, 3.2, room.front - 0.3, colour=NAMED["yellow"])
    side = float(np.clip(x + 1.95 * scene.rng.choice([-1, 1]), room.left + 0.9, room.right - 0.9))
    for y in np.arange(room.front - 1.9, 3.0, -1.35):
        wanted = scene.clutter > 0 and scene.rng.random() < 0.15 + 0.5 * scene.clutter
        if wanted and scene.claim(side, float(y), 0.65):
            place = scene.frame((side, float(y), 0), scene.normal(0.05))
            build_load(
                place,
                scene,
                width=1.1,
                depth=0.9,
                room=scene.uniform(0.9, 2.0),
                detail=bool(y < 6.5),
            )


def _sides(scene: Scene, room: Room) -> None:
    """Give the side walls a painted band, doors and notices; goods stand along them."""
    band = textures.paint(jitter(scene.taste, scene.accent, 0.1), scene.variant())
    top = scene.uniform(1.0, 1.5)
    for side in ("left", "right"):
        wall, extent = room.wall_frame(scene.frame(), side)
        wall_band(wall.add("wall"), extent, 0.0, top, band, [])
        u = scene.uniform(0.55, 0.75) * extent if side == "left" else scene.uniform(0.25, 0.45) * extent
        if scene.chance(0.7):
            build_door(wall.at((u, 0, 0)), scene, width=1.0)
        build_extinguisher(wall.at((u + 0.9, 0, 0)))
        for shift in (-1.6, 1.6):
            build_wall_sign(wall.at((u + shift, 0, 1.9)), scene)
            if scene.clutter > 0.2 and scene.chance(0.7):
                build_carton_stack(
                    wall.at((u + shift, -0.5, 0)),
                    scene,
                    width=0.9,
                    depth=0.8,
                    height=scene.uniform(0.5, 1.5),
                )


def _traffic(scene: Scene, room: Room, depth: float) -> None:
    """Park a fork-lift truck or a pallet truck, and leave cones about."""
    rng = scene.rng
    side = 1 if rng.random() < 0.5 else -1
    if scene.clutter > 0 and scene.chance(0.75):
        spot = (side * scene.uniform(1.3, 2.4), scene.uniform(4.3, 0.72 * depth), 0.0)
        scene.claim(spot[0], spot[1], 1.5)
        build_forklift(scene.frame(spot, scene.uniform(-np.pi, np.pi)), scene)
    if scene.clutter > 0 and scene.chance(0.6):
        spot = (-side * scene.uniform(1.4, 2.6), scene.uniform(3.2, 5.0), 0.0)
        if scene.claim(spot[0], spot[1], 0.9):
            turn = scene.uniform(-1.5, 1.5)
            build_pallet_truck(scene.add("cart", spot, turn), scene, loaded=scene.chance(0.5))
    for _ in range(scene.count(0, 4)):
        spot = (scene.uniform(0.8 * room.left, 0.8 * room.right), scene.uniform(3.0, depth - 1), 0.0)
        if scene.claim(spot[0], spot[1], 0.25):
            build_cone(scene.frame(spot))
    floor_area(
        scene,
        (side * 3.2 - 1.0, 3.0),
        (side * 3.2 + 1.0, 4.6),
        pick(scene.taste, (NAMED["yellow"], NAMED["white"])),
    )
    notice = scene.add("sign", (room.left + 0.02, 3.0, 2.6), np.pi / 2)
    write(notice, code(scene), 0.6, NAMED["black"])
