"""Find Gaussians that float where nothing is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lyra_sim.gaussians import Gaussians


@dataclass(frozen=True)
class FloaterConfig:
    """Say which Gaussians count as floaters."""

    neighbours: int = 8
    """Number of neighbours that a surface splat is compared with."""
    isolation: float = 10.0
    """Mean distance to the neighbours beyond which a splat is alone, in units of its own largest sigma."""
    least_spacing: float = 0.05
    """Mean distance to the neighbours that is never too far [m]."""
    giant: float = 8.0
    """Largest sigma beyond which a splat is a giant, in units of its neighbours' median."""
    least_giant: float = 0.25
    """Sigma that is never too large [m]."""
    least_opacity: float = 0.02
    """Opacity below which a splat carries nothing."""


def find_floaters(gaussians: Gaussians, *, config: FloaterConfig | None = None) -> np.ndarray:
    """Return which Gaussians are isolated, gigantic beside their neighbours or all but invisible, (N,) bool.

    Distances are relative to the splats' own size, because splats from images lie the farther apart the
    farther they are from the camera.
    """
    from scipy.spatial import cKDTree

    config = config or FloaterConfig()
    size = gaussians.scales.max(axis=1)
    faint = gaussians.opacities < config.least_opacity
    solid = np.flatnonzero(~faint)
    floaters = faint.copy()
    if len(solid) <= config.neighbours:
        return floaters
    means = gaussians.means[solid].astype(np.float64)
    distance, index = cKDTree(means).query(means, k=config.neighbours + 1)
    spacing = distance[:, 1:].mean(axis=1)
    alone = spacing > np.maximum(config.isolation * size[solid], config.least_spacing)
    typical = np.median(size[solid][index[:, 1:]], axis=1)
    giant = size[solid] > np.maximum(config.giant * typical, config.least_giant)
    floaters[solid] = alone | giant
    return floaters


def drop_floaters(gaussians: Gaussians, *, config: FloaterConfig | None = None) -> Gaussians:
    """Return the Gaussians that are not floaters; see `find_floaters`."""
    return gaussians.select(~find_floaters(gaussians, config=config))
