"""Named colours and the arithmetic on them (display-referred sRGB unless a name says linear)."""

from __future__ import annotations

import numpy as np

RGB = tuple[float, float, float]

NAMED: dict[str, RGB] = {
    "red": (0.72, 0.13, 0.12),
    "orange": (0.88, 0.44, 0.10),
    "yellow": (0.90, 0.74, 0.16),
    "green": (0.20, 0.52, 0.25),
    "teal": (0.12, 0.52, 0.52),
    "blue": (0.13, 0.32, 0.68),
    "purple": (0.44, 0.24, 0.58),
    "pink": (0.86, 0.52, 0.62),
    "brown": (0.44, 0.29, 0.18),
    "beige": (0.80, 0.73, 0.60),
    "white": (0.90, 0.90, 0.88),
    "grey": (0.52, 0.53, 0.55),
    "black": (0.12, 0.12, 0.13),
}


def mix(first: RGB, second: RGB, amount: float) -> RGB:
    """Return the colour that lies `amount` (0..1) of the way from the first colour to the second."""
    blend = (1.0 - amount) * np.asarray(first) + amount * np.asarray(second)
    return (float(blend[0]), float(blend[1]), float(blend[2]))


def shade(colour: RGB, factor: float) -> RGB:
    """Return the colour scaled in brightness and kept inside [0.02, 0.97]."""
    scaled = np.clip(np.asarray(colour) * factor, 0.02, 0.97)
    return (float(scaled[0]), float(scaled[1]), float(scaled[2]))


def jitter(rng: np.random.Generator, colour: RGB, amount: float = 0.08) -> RGB:
    """Return the colour with a random change of brightness and a smaller one of hue."""
    change = 1.0 + amount * rng.uniform(-1.0, 1.0) + 0.4 * amount * rng.uniform(-1.0, 1.0, 3)
    # A coarse scale of colours keeps the number of distinct materials, and so the memory, small.
    varied = np.clip(np.round(np.asarray(colour) * change / 0.03) * 0.03, 0.03, 0.96)
    return (float(varied[0]), float(varied[1]), float(varied[2]))


def pick(rng: np.random.Generator, colours: tuple[RGB, ...], amount: float = 0.08) -> RGB:
    """Return one of the colours, jittered."""
    return jitter(rng, colours[int(rng.integers(len(colours)))], amount)


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
    """Decode sRGB values in [0, 1] to linear light (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
