"""Tileable scalar patterns, zero mean and about unit spread, that textures are coloured from.

Features stay coarse (3 to 4 cm and up once tiled): finer ones do not survive 8 x 8 video compression.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter

SIZE = 128
"""Texels along the side of every texture."""


def _unit(values: np.ndarray) -> np.ndarray:
    """Shift and scale to zero mean and unit standard deviation."""
    return (values - values.mean()) / (values.std() + 1e-9)


@lru_cache(maxsize=256)
def noise(sigma_u: float, sigma_v: float, variant: int) -> np.ndarray:
    """Return smooth noise with blur radii in 256ths of the tile along u (columns) and v (rows), (S, S)."""
    white = np.random.default_rng([11, variant]).standard_normal((SIZE, SIZE))
    scale = SIZE / 256.0
    return _unit(gaussian_filter(white, (sigma_v * scale, sigma_u * scale), mode="wrap"))


@lru_cache(maxsize=64)
def mottle(variant: int) -> np.ndarray:
    """Return noise at three scales, as of plaster or concrete, (S, S)."""
    layers = noise(26, 26, variant) + 0.6 * noise(9, 9, variant + 1) + 0.25 * noise(3, 3, variant + 2)
    return _unit(layers)


@lru_cache(maxsize=64)
def cells(rows: int, columns: int, shift: float, variant: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divide the tile into a brick grid; every other row starts `shift` cells later.

    Returns:
        A random number per cell in [-1, 1], and the distances in 256ths of the tile to the nearest joint along u
        and along v, each (S, S).
    """
    v = (np.arange(SIZE) + 0.5) * rows / SIZE
    row = v.astype(int)
    u = ((np.arange(SIZE) + 0.5) * columns / SIZE)[None, :] + shift * (row % 2)[:, None]
    column = u.astype(int) % columns
    tone = np.random.default_rng([13, variant]).uniform(-1.0, 1.0, (rows, columns))[row[:, None], column]
    edge_u = np.minimum(u % 1.0, 1.0 - u % 1.0) * 256.0 / columns
    edge_v = np.minimum(v % 1.0, 1.0 - v % 1.0) * 256.0 / rows
    return tone, edge_u, np.broadcast_to(edge_v[:, None], edge_u.shape)


@lru_cache(maxsize=64)
def grain(variant: int) -> np.ndarray:
    """Return wood grain along u: long streaks with a slow waver, (S, S)."""
    waver = (SIZE / 36.0 * noise(48, 48, variant)).astype(int)
    streaks = noise(60, 2.2, variant + 1) + 0.8 * noise(80, 6, variant + 2)
    rows = (np.arange(SIZE)[:, None] + waver) % SIZE
    return _unit(streaks[rows, np.arange(SIZE)[None, :]])


@lru_cache(maxsize=64)
def speckle(fraction: float, variant: int) -> np.ndarray:
    """Return soft round flecks that cover about a fraction of the tile, in [0, 1], (S, S)."""
    field = noise(2.2, 2.2, variant)
    return np.clip((field - np.quantile(field, 1.0 - fraction)) * 1.6, 0.0, 1.0)


def waves(count: int) -> np.ndarray:
    """Return a cosine with `count` periods along u, (S, S)."""
    phase = (np.arange(SIZE) + 0.5) / SIZE * 2.0 * np.pi * count
    return np.broadcast_to(np.cos(phase)[None, :], (SIZE, SIZE))


def joint(edge: np.ndarray, width: float) -> np.ndarray:
    """Return 1 on joints and 0 elsewhere, with a soft border, from distances in 256ths of the tile."""
    return np.clip(width / 2.0 + 0.5 - edge, 0.0, 1.0)
