"""Signs, floor markings, pictures and boards."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, RGB, pick
from generator.worlds.mesh import Part
from generator.worlds.scene import Scene

SEGMENTS = {
    "0": "abcdef", "1": "bc", "2": "abged", "3": "abgcd", "4": "fgbc", "5": "afgcd", "6": "afgedc", "7": "abc",
    "8": "abcdefg", "9": "abcdfg", "A": "abcefg", "B": "cdefg", "C": "adef", "E": "adefg", "F": "aefg", "H": "bcefg",
}  # fmt: skip
"""Bars of block letters: a top, b and c right, d bottom, e and f left, g middle."""


def floor_line(
    scene: Scene, x: float, start: float, end: float, *, width: float = 0.1, colour: RGB = NAMED["yellow"]
) -> None:
    """Paint a line on the floor along y, 2 mm high."""
    part = scene.add("floor_marking", (x, start, 0.002))
    half = width / 2
    quad = [(-half, 0, 0), (half, 0, 0), (half, end - start, 0), (-half, end - start, 0)]
    part.quads(np.array([quad]), textures.enamel(colour, 1))


def floor_area(
    scene: Scene, low: tuple[float, float], high: tuple[float, float], colour: RGB, width: float = 0.1
) -> None:
    """Outline a rectangle on the floor, 2 mm high."""
    part = scene.add("floor_marking", (0, 0, 0.002))
    (x0, y0), (x1, y1) = low, high
    bars = [(x0, y0, x1, y0 + width), (x0, y1 - width, x1, y1), (x0, y0 + width, x0 + width, y1 - width),
            (x1 - width, y0 + width, x1, y1 - width)]  # fmt: skip
    quads = [[(a, b, 0), (c, b, 0), (c, d, 0), (a, d, 0)] for a, b, c, d in bars]
    part.quads(np.array(quads), textures.enamel(colour, 1))


def write(part: Part, text: str, height: float, colour: RGB) -> None:
    """Write block letters in the plane y = 0 facing -y, centred on the origin."""
    width, bar = 0.55 * height, 0.16 * height
    pitch = 0.8 * height
    ink = textures.plastic(colour)
    boxes = {
        "a": (0, height - bar, width, height), "d": (0, 0, width, bar),
        "g": (0, (height - bar) / 2, width, (height + bar) / 2),
        "b": (width - bar, height / 2, width, height), "c": (width - bar, 0, width, height / 2),
        "f": (0, height / 2, bar, height), "e": (0, 0, bar, height / 2),
    }  # fmt: skip
    left = -(pitch * len(text) - (pitch - width)) / 2
    quads = []
    for i, letter in enumerate(text):
        for name in SEGMENTS.get(letter, ""):
            x0, z0, x1, z1 = boxes[name]
            x0, x1, z0, z1 = x0 + left + i * pitch, x1 + left + i * pitch, z0 - height / 2, z1 - height / 2
            quads.append([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)])
    if quads:
        part.quads(np.array(quads), ink)


def code(scene: Scene) -> str:
    """Draw the name of an aisle or a room, such as A12."""
    return "ABCEFH"[int(scene.rng.integers(6))] + str(int(scene.rng.integers(1, 30)))


def build_hanging_sign(place: Part, scene: Scene, *, rise: float = 0.7) -> None:
    """Hang a sign with a code, facing -y, its middle at the origin, on wires that rise `rise` [m] above it."""
    colour = pick(scene.taste, (scene.accent, NAMED["blue"], NAMED["yellow"], NAMED["white"]))
    part = place.add("sign")
    part.box((-0.5, -0.015, -0.22), (0.5, 0.015, 0.22), textures.plastic(colour))
    dark = sum(colour) > 1.7
    write(part.at((0, -0.018, 0)), code(scene), 0.26, NAMED["black"] if dark else NAMED["white"])
    wire = textures.steel(NAMED["grey"])
    for x in (-0.4, 0.4):
        part.beam((x, 0, 0.22), (x, 0, 0.22 + rise), 0.015, 0.015, wire)


def build_wall_sign(
    wall: Part, scene: Scene, *, width: float = 0.5, height: float = 0.35, colour: RGB | None = None
) -> None:
    """Fix a small notice to a wall frame, its middle at the origin."""
    part = wall.add("sign")
    colour = colour or pick(
        scene.taste, (NAMED["yellow"], NAMED["blue"], NAMED["red"], NAMED["green"], NAMED["white"])
    )
    part.box(
        (-width / 2, -0.012, -height / 2), (width / 2, 0, height / 2), textures.plastic(colour), faces="xXyzZ"
    )
    ink = NAMED["black"] if sum(colour) > 1.7 else NAMED["white"]
    write(part.at((0, -0.015, 0)), code(scene)[:2], 0.5 * height, ink)
