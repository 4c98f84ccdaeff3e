"""What the cache shows put back into a sampled video: a small tokenizer and denoiser blur what is known exactly."""

from __future__ import annotations

import numpy as np
import torch

from generator.cache import CacheViews
from generator.cache.fill import fill_colours

_SPREAD = 0.7
"""Share of the difference at the edge of a hole that is carried into it."""


def composite(frames: np.ndarray, views: CacheViews) -> np.ndarray:
    """Show the warp where it covers, and the sampled video, matched to the warp at its edges, where it does not.

    The difference between both is known where the cache covers. Carried into the holes from coarse to fine it takes
    away most of the seam, as a membrane would (Poisson image editing); it is carried in part, since it fades.

    Args:
        frames: Sampled video, sRGB, (T, H, W, 3) uint8.
        views: What the cache shows from the same cameras; its first layer is used.

    Returns:
        Video of the same shape.
    """
    sampled = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    seen, warp = views.mask[:, :1] > 0.5, (views.pixels[:, 0] + 1) / 2
    difference = torch.where(seen, warp - sampled, 0)
    carried = fill_colours(difference, torch.ones_like(sampled[:, 0]), seen[:, 0])
    merged = torch.where(seen, warp, sampled + _SPREAD * carried).clamp(0, 1)
    return (merged * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
