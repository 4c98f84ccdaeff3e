"""What the cache shows put back into a sampled video: a small tokenizer and denoiser blur what is known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from generator.cache import CacheViews
from generator.cache.fill import fill_colours
from generator.teachers.gen3c.refiner import Refiner

_SPREAD = 0.7
"""Share of the difference at the edge of a hole that is carried into it."""


@dataclass(frozen=True)
class Layers:
    """Hold what a composite is made of; colours in [0, 1], (T, 3, H, W)."""

    sampled: Tensor
    """What the denoiser made."""
    matched: Tensor
    """The same, with a share of its difference to the warp carried into the holes from coarse to fine, which takes
    away most of the seam, as a membrane would (Poisson image editing)."""
    filled: Tensor
    """The warp, its holes filled from coarse to fine."""
    seen: Tensor
    """Where the warp covers, (T, 1, H, W) bool."""


def layers(frames: np.ndarray, views: CacheViews) -> Layers:
    """Return the layers of a sampled video (T, H, W, 3) uint8 and of what the cache shows from its cameras."""
    sampled = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    seen, warp = views.mask[:, :1] > 0.5, (views.pixels[:, 0] + 1) / 2
    even = torch.ones_like(sampled[:, 0])
    carried = fill_colours(torch.where(seen, warp - sampled, 0), even, seen[:, 0])
    filled = fill_colours(torch.where(seen, warp, 0), even, seen[:, 0])
    return Layers(sampled, sampled + _SPREAD * carried, torch.where(seen, warp, filled), seen)


def composite(frames: np.ndarray, views: CacheViews, *, refiner: Refiner | None = None) -> np.ndarray:
    """Show the warp where it covers, and the sampled video, fitted to the warp at its edges, where it does not.

    Args:
        frames: Sampled video, sRGB, (T, H, W, 3) uint8.
        views: What the cache shows from the same cameras; its first layer is used.
        refiner: Network that fits the sampled video further.

    Returns:
        Video of the same shape.
    """
    parts = layers(frames, views)
    fitted = parts.matched
    if refiner is not None:
        with torch.inference_mode():
            fitted = refiner(parts.sampled, parts.matched, parts.filled, parts.seen.float())
    merged = torch.where(parts.seen, parts.filled, fitted).clamp(0, 1)
    return (merged * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
