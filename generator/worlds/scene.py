"""What a kind of world is built with: the mesh, the random numbers, the words and the chosen finishes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import NAMED, RGB, mix, pick
from generator.worlds.mesh import Mesh, Part
from generator.worlds.prompt import Modifiers
from generator.worlds.world import Material

WOODS: tuple[RGB, ...] = (
    (0.62, 0.45, 0.29),
    (0.74, 0.58, 0.39),
    (0.45, 0.31, 0.20),
    (0.80, 0.66, 0.48),
    (0.54, 0.36, 0.22),
)
METALS: tuple[RGB, ...] = ((0.60, 0.61, 0.63), (0.50, 0.52, 0.55), (0.68, 0.68, 0.67))
CONCRETES: tuple[RGB, ...] = ((0.58, 0.57, 0.55), (0.66, 0.65, 0.62), (0.50, 0.50, 0.49))
BRICKS: tuple[RGB, ...] = ((0.60, 0.31, 0.23), (0.68, 0.42, 0.30), (0.52, 0.34, 0.28), (0.78, 0.74, 0.68))
PASTELS: tuple[RGB, ...] = (
    (0.86, 0.84, 0.79), (0.80, 0.83, 0.82), (0.84, 0.80, 0.70),
    (0.74, 0.80, 0.74), (0.76, 0.80, 0.85), (0.85, 0.77, 0.72),
)  # fmt: skip
ACCENTS: tuple[RGB, ...] = tuple(NAMED[name] for name in ("blue", "red", "green", "orange", "teal", "yellow"))


@dataclass(frozen=True)
class Viewpoint:
    """Say where the conditioning camera stands and looks."""

    eye: tuple[float, float, float]
    """Position [m]."""
    yaw: float
    """Heading [rad], 0 along +y and positive to the left."""
    pitch: float
    """Downward tilt [rad]."""
    fov: float
    """Horizontal field of view [rad]."""


@dataclass
class Scene:
    """Hold everything that the builder of one kind needs."""

    words: Modifiers
    rng: np.random.Generator
    """Random numbers for the layout."""
    taste: np.random.Generator
    """Random numbers for colours and materials, apart so that words leave the layout alone."""
    mesh: Mesh = field(default_factory=Mesh)
    ambient: float = 0.3
    """Share of the mean exposure that comes from bounced light."""
    tint: RGB = (1.0, 1.0, 1.0)
    """Colour of the bounced light."""
    _claims: list[tuple[float, float, float]] = field(default_factory=list)
    _settled: dict[str, list[RGB]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.accent: RGB = self.colour(*ACCENTS)
        """The colour of whatever stands out: machines, doors, stripes, upholstery."""

    def add(self, label: str, at: tuple[float, ...] = (0.0, 0.0, 0.0), yaw: float = 0.0) -> Part:
        """Start an object in the world frame."""
        return self.mesh.add(label, at, yaw)

    def frame(self, at: tuple[float, ...] = (0.0, 0.0, 0.0), yaw: float = 0.0) -> Part:
        """Return a frame of the world to place objects in."""
        return self.mesh.frame(at, yaw)

    @property
    def clutter(self) -> float:
        """How many loose things lie about: 0 none, 1 many."""
        return {"empty": 0.0, "tidy": 0.3, "normal": 0.6, "cluttered": 1.0}[self.words.clutter]

    def uniform(self, low: float, high: float) -> float:
        """Draw a number between two bounds; a range that is empty gives its lower bound."""
        return float(self.rng.uniform(low, max(low, high)))

    def degrees(self, low: float, high: float) -> float:
        """Draw an angle between two bounds in degrees and return it in radians."""
        return float(np.radians(self.uniform(low, high)))

    def normal(self, spread: float) -> float:
        """Draw a small deviation about 0 with a standard deviation."""
        return float(self.rng.normal(0.0, spread))

    def width(self, low: float, high: float) -> float:
        """Draw a width [m], and let `narrow`, `wide`, `small` and `large` change it."""
        factor = {"narrow": 0.72, "normal": 1.0, "wide": 1.35}[self.words.width]
        return self.rng.uniform(low, high) * factor * self._size

    def length(self, low: float, high: float) -> float:
        """Draw a length or height [m], and let `small` and `large` change it."""
        return self.rng.uniform(low, high) * self._size

    @property
    def _size(self) -> float:
        return {"small": 0.8, "normal": 1.0, "large": 1.3}[self.words.size]

    def chance(self, probability: float) -> bool:
        """Draw whether something is there."""
        return bool(self.rng.random() < probability)

    def count(self, low: int, high: int) -> int:
        """Draw a number of loose things between `low` (tidy) and `high` (cluttered), 0 when empty."""
        if self.clutter == 0.0:
            return 0
        return round(
            low + (high - low) * float(np.clip(self.clutter * self.rng.uniform(0.75, 1.15), 0.0, 1.0))
        )

    def colour(self, *choices: RGB) -> RGB:
        """Return the colour of the prompt if there is one, else one of the choices."""
        drawn = pick(self.taste, choices)
        return pick(self.taste, (NAMED[self.words.colour],), 0.1) if self.words.colour else drawn

    def claim(self, x: float, y: float, radius: float) -> bool:
        """Take a round patch of floor [m] for a loose thing; return False if another one stands there already."""
        if any(np.hypot(x - u, y - v) < radius + taken for u, v, taken in self._claims):
            return False
        self._claims.append((x, y, radius))
        return True

    def settled(self, name: str, choices: tuple[RGB, ...], count: int = 6) -> RGB:
        """Draw one of the few colours that this world has settled on for a sort of thing.

        Things that come in hundreds, such as cartons, would otherwise each bring a material of their own.
        """
        if name not in self._settled:
            self._settled[name] = [pick(self.taste, choices) for _ in range(count)]
        return self._settled[name][int(self.rng.integers(count))]

    def variant(self) -> int:
        """Draw the pattern of a texture."""
        return int(self.taste.integers(textures.VARIANTS))

    def wall(self, *choices: Material) -> Material:
        """Return the finish of the walls: the material of the prompt, its colour as paint, or a choice."""
        drawn = self._draw(choices)
        tint = NAMED[self.words.colour] if self.words.colour else None
        made = self._worded(tint)
        if made is not None:
            return made
        return textures.paint(mix((0.86, 0.86, 0.85), tint, 0.42), self.variant()) if tint else drawn

    def floor(self, *choices: Material) -> Material:
        """Return the finish of the floor: the material of the prompt where a floor can be of it, or a choice."""
        drawn = self._draw(choices)
        tint = NAMED[self.words.colour] if self.words.colour else None
        material = self.words.material
        if material == "wood":
            return textures.planks(_stained(pick(self.taste, WOODS), tint, 0.3), self.variant())
        if material in ("concrete", "tile", "carpet"):
            return self._worded(tint) or drawn
        return drawn

    def furniture(self, *choices: Material) -> Material:
        """Return the finish of furniture: wood or metal of the prompt, its colour as lacquer, or a choice."""
        drawn = self._draw(choices)
        tint = NAMED[self.words.colour] if self.words.colour else None
        if self.words.material in ("wood", "metal", "plastic"):
            made = self._worded(tint, board=True)
            if made is not None:
                return made
        return textures.plastic(pick(self.taste, (tint,), 0.1), self.variant()) if tint else drawn

    def _draw(self, choices: tuple[Material, ...]) -> Material:
        """Draw one of the choices."""
        return choices[int(self.taste.integers(len(choices)))]

    def _worded(self, tint: RGB | None, *, board: bool = False) -> Material | None:
        """Return the material that the prompt names, stained with its colour, or None."""
        variant, taste = self.variant(), self.taste
        match self.words.material:
            case "wood" if board:
                return textures.wood(_stained(pick(taste, WOODS), tint, 0.55), variant)
            case "wood":
                return textures.planks(_stained(pick(taste, WOODS), tint, 0.55), variant)
            case "metal" if board:
                return textures.steel(_stained(pick(taste, METALS), tint, 0.7), variant)
            case "metal":
                return textures.corrugated(_stained(pick(taste, METALS), tint, 0.7), variant)
            case "concrete":
                return textures.concrete(_stained(pick(taste, CONCRETES), tint, 0.4), variant)
            case "brick":
                return textures.brick(_stained(pick(taste, BRICKS), tint, 0.6), variant)
            case "tile":
                return textures.tiles(_stained(pick(taste, PASTELS), tint, 0.6), variant)
            case "plastic":
                return textures.plastic(_stained(pick(taste, PASTELS), tint, 0.8), variant)
            case "carpet":
                return textures.carpet(
                    _stained(pick(taste, ((0.40, 0.42, 0.46), (0.5, 0.45, 0.4))), tint, 0.8), variant
                )
        return None


def _stained(base: RGB, tint: RGB | None, amount: float) -> RGB:
    """Mix a material's own colour with the colour of the prompt."""
    return mix(base, tint, amount) if tint else base
