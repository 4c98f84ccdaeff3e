"""Pallet racks and what stands in them."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import RGB
from generator.worlds.mesh import Part
from generator.worlds.parts.goods import (
    PALLET_HEIGHT,
    build_carton_stack,
    build_crate,
    build_drum,
    build_pallet,
    build_wrapped_load,
)
from generator.worlds.scene import Scene
from generator.worlds.world import Material

DEPTH = 1.05
"""Depth of a rack from front to back uprights [m]."""


def build_rack_bay(
    part: Part, levels: list[float], *, bay: float, top: float, upright: Material, beam: Material
) -> None:
    """Build one bay of a rack: an upright frame at x = 0, then beams from 0 to `bay`; the front is y = 0.

    Args:
        part: Frame of the rack, at the bottom left front corner of the bay.
        levels: Heights of the beams' tops [m].
        bay: Width of the bay [m].
        top: Height of the uprights [m].
        upright: Finish of uprights and bracing.
        beam: Finish of the beams.
    """
    build_upright(part, top, upright)
    for level in levels:
        for y in (0.0, DEPTH - 0.05):
            part.box((0.05, y, level - 0.12), (bay - 0.05, y + 0.05, level), beam)


def build_upright(part: Part, top: float, upright: Material) -> None:
    """Build the two posts at x = 0 and the bracing between them."""
    for y in (0.0, DEPTH - 0.09):
        part.box((-0.05, y, 0.0), (0.05, y + 0.09, top), upright)
    steps = max(2, round(top / 1.1))
    for i in range(steps):
        low, high = top * i / steps + 0.15, top * (i + 1) / steps
        ends = (0.05, DEPTH - 0.05) if i % 2 == 0 else (DEPTH - 0.05, 0.05)
        part.beam((0, ends[0], low), (0, ends[1], high), 0.035, 0.035, upright)


def fill_bay(
    frame: Part, scene: Scene, levels: list[float], clear: list[float], *, bay: float, detail: bool
) -> None:
    """Fill a bay with loaded pallets on the floor and on every level.

    Args:
        frame: Bottom left front corner of the bay.
        scene: Source of random choices and of the amount of goods.
        levels: Heights that pallets stand on [m].
        clear: Free height above each of them [m].
        bay: Width of the bay [m].
        detail: Whether pallets and stacks are built in full; far ones are simpler.
    """
    places = 2 if bay < 2.5 else 3
    pitch = (bay - 0.1) / places
    full = 0.06 + 0.88 * scene.clutter
    for level, room in zip(levels, clear, strict=True):
        for i in range(places):
            if scene.rng.random() > full:
                continue
            x = 0.05 + (i + 0.5) * pitch
            spot = (x + scene.rng.normal(0, 0.02), DEPTH / 2 + scene.rng.normal(-0.02, 0.02), level)
            build_load(frame.at(spot), scene, width=pitch - 0.1, depth=DEPTH - 0.1, room=room, detail=detail)


def build_load(frame: Part, scene: Scene, *, width: float, depth: float, room: float, detail: bool) -> None:
    """Build a pallet with cartons, crates, drums or a wrapped load, no taller than `room` [m]."""
    rng = scene.rng
    if detail:
        build_pallet(frame, scene, width=width, depth=depth)
    else:
        board = textures.wood((0.62, 0.49, 0.34), 1)
        frame.add("pallet").block((0, 0, 0), (width, depth, PALLET_HEIGHT), board)
    on_top = frame.at((0, 0, PALLET_HEIGHT))
    height = (room - PALLET_HEIGHT - 0.15) * rng.uniform(0.45, 0.95)
    sort = rng.choice(["cartons", "wrapped", "crates", "drums"], p=[0.66, 0.14, 0.13, 0.07])
    if sort == "cartons":
        build_carton_stack(
            on_top, scene, width=width - 0.06, depth=depth - 0.04, height=height, detail=detail
        )
    elif sort == "wrapped":
        build_wrapped_load(on_top, scene, width=width - 0.05, depth=depth - 0.04, height=height)
    elif sort == "crates":
        _crate_stack(on_top, scene, width - 0.06, depth - 0.06, height)
    else:
        _drums(on_top, scene, width, depth)


def _crate_stack(frame: Part, scene: Scene, width: float, depth: float, height: float) -> None:
    """Stack crates of one colour two abreast."""
    colour: RGB = scene.settled(
        "crate", (scene.accent, (0.35, 0.37, 0.40), (0.75, 0.2, 0.15), (0.16, 0.4, 0.3)), 4
    )
    for level in range(max(1, int(height / 0.3))):
        for x in (-0.25, 0.25):
            build_crate(frame.at((x * width, 0, 0.3 * level)), (width * 0.48, depth, 0.29), colour)


def _drums(frame: Part, scene: Scene, width: float, depth: float) -> None:
    """Stand two or four drums on a pallet."""
    colour = scene.settled("drum", (scene.accent, (0.16, 0.3, 0.5), (0.3, 0.32, 0.33)), 3)
    radius = min(width, depth) / 4.3
    for x, y in np.array([(-1, -1), (1, -1), (-1, 1), (1, 1)]) * (width / 4, depth / 4):
        build_drum(frame.at((x, y, 0)), colour, 1, radius=radius, height=0.82)
