"""Things on wheels: pallet trucks, carts, fork-lifts and cars."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, pick
from generator.worlds.mesh import Part
from generator.worlds.parts.racks import build_load
from generator.worlds.scene import Scene
from generator.worlds.world import Material


def wheel(part: Part, x: float, y: float, radius: float, width: float) -> None:
    """Build a tyre that rolls along y, standing on the floor, with a hub."""
    tyre, hub = textures.plastic((0.10, 0.10, 0.11)), textures.steel((0.62, 0.63, 0.65))
    part.cylinder((x - width / 2, y, radius), (x + width / 2, y, radius), radius, tyre, sides=14)
    part.cylinder(
        (x - width / 2 - 0.01, y, radius), (x + width / 2 + 0.01, y, radius), 0.55 * radius, hub, sides=10
    )


def build_pallet_truck(part: Part, scene: Scene, *, loaded: bool) -> None:
    """Build a hand pallet truck whose forks run along +y from the origin, with or without a pallet on them."""
    body = textures.enamel(
        pick(scene.taste, (scene.accent, NAMED["red"], NAMED["yellow"], NAMED["orange"])), scene.variant()
    )
    for x in (-0.19, 0.19):
        part.box((x - 0.08, 0.0, 0.03), (x + 0.08, 1.15, 0.085), body)
    part.box((-0.2, -0.22, 0.05), (0.2, 0.0, 0.42), body)
    part.cylinder((0, -0.14, 0.3), (0, -0.16, 0.62), 0.05, textures.steel(NAMED["grey"]), sides=8)
    part.beam((0, -0.16, 0.55), (0, -0.42, 1.15), 0.05, 0.04, body)
    part.beam((-0.17, -0.43, 1.18), (0.17, -0.43, 1.18), 0.035, 0.035, textures.plastic(NAMED["black"]))
    wheel(part, 0.0, -0.16, 0.1, 0.12)
    if loaded:
        build_load(part.at((0, 0.62, 0.02)), scene, width=0.8, depth=1.1, room=1.2, detail=True)


def build_forklift(frame: Part, scene: Scene) -> None:
    """Build a fork-lift truck that faces -y: mast and forks in front, seat under a roll cage, counterweight behind."""
    part = frame.add("forklift")
    paint = textures.enamel(
        scene.colour(NAMED["yellow"], NAMED["orange"], NAMED["red"], (0.25, 0.45, 0.3)), scene.variant()
    )
    dark, steel = textures.enamel((0.15, 0.15, 0.16), 1), textures.steel((0.35, 0.36, 0.38))
    part.box((-0.5, -0.5, 0.2), (0.5, 0.75, 0.75), paint)
    part.cushion((-0.52, 0.35, 0.3), (0.52, 1.05, 1.0), paint, bevel=0.12)
    part.box((-0.5, -0.75, 0.15), (0.5, -0.5, 0.45), dark)
    part.cushion((-0.25, -0.05, 0.75), (0.25, 0.35, 0.88), dark)
    part.cushion((-0.25, 0.3, 0.85), (0.25, 0.42, 1.3), dark)
    part.beam((0, -0.35, 0.75), (0, -0.2, 1.1), 0.04, 0.04, dark)
    for x in (-0.46, 0.46):
        part.beam((x, -0.5, 0.75), (x, -0.35, 2.05), 0.06, 0.06, dark)
        part.beam((x, 0.8, 0.95), (x, 0.65, 2.05), 0.06, 0.06, dark)
        part.box((x - 0.03, -0.4, 2.02), (x + 0.03, 0.7, 2.08), dark)
        wheel(part, x, -0.55, 0.3, 0.2)
        wheel(part, x, 0.65, 0.25, 0.18)
    for y in (-0.3, -0.05, 0.2, 0.45):
        part.box((-0.46, y, 2.03), (0.46, y + 0.05, 2.07), dark)
    for x in (-0.3, 0.3):
        part.box((x - 0.06, -0.95, 0.08), (x + 0.06, -0.8, 2.25), steel)
        part.box((x - 0.06, -2.0, 0.06), (x + 0.06, -0.98, 0.11), steel)
        part.box((x - 0.06, -1.0, 0.06), (x + 0.06, -0.95, 0.6), steel)
    for z in (0.25, 0.55, 1.6, 2.15):
        part.box((-0.36, -0.99, z), (0.36, -0.95, z + 0.08), steel)


def build_car(frame: Part, scene: Scene, colour: tuple[float, float, float], *, variant: int = 0) -> None:
    """Build a parked car, 4.2 to 4.6 m long, centred on the origin; its nose points to -y."""
    part = frame.add("car")
    paint, glass = textures.plastic(colour, variant), textures.plastic((0.14, 0.17, 0.20))
    tall = scene.uniform(1.42, 1.72)
    half, length = 0.87, scene.uniform(4.1, 4.6)
    nose, tail = -length / 2, length / 2
    belt = 0.58 * tall
    lower = [
        (nose, 0.45),
        (nose + 0.05, 0.62),
        (nose + 0.95, belt),
        (tail - 0.35, belt + 0.02),
        (tail - 0.03, 0.75),
        (tail, 0.42),
    ]
    outline = [(nose + 0.1, 0.2), *lower, (tail - 0.1, 0.2)]
    _loft(part, outline, half, paint)
    front, hood = nose + 0.9, scene.uniform(0.65, 0.85)
    roof0, roof1 = front + hood, tail - scene.uniform(0.75, 1.15)
    rear = tail - 0.25
    _cabin(part, (front, roof0, roof1, rear), belt, tall, half, paint, glass)
    lamp, red, black = (
        textures.plastic((0.93, 0.94, 0.9)),
        textures.plastic((0.70, 0.08, 0.08)),
        textures.plastic((0.10, 0.10, 0.11)),
    )
    for x in (-0.66, 0.66):
        part.box((x - 0.17, nose - 0.01, 0.56), (x + 0.17, nose + 0.1, 0.69), lamp)
        part.box((x - 0.14, tail - 0.12, 0.68), (x + 0.14, tail + 0.01, 0.86), red)
        part.box(
            (1.0 * np.sign(x) - 0.1, front + 0.35, belt),
            (1.0 * np.sign(x) + 0.1, front + 0.45, belt + 0.13),
            paint,
        )
        for y in (nose + 0.78, tail - 0.82):
            wheel(part, np.sign(x) * 0.79, y, 0.31, 0.2)
    part.box((-0.5, nose - 0.015, 0.34), (0.5, nose + 0.1, 0.5), black)
    plate = textures.plastic((0.90, 0.90, 0.86))
    part.box((-0.26, nose - 0.03, 0.38), (0.26, nose - 0.01, 0.48), plate)
    part.box((-0.26, tail - 0.01, 0.55), (0.26, tail + 0.02, 0.66), plate)
    part.box((-half, nose + 0.05, 0.2), (half, nose + 0.15, 0.32), black)


def _loft(part: Part, outline: list[tuple[float, float]], half: float, paint: Material) -> None:
    """Extrude a side view (y, z), clockwise from the nose's lower end, across the width of the car."""
    side = np.array([(-half, y, z) for y, z in outline])
    other = side * (-1, 1, 1)
    shell = np.stack([side, other, np.roll(other, -1, 0), np.roll(side, -1, 0)], axis=1)
    part.quads(shell, paint)
    # The side view is cut into vertical strips, so that it need not be convex.
    for flank, flip in ((side, False), (other, True)):
        top = flank[1:-1]
        for a, b in pairwise(top):
            low_a, low_b = a * (1, 1, 0) + (0, 0, 0.2), b * (1, 1, 0) + (0, 0, 0.2)
            quad = np.array([[low_b, low_a, a, b]])
            part.quads(quad[:, ::-1] if flip else quad, paint)


def _cabin(
    part: Part,
    along: tuple[float, ...],
    low: float,
    high: float,
    half: float,
    paint: Material,
    glass: Material,
) -> None:
    """Build windows all round between the belt line and a narrower roof, with pillars of the body colour."""
    front, roof0, roof1, rear = along
    top = 0.78 * half
    a = np.array([(-half, front, low), (half, front, low), (half, rear, low), (-half, rear, low)])
    b = np.array([(-top, roof0, high), (top, roof0, high), (top, roof1, high), (-top, roof1, high)])
    part.quads(b[None], paint)
    for i in range(4):
        j = (i + 1) % 4
        face = np.array([a[i], a[j], b[j], b[i]])
        part.quads(face[None], paint)
        normal = np.cross(face[1] - face[0], face[3] - face[0])
        normal *= 0.006 / np.linalg.norm(normal)
        pieces = ((0.05, 0.47), (0.53, 0.95)) if i % 2 else ((0.07, 0.93),)
        for u0, u1 in pieces:
            part.quads(_patch(face, u0, u1, 0.08, 0.88)[None] + normal, glass)


def _patch(face: np.ndarray, u0: float, u1: float, v0: float, v1: float) -> np.ndarray:
    """Return the part of a quad between shares of its width and height, (4, 3)."""

    def point(u: float, v: float) -> np.ndarray:
        return (1 - v) * ((1 - u) * face[0] + u * face[1]) + v * ((1 - u) * face[3] + u * face[2])

    return np.array([point(u0, v0), point(u1, v0), point(u1, v1), point(u0, v1)])
