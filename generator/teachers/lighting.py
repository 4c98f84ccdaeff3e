"""Light of a world, baked once into a grid of texels per quad, so that pixels only look it up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.teachers.quads import QuadScene
from generator.worlds.world import World


@dataclass(frozen=True)
class LightingConfig:
    """Choose how finely the light is baked."""

    texel_size: float = 0.1
    """Distance between lightmap texels [m]; grows where a world would need more than `max_texels`."""
    max_texels: int = 150_000
    """Bound on the number of texels of a world."""


@dataclass(frozen=True)
class Lightmaps:
    """Hold the light that arrives at every quad, divided by pi: times albedo it is the radiance that leaves."""

    texels: np.ndarray
    """Linear RGB, all quads one after the other, row-major over (v, u), (N, 3) float32."""
    first: np.ndarray
    """First texel of each quad, (Q,) int64."""
    shape: np.ndarray
    """Texel columns (along u) and rows (along v) of each quad, both at least 2, (Q, 2) int64."""


def bake(scene: QuadScene, world: World, config: LightingConfig | None = None) -> Lightmaps:
    """Return the ambient light alone."""
    config = config or LightingConfig()
    shape = lightmap_shapes(scene.bounds[:, 1], config)
    counts = shape.prod(axis=1)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    texels = np.tile(np.asarray(world.ambient, np.float32) + np.float32(0.5), (int(counts.sum()), 1))
    return Lightmaps(texels, first, shape)


def lightmap_shapes(size: np.ndarray, config: LightingConfig) -> np.ndarray:
    """Return texel columns and rows for rectangles of `size` (Q, 2) [m], within the bound on their number."""
    spacing = config.texel_size
    while True:
        shape = np.maximum(np.ceil(size / spacing).astype(np.int64) + 1, 2)
        if shape.prod(axis=1).sum() <= config.max_texels or (shape == 2).all():
            return shape
        spacing *= 1.1
