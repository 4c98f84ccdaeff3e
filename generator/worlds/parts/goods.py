"""Pallets, cartons, crates, drums and what else is stored or shipped."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, RGB, shade
from generator.worlds.mesh import Part
from generator.worlds.scene import Scene

BOARD: tuple[RGB, ...] = (
    (0.68, 0.52, 0.35),
    (0.74, 0.60, 0.42),
    (0.60, 0.45, 0.30),
    (0.78, 0.68, 0.53),
    (0.84, 0.80, 0.74),
)
PALLET_WOOD: tuple[RGB, ...] = ((0.66, 0.52, 0.36), (0.58, 0.46, 0.33), (0.72, 0.60, 0.44))
TAPE: tuple[RGB, ...] = ((0.80, 0.70, 0.50), (0.50, 0.36, 0.22), (0.85, 0.83, 0.78))
WRAPPING: tuple[RGB, ...] = ((0.80, 0.82, 0.82), (0.62, 0.66, 0.70), (0.70, 0.58, 0.42), (0.30, 0.31, 0.33))
PALLET_HEIGHT = 0.144


def build_pallet(frame: Part, scene: Scene, *, width: float = 1.2, depth: float = 0.8) -> None:
    """Build a pallet of 0.144 m height centred on the frame's origin, boards along x."""
    part = frame.add("pallet")
    material = textures.wood(scene.settled("pallet", PALLET_WOOD, 3), 1)
    for y in (-1, 0, 1):
        part.block((0, y * (depth / 2 - 0.05), 0.0), (width, 0.1, 0.022), material, faces="xXyYz")
        for x in (-1, 0, 1):
            spot = (x * (width / 2 - 0.07), y * (depth / 2 - 0.05), 0.022)
            part.block(spot, (0.14, 0.1, 0.078), material, faces="xXyY")
    boards = 5
    pitch = (depth - 0.12) / (boards - 1)
    for i in range(boards):
        part.block((0, -depth / 2 + 0.06 + i * pitch, 0.1), (width, 0.12, 0.044), material)


def build_carton(frame: Part, size: tuple[float, float, float], scene: Scene, colour: RGB) -> None:
    """Build a taped carton standing on the frame's origin; its marked side faces -y."""
    rng, (width, depth, height) = scene.rng, size
    part = frame.add("cardboard_box")
    part.block((0, 0, 0), size, textures.cardboard(colour, 0))
    tape = textures.plastic(TAPE[int(rng.integers(len(TAPE)))])
    half = min(0.035, 0.16 * width)
    lap = min(0.12, 0.3 * height)
    top, front = height + 0.002, -depth / 2 - 0.002
    part.quads(
        np.array(
            [
                [
                    (-half, -depth / 2, top),
                    (half, -depth / 2, top),
                    (half, depth / 2, top),
                    (-half, depth / 2, top),
                ],
                [
                    (-half, front, height - lap),
                    (half, front, height - lap),
                    (half, front, height),
                    (-half, front, height),
                ],
            ]
        ),
        tape,
    )
    if rng.random() < 0.45 and min(width, height) > 0.22:
        _carton_label(part, rng, width, height, front)


def _carton_label(part: Part, rng: np.random.Generator, width: float, height: float, front: float) -> None:
    """Stick an address label, or a printed mark, on the carton's front."""
    wide, tall = rng.uniform(0.1, 0.16), rng.uniform(0.07, 0.11)
    x = rng.uniform(-0.3, 0.1) * width
    z = rng.uniform(0.15, 0.4) * height
    ink = (NAMED["white"], NAMED["white"], NAMED["red"], NAMED["black"], NAMED["blue"])[int(rng.integers(5))]
    quad = [(x, front, z), (x + wide, front, z), (x + wide, front, z + tall), (x, front, z + tall)]
    part.quads(np.array([quad]), textures.plastic(ink))


def build_carton_stack(
    frame: Part, scene: Scene, *, width: float, depth: float, height: float, detail: bool = True
) -> None:
    """Stack cartons of one size on a footprint centred on the origin; the top layer may be incomplete.

    Without `detail`, for stacks seen from afar, they are larger and so fewer.
    """
    rng = scene.rng
    across = int(rng.integers(2, 4)) if width > 0.7 and detail else int(rng.integers(1, 3))
    deep = 2 if detail and depth > 0.7 else 1
    layer = scene.uniform(0.22, 0.42) if detail else scene.uniform(0.32, 0.5)
    layers = max(1, int(height / layer))
    cell = (width / across, depth / deep)
    base = scene.settled("carton", BOARD)
    for level in range(layers):
        for i in range(across):
            for j in range(deep):
                if level == layers - 1 and level > 0 and rng.random() < 0.3:
                    continue
                slack = rng.uniform(0.90, 0.985, 2)
                spot = ((i + 0.5) * cell[0] - width / 2, (j + 0.5) * cell[1] - depth / 2, level * layer)
                size = (cell[0] * slack[0], cell[1] * slack[1], layer - 0.004)
                place = frame.at(spot, scene.normal(0.015))
                build_carton(place, size, scene, shade(base, (0.94, 1.0, 1.0)[int(rng.integers(3))]))


def build_wrapped_load(frame: Part, scene: Scene, *, width: float, depth: float, height: float) -> None:
    """Stand a load wrapped in film or sacking on the origin: one chamfered block with straps."""
    part = frame.add("cardboard_box")
    cover = scene.settled("wrapping", WRAPPING, 4)
    low, high = (-width / 2, -depth / 2, 0.0), (width / 2, depth / 2, height)
    part.cushion(low, high, textures.fabric(cover, 1), bevel=0.05)
    strap = textures.plastic(scene.settled("strap", (NAMED["black"], NAMED["blue"], NAMED["white"]), 2))
    for x in (-0.25, 0.25):
        part.block((x * width, 0, 0), (0.04, depth + 0.008, height + 0.004), strap, faces="yYZ")


def build_crate(frame: Part, size: tuple[float, float, float], colour: RGB, variant: int = 0) -> None:
    """Build a stackable plastic crate with rims and a lid."""
    part = frame.add("crate")
    width, depth, height = size
    body, rim = textures.plastic(colour, variant), textures.plastic(darker(colour), variant)
    part.block((0, 0, 0), (width * 0.95, depth * 0.95, height * 0.8), body, faces="xXyYz")
    part.block((0, 0, height * 0.8), (width, depth, height * 0.2), rim)
    for x in (-0.3, 0.0, 0.3):
        part.block((x * width, 0, 0), (0.03, depth * 0.98, height * 0.8), rim, faces="xXyY")


def darker(colour: RGB) -> RGB:
    """Return a slightly darker shade for rims and edges."""
    return (colour[0] * 0.82, colour[1] * 0.82, colour[2] * 0.82)


def build_drum(
    frame: Part, colour: RGB, variant: int = 0, *, radius: float = 0.29, height: float = 0.88
) -> None:
    """Build a steel drum with two rolling hoops."""
    part = frame.add("drum")
    r, h = radius, height
    profile = [
        (r, 0),
        (r, 0.31 * h),
        (1.04 * r, 0.34 * h),
        (r, 0.37 * h),
        (r, 0.66 * h),
        (1.04 * r, 0.69 * h),
        (r, h),
    ]
    part.turned(profile, textures.enamel(colour, variant), sides=12)
