"""What the cache shows put back into a sampled video: a small tokenizer and denoiser blur what is known exactly."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from generator.cache import CacheViews, image_bytes
from generator.cache.fill import fill_colours
from generator.teachers.gen3c.compositor import Compositor, Layers

_SPREAD = 0.7
"""Share of the difference at the edge of a hole that is carried into it."""


def composite(
    frames: np.ndarray, guidance: CacheViews, shown: CacheViews, compositor: Compositor | None = None
) -> np.ndarray:
    """Show the cache where it shows anything, and the sampled video, matched to it, where it does not.

    GEN3C's guidance leaves out more than the picture hides (`warp_picture`), so what is put back is everything that
    the cache shows. Without a network, the difference between the cache and the sampled video, known where both
    are, is carried into the holes from coarse to fine, which takes away most of the seam, as a membrane would
    (Poisson image editing); it is carried in part, since it fades. A compositor has learned to do better.

    Args:
        frames: Sampled video, sRGB, (T, H, W, 3) uint8; its first frame is the picture.
        guidance: What the denoiser was shown from the same cameras, in one layer.
        shown: Everything that the cache shows from them, in one layer.
        compositor: A network that merges; None carries differences.

    Returns:
        Video of the same shape.
    """
    sampled = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    seen = shown.mask[:, :1]
    if compositor is None:
        warp = (shown.pixels[:, 0] + 1) / 2
        difference = torch.where(seen, warp - sampled, 0)
        carried = fill_colours(difference, torch.ones_like(sampled[:, 0]), seen[:, 0])
        merged = torch.where(seen, warp, sampled + _SPREAD * carried).clamp(0, 1)
    else:
        merged = compositor.merge(_layers(sampled, guidance, shown))
    return image_bytes(merged)


def _layers(sampled: Tensor, guidance: CacheViews, shown: CacheViews) -> Layers:
    depth, seen = shown.depth[:, 0], shown.mask[:, 0]
    median = depth[0][seen[0]].median() if bool(seen[0].any()) else depth.new_ones(())
    filled, dense = shown.filled()
    return Layers(
        filled=filled,
        sampled=sampled,
        guided=guidance.mask[:, :1].float(),
        seen=seen[:, None].float(),
        log_depth=(dense / median).log()[:, None],
        picture=sampled[:1],
    )
