"""What the tokenizer is trained for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

POOLED = ((1, 1.0), (2, 1.0), (4, 2.0))
"""Pixels per cell and weight of each scale; the decoder reads colour per 4x4 cell, so that scale weighs most."""
GRADIENT = 0.5
"""Weight of the error of finite differences, at every scale; stands in for a perceptual network."""
LATENT_BOUND = 6.0
"""Latents beyond this are pulled back, so that their range stays fit for half precision."""


def reconstruction_loss(video: Tensor, target: Tensor, latents: Tensor) -> Tensor:
    """Return the sum of L1 errors of colours and of their differences over scales, and the range penalty.

    Args:
        video: Reconstruction, (B, 3, T, H, W).
        target: What it should be, same shape, in [-1, 1].
        latents: What it was decoded from.
    """
    error = (video - target).transpose(1, 2).flatten(0, 1)
    loss = 0.01 * (latents.abs() - LATENT_BOUND).relu().square().mean()
    for cell, weight in POOLED:
        pooled = F.avg_pool2d(error, cell) if cell > 1 else error
        loss = loss + weight * pooled.abs().mean()
        loss = loss + GRADIENT * (pooled.diff(dim=-1).abs().mean() + pooled.diff(dim=-2).abs().mean())
    return loss


def psnr(video: Tensor, target: Tensor) -> float:
    """Return the PSNR [dB] of video in [-1, 1], as colours clamped to what a screen shows."""
    error = (video.clamp(-1, 1) - target).square().mean() / 4
    return float(-10 * torch.log10(error.clamp_min(1e-10)))
