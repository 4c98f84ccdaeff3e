"""Structural similarity as a loss, with gradients; `generator.metrics.ssim` is what is reported."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def ssim_loss(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return 1 - SSIM of (B, 3, H, W) images in [0, 1] (Gaussian window 11, sigma 1.5).

    In training it stands in for LPIPS where no perceptual network is at hand; a checkpoint's card says which it was.
    """
    window = _gaussian_window(prediction)

    def blur(x: torch.Tensor) -> torch.Tensor:
        x = F.conv2d(x, window.view(1, 1, -1, 1).expand(3, 1, -1, 1), groups=3)
        return F.conv2d(x, window.view(1, 1, 1, -1).expand(3, 1, 1, -1), groups=3)

    mean_p, mean_t = blur(prediction), blur(truth)
    var_p = blur(prediction * prediction) - mean_p * mean_p
    var_t = blur(truth * truth) - mean_t * mean_t
    covariance = blur(prediction * truth) - mean_p * mean_t
    numerator = (2 * mean_p * mean_t + 0.01**2) * (2 * covariance + 0.03**2)
    denominator = (mean_p**2 + mean_t**2 + 0.01**2) * (var_p + var_t + 0.03**2)
    return 1 - (numerator / denominator).mean()


def _gaussian_window(like: torch.Tensor) -> torch.Tensor:
    x = torch.arange(-5, 6, dtype=like.dtype, device=like.device)
    window = torch.exp(-0.5 * (x / 1.5) ** 2)
    return window / window.sum()
