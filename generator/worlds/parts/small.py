"""Small things that stand on tables, shelves and floors; each stands on its frame's origin."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, RGB, pick
from generator.worlds.mesh import Part
from generator.worlds.scene import Scene
from generator.worlds.world import Material

BRIGHTS: tuple[RGB, ...] = tuple(
    NAMED[name] for name in ("red", "blue", "green", "yellow", "white", "black", "teal", "brown", "beige")
)
GREENS: tuple[RGB, ...] = ((0.20, 0.42, 0.18), (0.28, 0.48, 0.22), (0.34, 0.50, 0.30))


def any_colour(scene: Scene) -> RGB:
    """Draw a colour for a small thing from a short list, the accent among them."""
    choices = (*BRIGHTS, scene.accent)
    return choices[int(scene.rng.integers(len(choices)))]


def build_books(
    frame: Part, scene: Scene, *, width: float, depth: float = 0.18, height: float = 0.26
) -> None:
    """Stand a row of books along x from the origin; they show their backs towards -y."""
    rng, x = scene.rng, 0.0
    while x < width - 0.05:
        thick = scene.uniform(0.025, 0.06)
        tall = height * scene.uniform(0.7, 1.0)
        if rng.random() < 0.9:
            cover = textures.plastic(any_colour(scene))
            book = frame.add("book", (x, 0, 0))
            book.box((0, -depth, 0), (thick - 0.002, 0, tall), cover, faces="xXyZ")
        x += thick
        if rng.random() < 0.08:
            x += scene.uniform(0.05, 0.2)


def build_binders(frame: Part, scene: Scene, *, width: float) -> None:
    """Stand a row of office binders with white labels along x from the origin."""
    rng = scene.rng
    base = pick(scene.taste, (scene.accent, NAMED["black"], NAMED["grey"], NAMED["blue"]))
    for x in np.arange(0.0, width - 0.075, 0.08):
        if rng.random() < 0.12:
            continue
        cover = textures.plastic(base if rng.random() < 0.75 else any_colour(scene))
        part = frame.add("book", (float(x), 0, 0))
        part.box((0, -0.26, 0), (0.075, 0, 0.31), cover, faces="xXyZ")
        part.box((0.012, -0.262, 0.12), (0.063, -0.26, 0.25), textures.plastic(NAMED["white"]), faces="y")


def build_paper(frame: Part, scene: Scene) -> None:
    """Lay a small pile of paper."""
    part = frame.add("book")
    part.block(
        (0, 0, 0),
        (0.21, 0.3, scene.uniform(0.006, 0.06)),
        textures.plastic((0.9, 0.9, 0.87)),
        faces="xXyYZ",
    )


def build_cup(frame: Part, scene: Scene) -> None:
    """Stand a mug."""
    glaze = textures.plastic(any_colour(scene))
    frame.add("kitchenware").turned([(0.038, 0), (0.044, 0.1)], glaze, sides=8)


def build_bottle(frame: Part, scene: Scene, *, height: float = 0.28, label: str = "bottle") -> None:
    """Stand a bottle with a label band."""
    part = frame.add(label)
    rng = scene.rng
    glass = (
        (0.25, 0.40, 0.25),
        (0.45, 0.28, 0.14),
        (0.80, 0.85, 0.86),
        (0.85, 0.86, 0.84),
        (0.30, 0.45, 0.62),
    )[int(rng.integers(5))]
    r = height * scene.uniform(0.13, 0.2)
    profile = [(r, 0), (r, 0.62 * height), (0.4 * r, 0.8 * height), (0.4 * r, height)]
    part.turned(profile, textures.plastic(glass), sides=8)
    part.cylinder(
        (0, 0, 0.18 * height),
        (0, 0, 0.5 * height),
        1.03 * r,
        textures.plastic(any_colour(scene)),
        sides=8,
        caps=False,
    )


def build_bowl(frame: Part, scene: Scene, *, radius: float = 0.13) -> None:
    """Stand a bowl with fruit in it."""
    part = frame.add("kitchenware")
    part.turned(
        [(0.5 * radius, 0), (radius, 0.55 * radius)],
        textures.plastic(any_colour(scene)),
        sides=12,
        caps=False,
    )
    fruit = ((0.80, 0.20, 0.12), (0.90, 0.55, 0.10), (0.55, 0.68, 0.15), (0.92, 0.80, 0.20))[
        int(scene.rng.integers(4))
    ]
    for angle in np.arange(4) * 1.6:
        build_ball(
            part,
            (0.45 * radius * np.cos(angle), 0.45 * radius * np.sin(angle), 0.4 * radius),
            0.38 * radius,
            fruit,
        )


def build_ball(part: Part, centre: tuple[float, float, float], radius: float, colour: RGB) -> None:
    """Add a ball of the same instance about a centre."""
    angles = np.linspace(-1.45, 1.45, 6)
    profile = [(radius * float(np.cos(a)), radius * float(1 + np.sin(a))) for a in angles]
    x, y, z = centre
    part.turned(profile, textures.plastic(colour), start=(x, y, z), end=(x, y, z + 1), sides=9)


def build_plant(frame: Part, scene: Scene, *, height: float = 1.1) -> None:
    """Stand a potted plant: arching leaves from a pot."""
    rng = scene.rng
    part = frame.add("plant")
    pot = 0.24 * height
    clay = pick(scene.taste, ((0.62, 0.36, 0.24), (0.86, 0.85, 0.82), (0.25, 0.26, 0.28), scene.accent))
    part.turned([(0.1 * height, 0), (0.14 * height, pot)], textures.paint(clay, 1), sides=10)
    leaf = textures.foliage(pick(rng, GREENS), int(rng.integers(3)))
    for i in range(int(rng.integers(11, 17))):
        angle = 2.4 * i + scene.uniform(-0.3, 0.3)
        reach = height * scene.uniform(0.16, 0.36)
        top = pot + (height - pot) * scene.uniform(0.45, 1.0)
        _leaf(part, leaf, angle, pot, reach, top, width=height * scene.uniform(0.05, 0.085))


def _leaf(
    part: Part, leaf: Material, angle: float, pot: float, reach: float, top: float, width: float
) -> None:
    """Add one leaf of two facets that rises from the pot and bends outwards."""
    out = np.array([np.cos(angle), np.sin(angle), 0.0])
    side = np.array([-np.sin(angle), np.cos(angle), 0.0])
    root = np.array([0, 0, pot]) + 0.02 * out
    knee = root + 0.45 * reach * out + np.array([0, 0, top - pot])
    tip = knee + 0.75 * reach * out - np.array([0, 0, 0.25 * (top - pot)])
    quads = [
        (root - 0.25 * width * side, root + 0.25 * width * side, knee + width * side, knee - width * side),
        (knee - width * side, knee + width * side, tip + 0.15 * width * side, tip - 0.15 * width * side),
    ]
    part.sheet(np.array(quads), leaf)


def build_bin(frame: Part, scene: Scene, *, height: float = 0.36) -> None:
    """Stand a waste bin."""
    colour = pick(scene.taste, (NAMED["black"], NAMED["grey"], scene.accent))
    frame.add("bin").turned([(0.11, 0), (0.15, height)], textures.plastic(colour), sides=12)


def build_picture(wall: Part, scene: Scene, *, width: float, height: float) -> None:
    """Hang a picture on a wall frame, its middle at the origin: a frame, a mount and an abstract painting."""
    rng = scene.rng
    part = wall.add("picture")
    frame = textures.plastic(pick(scene.taste, (NAMED["black"], NAMED["white"], NAMED["brown"])))
    part.box((-width / 2, -0.03, -height / 2), (width / 2, 0, height / 2), frame, faces="xXyzZ")
    inner = np.array([width / 2 - 0.03, height / 2 - 0.03])
    _flat(part, -inner, inner, -0.032, textures.plastic((0.90, 0.89, 0.85)))
    art = inner * 0.82
    ground = pick(rng, ((0.82, 0.78, 0.68), (0.55, 0.68, 0.75), (0.85, 0.62, 0.45), (0.30, 0.42, 0.50)))
    _flat(part, -art, art, -0.034, textures.paint(ground, 2))
    for i in range(int(rng.integers(3, 7))):
        low = rng.uniform(-1, 0.6, 2)
        high = np.minimum(low + rng.uniform(0.25, 1.1, 2), 1.0)
        _flat(
            part,
            low * art,
            high * art,
            -0.036 - 0.001 * i,
            textures.paint(any_colour(scene), int(rng.integers(3))),
        )


def _flat(part: Part, low: np.ndarray, high: np.ndarray, y: float, material: Material) -> None:
    """Add a rectangle in x and z that faces -y."""
    quad = [(low[0], y, low[1]), (high[0], y, low[1]), (high[0], y, high[1]), (low[0], y, high[1])]
    part.quads(np.array([quad]), material)
