"""Home furniture: sofas, low tables, rugs, lamps, curtains, television sets."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, mix, pick, shade
from generator.worlds.mesh import Part
from generator.worlds.parts.lamps import TUNGSTEN
from generator.worlds.parts.office import build_screen
from generator.worlds.scene import Scene
from generator.worlds.world import Material


def build_sofa(frame: Part, scene: Scene, *, cloth: Material, width: float = 2.0, depth: float = 0.9) -> None:
    """Build a sofa (or, below 1.2 m, an armchair) centred on the origin; who sits on it faces -y."""
    part = frame.add("sofa")
    half, front, back = width / 2, -depth / 2, depth / 2
    dark = textures.wood((0.28, 0.2, 0.14), 1)
    for x in (-half + 0.1, half - 0.1):
        for y in (front + 0.1, back - 0.1):
            part.block((x, y, 0), (0.05, 0.05, 0.1), dark, faces="xXyY")
    part.cushion((-half, front, 0.1), (half, back, 0.32), cloth, bevel=0.03)
    for x in (-half, half - 0.2):
        part.cushion((x, front, 0.1), (x + 0.2, back, 0.6), cloth, bevel=0.05)
    part.cushion((-half, back - 0.22, 0.3), (half, back, 0.82), cloth, bevel=0.06)
    seats = max(1, round((width - 0.4) / 0.75))
    pitch = (width - 0.4) / seats
    for i in range(seats):
        x = -half + 0.2 + i * pitch
        part.cushion((x + 0.01, front - 0.02, 0.3), (x + pitch - 0.01, back - 0.2, 0.46), cloth, bevel=0.05)
        part.cushion((x + 0.02, back - 0.36, 0.44), (x + pitch - 0.02, back - 0.18, 0.84), cloth, bevel=0.07)
    tones = (scene.accent, NAMED["beige"], NAMED["grey"], NAMED["yellow"], NAMED["teal"], NAMED["white"])
    for _ in range(scene.count(0, 4)):
        pillow = textures.fabric(pick(scene.taste, tones), scene.variant())
        x = scene.uniform(-half + 0.42, half - 0.42)
        leaning = part.at((x, back - 0.5, 0.46), scene.normal(0.25))
        leaning.cushion((-0.2, -0.06, 0), (0.2, 0.07, 0.38), pillow, bevel=0.06)


def build_low_table(
    frame: Part, scene: Scene, *, top: Material, width: float = 1.1, depth: float = 0.6, height: float = 0.42
) -> Part:
    """Build a coffee table centred on the origin; return a frame on the middle of its top."""
    part = frame.add("table")
    if scene.chance(0.3):
        part.turned([(0.45 * width, height - 0.04), (0.45 * width, height)], top, sides=18)
        part.cylinder((0, 0, 0), (0, 0, height - 0.04), 0.06, top, sides=10)
        part.turned([(0.28 * width, 0), (0.06, 0.05)], top, sides=14)
        return frame.at((0, 0, height))
    part.block((0, 0, height - 0.045), (width, depth, 0.045), top)
    for x in (-width / 2 + 0.07, width / 2 - 0.07):
        for y in (-depth / 2 + 0.07, depth / 2 - 0.07):
            part.block((x, y, 0), (0.05, 0.05, height - 0.045), top, faces="xXyY")
    if scene.chance(0.5):
        part.block((0, 0, 0.14), (width - 0.14, depth - 0.14, 0.025), top)
    return frame.at((0, 0, height))


def build_table(
    frame: Part, scene: Scene, *, top: Material, width: float = 1.5, depth: float = 0.85, height: float = 0.75
) -> Part:
    """Build a dining table centred on the origin; return a frame on the middle of its top."""
    part = frame.add("table")
    part.block((0, 0, height - 0.04), (width, depth, 0.04), top)
    part.block((0, 0, height - 0.12), (width - 0.2, depth - 0.2, 0.08), top, faces="xXyY")
    for x in (-width / 2 + 0.08, width / 2 - 0.08):
        for y in (-depth / 2 + 0.08, depth / 2 - 0.08):
            part.block((x, y, 0), (0.065, 0.065, height - 0.04), top, faces="xXyY")
    return frame.at((0, 0, height))


def build_rug(frame: Part, scene: Scene, *, width: float, depth: float) -> None:
    """Lay a patterned rug centred on the origin: a border, a field and a motif."""
    part = frame.add("rug")
    rng = scene.rng
    base = pick(
        scene.taste, (scene.accent, NAMED["beige"], NAMED["grey"], (0.55, 0.22, 0.18), (0.24, 0.30, 0.42))
    )
    other = mix(base, NAMED["white"] if sum(base) < 1.4 else (0.25, 0.22, 0.2), 0.55)
    part.block((0, 0, 0), (width, depth, 0.012), textures.fabric(base, scene.variant()), faces="xXyYZ")
    style = rng.integers(3)
    if style == 0:
        part.block(
            (0, 0, 0.012),
            (width - 0.3, depth - 0.3, 0.001),
            textures.fabric(other, scene.variant()),
            faces="Z",
        )
        part.block(
            (0, 0, 0.013),
            (width - 0.5, depth - 0.5, 0.001),
            textures.fabric(base, scene.variant()),
            faces="Z",
        )
    elif style == 1:
        for x in np.arange(-width / 2 + 0.2, width / 2 - 0.1, 0.4):
            part.box(
                (x, -depth / 2 + 0.05, 0.012),
                (x + 0.16, depth / 2 - 0.05, 0.013),
                textures.fabric(other, 1),
                faces="Z",
            )
    else:
        for x in np.arange(-width / 2 + 0.3, width / 2 - 0.1, 0.5):
            for y in np.arange(-depth / 2 + 0.3, depth / 2 - 0.1, 0.5):
                s = 0.16
                motif = np.array(
                    [[(x - s, y, 0.014), (x, y - s, 0.014), (x + s, y, 0.014), (x, y + s, 0.014)]]
                )
                part.quads(motif, textures.fabric(other, 1))


def build_floor_lamp(frame: Part, scene: Scene, *, height: float = 1.6, power: float = 1.0) -> None:
    """Stand a floor lamp whose shade glows and whose light shines down and up."""
    part = frame.add("lamp")
    steel = textures.steel(pick(scene.taste, ((0.25, 0.25, 0.26), (0.7, 0.62, 0.4), (0.62, 0.62, 0.63))), 1)
    part.cylinder((0, 0, 0), (0, 0, 0.03), 0.15, steel, sides=14)
    part.cylinder((0, 0, 0.03), (0, 0, height - 0.05), 0.015, steel, sides=6)
    cover = textures.glowing(pick(scene.taste, ((0.95, 0.88, 0.72), (0.92, 0.90, 0.82))), 0.75)
    part.turned([(0.21, height - 0.3), (0.15, height)], cover, sides=14, caps=False)
    _shade_light(part, (0, 0, height - 0.28), power)


def build_pendant(frame: Part, scene: Scene, *, drop: float, power: float = 1.0) -> None:
    """Hang a lamp with a shade from the frame's origin (a point of the ceiling), lit face down."""
    part = frame.add("lamp")
    tint = pick(scene.taste, (scene.accent, NAMED["black"], NAMED["white"], (0.72, 0.5, 0.28)))
    part.turned([(0.2, -drop - 0.2), (0.06, -drop)], textures.plastic(tint), sides=14, caps=False)
    part.beam((0, 0, -drop), (0, 0, 0), 0.015, 0.015, textures.plastic(NAMED["black"]))
    _shade_light(part, (0, 0, -drop - 0.19), power)


def _shade_light(part: Part, middle: tuple[float, float, float], power: float) -> None:
    """Add a square light of 24 cm that faces down inside a shade."""
    x, y, z = middle
    part.light((x - 0.12, y - 0.12, z), (0, 0.24, 0), (0.24, 0, 0), [power * c for c in TUNGSTEN])


def build_curtains(wall: Part, scene: Scene, *, width: float, top: float, cloth: Material) -> None:
    """Hang two drawn-back curtains at a window whose middle is the frame's origin; folds are facets."""
    part = wall.add("curtain")
    rod = textures.wood((0.32, 0.24, 0.17), 1)
    part.beam((-width / 2 - 0.4, -0.12, top + 0.04), (width / 2 + 0.4, -0.12, top + 0.04), 0.03, 0.03, rod)
    span = scene.uniform(0.3, 0.5)
    for start in (-width / 2 - 0.3, width / 2 + 0.3 - span):
        folds = 8
        x = start + np.arange(folds + 1) * span / folds
        y = np.where(np.arange(folds + 1) % 2 == 0, -0.07, -0.15)
        low = np.column_stack([x, y, np.full(folds + 1, 0.06)])
        high = np.column_stack([x, y, np.full(folds + 1, top)])
        part.sheet(np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1), cloth)


def build_television(wall: Part, scene: Scene, *, face: Material, width: float = 1.7) -> None:
    """Build a media bench against a wall frame with a television on it."""
    bench = wall.add("cabinet")
    bench.box((-width / 2, -0.42, 0.1), (width / 2, -0.02, 0.48), face, faces="xXyYzZ")
    gap = textures.plastic((0.2, 0.2, 0.2))
    for i in range(1, 3):
        x = -width / 2 + width * i / 3
        bench.box((x - 0.006, -0.422, 0.11), (x + 0.006, -0.42, 0.47), gap, faces="y")
    for x in (-width / 2 + 0.1, width / 2 - 0.15):
        bench.box((x, -0.38, 0), (x + 0.05, -0.33, 0.1), gap, faces="xXyY")
    part = wall.add("monitor", (0, -0.22, 0.48))
    case = textures.plastic((0.10, 0.10, 0.11))
    wide, tall = min(1.25, 0.75 * width), 0.7
    part.block((0, 0.02, 0), (0.4, 0.2, 0.02), case)
    part.box((-wide / 2, 0, 0.05), (wide / 2, 0.04, 0.05 + tall), case)
    if scene.chance(0.6):
        build_screen(part.at((0, -0.002, 0.05 + tall / 2)), scene, width=wide - 0.05, height=tall - 0.05)


def sofa_cloth(scene: Scene) -> Material:
    """Choose the cloth of a suite: the accent, or a quiet tone."""
    quiet = (
        (0.50, 0.50, 0.50),
        (0.62, 0.56, 0.47),
        (0.30, 0.34, 0.42),
        (0.42, 0.30, 0.22),
        (0.72, 0.70, 0.65),
    )
    colour = scene.colour(shade(scene.accent, 0.9), *quiet)
    return textures.fabric(colour, scene.variant())
