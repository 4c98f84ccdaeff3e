"""Doors, shutters and windows, built on a wall frame (x along the wall, -y into the room)."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, mix, pick, shade
from generator.worlds.mesh import Part
from generator.worlds.parts.shell import Hole
from generator.worlds.scene import Scene
from generator.worlds.world import Material


def build_door(
    wall: Part,
    scene: Scene,
    *,
    width: float = 0.95,
    height: float = 2.1,
    leaf: Material | None = None,
    glazed: bool = False,
) -> None:
    """Build a closed door with its frame, middle of the sill at the origin; two leaves if wider than 1.3 m."""
    part = wall.add("door")
    paints = tuple(
        textures.paint(pick(scene.taste, (scene.accent, NAMED["grey"], NAMED["white"])), 1) for _ in range(2)
    )
    leaf = leaf or scene.furniture(*paints)
    trim = textures.paint(pick(scene.taste, ((0.75, 0.75, 0.74), (0.35, 0.36, 0.38), (0.62, 0.58, 0.52))), 0)
    half = width / 2
    for x in (-half - 0.07, half):
        part.box((x, -0.05, 0), (x + 0.07, 0, height), trim)
    part.box((-half - 0.07, -0.05, height), (half + 0.07, 0, height + 0.07), trim)
    leaves = [(-half, half)] if width < 1.3 else [(-half, -0.006), (0.006, half)]
    steel = textures.steel(NAMED["grey"])
    for low, high in leaves:
        part.box((low, -0.03, 0.01), (high, 0, height), leaf, faces="xXyZ")
        grip = high - 0.09 if (low + high) / 2 <= 0 else low + 0.09
        part.box((grip - 0.06, -0.09, 1.02), (grip + 0.06, -0.06, 1.05), steel)
        part.box((grip - 0.02, -0.07, 1.0), (grip + 0.02, -0.03, 1.07), steel)
        part.box((low + 0.08, -0.034, 0.02), (high - 0.08, -0.03, 0.28), steel, faces="y")
        if glazed:
            glass = textures.plastic((0.35, 0.43, 0.46))
            part.box(
                (low + 0.25 * (high - low), -0.034, 1.3),
                (high - 0.25 * (high - low), -0.03, 1.85),
                glass,
                faces="y",
            )


def build_shutter(wall: Part, scene: Scene, *, width: float, height: float) -> None:
    """Build a closed roller shutter with guides, drum box and hazard posts, middle of the sill at the origin."""
    part = wall.add("door")
    base = mix(pick(scene.taste, (scene.accent, NAMED["grey"], NAMED["white"])), (0.6, 0.6, 0.6), 0.35)
    part.box(
        (-width / 2, -0.05, 0),
        (width / 2, 0, height),
        textures.slats(base, scene.variant(), 0.14),
        faces="yZ",
    )
    steel = textures.enamel((0.38, 0.40, 0.43), scene.variant())
    hazard = textures.stripes(NAMED["yellow"], NAMED["black"], 0, 0.16, diagonal=True)
    for x in (-width / 2 - 0.12, width / 2):
        part.box((x, -0.12, 1.2), (x + 0.12, 0, height), steel)
        part.box((x, -0.13, 0), (x + 0.12, 0, 1.2), hazard)
    part.box((-width / 2 - 0.12, -0.35, height), (width / 2 + 0.12, 0, height + 0.35), steel)
    part.box((-width / 2, -0.07, 0), (width / 2, -0.05, 0.08), textures.plastic(NAMED["black"]))


def build_windows(wall: Part, scene: Scene, holes: list[Hole], *, panes: int = 2, power: float = 1.0) -> None:
    """Build a window in every opening of a wall that does not reach the floor."""
    for low, high, sill, top in holes:
        if sill > 0:
            place = wall.at(((low + high) / 2, 0, 0))
            build_window(
                place, scene, width=high - low, height=top - sill, sill=sill, panes=panes, power=power
            )


def build_window(
    wall: Part, scene: Scene, *, width: float, height: float, sill: float, panes: int = 2, power: float = 1.0
) -> None:
    """Build a window in an opening of the wall: sky that lights the room, a far horizon, frame and bars.

    The wall needs the hole (-width/2, width/2, sill, sill + height) about the frame's origin.
    """
    part = wall.add("window", (0, 0, sill))
    depth, half = 0.16, width / 2
    white = textures.paint(pick(scene.taste, ((0.88, 0.88, 0.86), (0.30, 0.31, 0.33), (0.55, 0.42, 0.30))), 0)
    bar = 0.05
    for x in (-half, half - bar):
        part.box((x, -0.01, 0), (x + bar, depth, height), white)
    for z in (0.0, height - bar):
        part.box((-half, -0.01, z), (half, depth, z + bar), white)
    part.box((-half - 0.06, -0.12, -0.04), (half + 0.06, 0, 0.0), white)
    for i in range(1, panes):
        x = -half + width * i / panes
        part.box((x - 0.025, 0.02, 0), (x + 0.025, depth, height), white)
    build_outlook(part.at((0, depth, 0)), scene, width=width, height=height, power=power)


def build_outlook(part: Part, scene: Scene, *, width: float, height: float, power: float = 1.0) -> None:
    """Build what a window shows, in the plane y = 0: a sky light above hills, trees or houses that glow dimly."""
    rng, half = scene.rng, width / 2
    horizon = height * scene.uniform(0.28, 0.4)
    haze = horizon + 0.45 * (height - horizon)
    part.light((-half, 0, haze), (width, 0, 0), (0, 0, height - haze), [power * c for c in (0.9, 1.0, 1.12)])
    pale = textures.glowing((0.76, 0.86, 0.95), 1.0)
    part.quads(np.array([[(-half, 0, horizon), (half, 0, horizon), (half, 0, haze), (-half, 0, haze)]]), pale)
    ground = textures.glowing(pick(rng, ((0.42, 0.50, 0.30), (0.50, 0.52, 0.46), (0.36, 0.44, 0.26))), 0.6)
    part.quads(np.array([[(-half, 0, 0), (half, 0, 0), (half, 0, horizon), (-half, 0, horizon)]]), ground)
    x = -half
    while x < half - 0.05:
        step = float(min(half - x, rng.uniform(0.12, 0.4) * max(0.6, width / 2)))
        top = horizon + scene.uniform(-0.06, 0.22) * height
        tone = pick(
            rng,
            (
                (0.45, 0.52, 0.40),
                (0.60, 0.58, 0.56),
                (0.66, 0.52, 0.44),
                (0.34, 0.44, 0.33),
                (0.55, 0.60, 0.66),
            ),
        )
        quad = [
            (x, -0.01, 0.4 * horizon),
            (x + step, -0.01, 0.4 * horizon),
            (x + step, -0.01, top),
            (x, -0.01, top),
        ]
        part.quads(np.array([quad]), textures.glowing(shade(tone, 0.95), 0.6))
        x += step
