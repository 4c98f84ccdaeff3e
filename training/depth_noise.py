"""Depth as an estimator would give it: smoothly wrong, with soft edges that lie beside the true ones."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTH_ERROR = 0.05
"""Standard deviation of the smooth error of log-depth."""
EDGE_SHIFT = 1.5
"""Standard deviation of the displacement of depth edges [px]."""


def disturb_depth(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return z-depth (H, W) with errors of an estimator's kind, of a random strength.

    A wrong scale is left out: a picture whose scale is wrong shows another world, and no artefacts.
    """
    log_depth = torch.from_numpy(np.log(np.maximum(depth, 1e-3)).astype(np.float32))[None, None]
    size = depth.shape
    strength = float(rng.uniform(0, 1))
    shifted = _displace(log_depth, strength * EDGE_SHIFT * _smooth_noise(rng, 2, size, cells=8))
    if rng.random() < 0.5:
        coarse = F.interpolate(shifted, scale_factor=1 / int(rng.choice([2, 4])), mode="area")
        shifted = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    wrong = shifted + strength * SMOOTH_ERROR * _smooth_noise(rng, 1, size, cells=5)
    return wrong.exp()[0, 0].numpy()


def _smooth_noise(rng: np.random.Generator, channels: int, size: tuple[int, ...], *, cells: int) -> Tensor:
    """Return noise of about unit variance that varies over `cells` cells, (1, channels, H, W)."""
    coarse = torch.from_numpy(rng.standard_normal((1, channels, cells, 2 * cells)).astype(np.float32))
    return F.interpolate(coarse, size=size, mode="bicubic", align_corners=False)


def _displace(values: Tensor, offset: Tensor) -> Tensor:
    """Sample maps (1, 1, H, W) at pixels moved by `offset` (1, 2, H, W) [px]."""
    height, width = values.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    grid = torch.stack([(x + offset[0, 0]) * 2 / width - 1, (y + offset[0, 1]) * 2 / height - 1], dim=-1)
    return F.grid_sample(values, grid[None], mode="nearest", padding_mode="border", align_corners=False)
