"""Kitchen runs: base and wall cabinets, worktops, sink, hob, oven, hood, refrigerator and small wares."""

from __future__ import annotations

from dataclasses import dataclass

from generator.worlds import textures
from generator.worlds.colours import NAMED, pick
from generator.worlds.mesh import Part
from generator.worlds.parts.small import any_colour, build_bottle, build_bowl, build_cup
from generator.worlds.scene import Scene
from generator.worlds.world import Material

DEPTH = 0.6
"""Depth of base cabinets [m]."""
TOP = 0.9
"""Height of the worktop [m]."""


@dataclass(frozen=True)
class Finish:
    """Hold the materials of one kitchen."""

    base: Material
    """Fronts of base cabinets."""
    wall: Material
    """Fronts of wall cabinets."""
    top: Material
    """Worktop."""
    splash: Material
    """Wall between worktop and wall cabinets."""
    handle: Material


def build_base(wall: Part, finish: Finish, *, width: float, drawers: bool) -> None:
    """Build a base cabinet against a wall frame, left end at the origin, with one or two doors or drawers."""
    part = wall.add("cabinet")
    part.box((0, -DEPTH + 0.05, 0), (width, 0, 0.1), textures.plastic((0.16, 0.16, 0.17)), faces="y")
    part.box((0, -DEPTH, 0.1), (width, 0, TOP - 0.04), finish.base, faces="xXy")
    if drawers:
        for low, high in ((0.11, 0.37), (0.38, 0.62), (0.63, 0.85)):
            _front(part, finish, 0.0, width, low, high, finish.base, bar=True)
        return
    doors = 2 if width > 0.7 else 1
    for i in range(doors):
        _front(
            part,
            finish,
            width * i / doors,
            width * (i + 1) / doors,
            0.11,
            0.85,
            finish.base,
            bar=False,
            left=i == 1,
        )


def _front(
    part: Part,
    finish: Finish,
    x0: float,
    x1: float,
    low: float,
    high: float,
    face: Material,
    *,
    bar: bool,
    left: bool = False,
    y: float = -DEPTH,
) -> None:
    """Add one door or drawer front with its handle."""
    part.box((x0 + 0.005, y - 0.02, low), (x1 - 0.005, y, high), face, faces="xXyzZ")
    if bar:
        middle = (x0 + x1) / 2
        part.box(
            (middle - 0.12, y - 0.05, high - 0.07), (middle + 0.12, y - 0.02, high - 0.045), finish.handle
        )
        return
    grip = x0 + 0.05 if left else x1 - 0.05
    end = high - 0.05 if y == -DEPTH else low + 0.2
    part.box((grip - 0.012, y - 0.05, end - 0.15), (grip + 0.012, y - 0.02, end), finish.handle)


def build_worktop(wall: Part, finish: Finish, *, width: float) -> None:
    """Lay a worktop along a wall frame from the origin."""
    part = wall.add("table")
    part.box((0, -DEPTH - 0.03, TOP - 0.04), (width, 0, TOP), finish.top)


def build_wall_cabinet(
    wall: Part, finish: Finish, *, width: float, low: float = 1.45, high: float = 2.15
) -> None:
    """Hang a wall cabinet on a wall frame, left end at the origin."""
    part = wall.add("cabinet")
    part.box((0, -0.34, low), (width, 0, high), finish.wall)
    doors = 2 if width > 0.65 else 1
    for i in range(doors):
        x0, x1 = width * i / doors, width * (i + 1) / doors
        _front(part, finish, x0, x1, low + 0.005, high - 0.005, finish.wall, bar=False, left=i == 1, y=-0.34)


def build_oven(wall: Part, finish: Finish) -> None:
    """Build an oven of 0.6 m under a hob, left end at the origin."""
    part = wall.add("oven")
    steel, dark = textures.steel((0.60, 0.61, 0.62), 1), textures.plastic((0.10, 0.10, 0.11))
    part.box((0, -DEPTH, 0.1), (0.6, 0, TOP - 0.04), steel, faces="xXy")
    part.box((0.01, -DEPTH - 0.02, 0.12), (0.59, -DEPTH, 0.68), steel, faces="xXyzZ")
    part.box((0.07, -DEPTH - 0.024, 0.2), (0.53, -DEPTH - 0.02, 0.56), dark, faces="y")
    part.box((0.06, -DEPTH - 0.07, 0.61), (0.54, -DEPTH - 0.045, 0.635), steel)
    part.box((0.01, -DEPTH - 0.015, 0.7), (0.59, -DEPTH, 0.85), dark, faces="xXyzZ")
    for i in range(5):
        x = 0.1 + 0.1 * i
        part.cylinder((x, -DEPTH - 0.015, 0.775), (x, -DEPTH - 0.05, 0.775), 0.028, steel, sides=8)
    part.box((0.03, -DEPTH + 0.04, TOP), (0.57, -0.05, TOP + 0.008), dark, faces="xXyYZ")
    ring = textures.plastic((0.28, 0.27, 0.27))
    for x, y, r in ((0.17, -0.43, 0.09), (0.42, -0.43, 0.075), (0.17, -0.19, 0.075), (0.42, -0.19, 0.09)):
        part.cylinder((x, y, TOP + 0.008), (x, y, TOP + 0.011), r, ring, sides=12)


def build_hood(wall: Part, *, height: float) -> None:
    """Build an extractor hood over the hob, left end at the origin, up to the ceiling."""
    part = wall.add("oven")
    steel = textures.steel((0.62, 0.63, 0.64), 2)
    part.box((0.0, -0.48, 1.55), (0.6, 0, 1.62), steel)
    part.prism([(0.02, -0.46), (0.58, -0.46), (0.58, 0), (0.02, 0)], 1.62, 1.68, steel)
    part.box((0.17, -0.3, 1.68), (0.43, 0, height), steel, faces="xXy")


def build_sink(wall: Part) -> None:
    """Set a sink with a tap on the worktop, left end at the origin, 0.8 m wide."""
    part = wall.add("sink")
    steel = textures.steel((0.66, 0.67, 0.68), 1)
    inner = textures.steel((0.42, 0.43, 0.44), 1)
    part.box((0.08, -0.52, TOP), (0.72, -0.1, TOP + 0.008), steel, faces="xXyYZ")
    part.box((0.13, -0.47, TOP + 0.008), (0.47, -0.17, TOP + 0.01), inner, faces="Z")
    part.cylinder((0.3, -0.12, TOP), (0.3, -0.12, TOP + 0.3), 0.018, steel, sides=8)
    part.beam((0.3, -0.12, TOP + 0.29), (0.3, -0.32, TOP + 0.26), 0.03, 0.03, steel)
    part.beam((0.3, -0.31, TOP + 0.26), (0.3, -0.31, TOP + 0.2), 0.025, 0.025, steel)


def build_refrigerator(wall: Part, scene: Scene, *, height: float = 1.85) -> None:
    """Build a refrigerator of 0.65 m, left end at the origin."""
    part = wall.add("refrigerator")
    white, metal = textures.plastic((0.90, 0.90, 0.89), 1), textures.steel((0.62, 0.63, 0.64), 2)
    face = (white, metal, textures.plastic(scene.accent))[int(scene.taste.choice(3, p=[0.4, 0.4, 0.2]))]
    part.box((0.01, -0.62, 0.04), (0.64, -0.02, height), face, faces="xXyYZ")
    split = 0.38 * height
    for low, high in ((0.06, split - 0.01), (split + 0.01, height - 0.01)):
        part.box((0.01, -0.67, low), (0.64, -0.625, high), face, faces="xXyzZ")
        part.box(
            (0.56, -0.72, max(low, high - 0.7)), (0.585, -0.67, high - 0.2), textures.steel((0.4, 0.4, 0.42))
        )


def litter(top: Part, scene: Scene, *, low: float, high: float, depth: float = 0.42) -> None:
    """Put kitchen things on a worktop between two places along it; their number follows the clutter."""
    rng = scene.rng
    spots = max(1, int((high - low) / 0.22))
    for i in range(spots):
        if scene.clutter == 0.0 or rng.random() > 0.75 * scene.clutter:
            continue
        x = low + (i + scene.uniform(0.3, 0.7)) * (high - low) / spots
        place = top.at((x, -scene.uniform(0.12, depth), 0), scene.uniform(-0.4, 0.4))
        sort = rng.integers(7)
        if sort == 0:
            build_bowl(place, scene)
        elif sort == 1:
            build_cup(place, scene)
        elif sort <= 3:
            build_bottle(place, scene, height=scene.uniform(0.2, 0.32))
        elif sort == 4:
            _pot(place, scene)
        elif sort == 5:
            _jar(place, scene)
        else:
            _toaster(place, scene)


def _pot(frame: Part, scene: Scene) -> None:
    """Stand a cooking pot with a lid."""
    part = frame.add("kitchenware")
    skin = textures.steel((0.60, 0.60, 0.61), 1) if scene.chance(0.5) else textures.plastic(any_colour(scene))
    part.cylinder((0, 0, 0), (0, 0, 0.14), 0.12, skin, sides=12)
    part.turned([(0.125, 0.14), (0.04, 0.17), (0.02, 0.2)], skin, sides=12)
    part.box((-0.18, -0.02, 0.1), (0.18, 0.02, 0.12), textures.plastic(NAMED["black"]))


def _jar(frame: Part, scene: Scene) -> None:
    """Stand a storage jar, or a holder with spoons."""
    part = frame.add("kitchenware")
    part.cylinder((0, 0, 0), (0, 0, 0.17), 0.065, textures.plastic(any_colour(scene)), sides=10)
    if scene.chance(0.5):
        part.cylinder((0, 0, 0.17), (0, 0, 0.2), 0.068, textures.wood((0.62, 0.46, 0.3), 1), sides=10)
        return
    for i in range(4):
        tip = (0.05 * (i - 1.5), 0.03 * (i % 2), 0.32)
        part.beam((0, 0, 0.15), tip, 0.02, 0.012, textures.wood((0.68, 0.5, 0.32), 1))


def _toaster(frame: Part, scene: Scene) -> None:
    """Stand a toaster or a small oven."""
    part = frame.add("kitchenware")
    if scene.chance(0.6):
        colour = pick(scene.taste, (scene.accent, NAMED["grey"], NAMED["black"]))
        part.cushion((-0.16, -0.09, 0), (0.16, 0.09, 0.19), textures.plastic(colour), bevel=0.03)
        return
    part.block((0, 0, 0), (0.48, 0.34, 0.28), textures.plastic((0.80, 0.80, 0.80)), faces="xXyYZ")
    part.box((-0.22, -0.172, 0.03), (0.1, -0.17, 0.25), textures.plastic(NAMED["black"]), faces="y")
