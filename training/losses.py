"""The losses of the distillation, in the official form and mended where that one is faulty.

Official forms follow Lyra's training code (arXiv 2509.19296, section 3.3 and its released configuration):
total = MSE + 0.5 LPIPS + 0.05 depth (+ 0.1 opacity in the pruning stages).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def normalise_depth(depth: torch.Tensor, valid: torch.Tensor, *, official: bool = False) -> torch.Tensor:
    """Remove shift and scale from every depth map of (..., P) pixels: median to 0, mean deviation to 1.

    The official median runs over all pixels with the invalid ones set to zero, which drags it down on maps with
    holes; the mended one (`official=False`) runs over the valid pixels only.
    """
    masked = depth * valid
    if official:
        shift = masked.median(dim=-1, keepdim=True).values
    else:
        shift = torch.nanmedian(masked.where(valid > 0, torch.nan), dim=-1, keepdim=True).values.nan_to_num(
            0.0
        )
    centred = (masked - shift) * valid
    deviation = centred.abs().sum(dim=-1, keepdim=True) / valid.sum(dim=-1, keepdim=True).clamp(min=1)
    return centred / deviation.clamp(1e-3, 1e3)


def depth_loss(prediction: torch.Tensor, truth: torch.Tensor, *, official: bool = False) -> torch.Tensor:
    """Compare depth maps (..., H, W) up to scale and shift: smooth L1, mean over all pixels, invalid ones count 0."""
    valid = (truth > 0) & torch.isfinite(truth)
    truth = truth.where(valid, torch.zeros_like(truth))
    prediction, truth, mask = (x.flatten(-2) for x in (prediction, truth, valid.to(prediction.dtype)))
    return F.smooth_l1_loss(
        normalise_depth(prediction, mask, official=official), normalise_depth(truth, mask, official=official)
    )


def opacity_loss(opacity: torch.Tensor, *, official: bool = False) -> torch.Tensor:
    """Push activated opacities down; the official form passes them through a second sigmoid first."""
    return (opacity.sigmoid() if official else opacity).mean()


def log_depth_loss(
    prediction: torch.Tensor, truth: torch.Tensor, *, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """Compare metric depths or distances by the absolute difference of their logarithms, mean over valid ones."""
    valid = truth > 0 if valid is None else valid & (truth > 0)
    difference = (prediction.clamp(min=1e-3).log() - truth.clamp(min=1e-3).log()).abs()
    return (difference * valid).sum() / valid.sum().clamp(min=1)
