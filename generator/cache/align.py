"""Alignment of a new frame's depth to what the cache already shows (GEN3C, chunks after the first)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from generator.cache.unproject import unproject
from lyra_sim.errors import LyraSimError

Alignment = Literal["rigid", "non_rigid"]

_STEPS = 100
_LEARNING_RATE = 1e-3
_SMOOTHNESS = 0.1
_LEAST_OVERLAP = 16
"""Pixels that must agree in range before a scale and a bias are fitted to them."""


def align_depth(
    source: Tensor,
    target: Tensor,
    mask: Tensor,
    intrinsics: Tensor,
    *,
    method: Alignment = "non_rigid",
    official_quirks: bool = False,
) -> Tensor:
    """Fit a depth map to another one of the same view.

    Args:
        source: z-depth [m] to be moved, (H, W).
        target: z-depth [m] to match, (H, W).
        mask: 1 where `target` is known, (H, W).
        intrinsics: fx, fy, cx, cy [px], (4,).
        method: Whether one scale and bias of inverse depth is fitted, or a smooth scale per pixel after that.
        official_quirks: Count pixel centres from 0, and choose the source's range from pixels outside of the
            mask too. (GEN3C also moves both maps by one pose before it compares them, which only turns the axes
            of an L1 distance; that is left out.)

    Returns:
        Aligned z-depth [m], (H, W).

    Raises:
        LyraSimError: The maps have hardly a pixel in common.
    """
    aligned = _align_rigid(source, target, mask > 0.5, official_quirks=official_quirks)
    if method == "rigid":
        return aligned
    center = 0.0 if official_quirks else 0.5
    return aligned * _fit_scale(aligned, target, mask > 0.5, intrinsics, center)


def _align_rigid(source: Tensor, target: Tensor, mask: Tensor, *, official_quirks: bool) -> Tensor:
    """Fit scale and bias of inverse depth by least squares, without the nearest and farthest tenth."""
    inverse_source, inverse_target = 1 / source, 1 / target
    known = mask & inverse_source.isfinite() & inverse_target.isfinite()
    _require_overlap(known)
    used = _in_mid_range(inverse_source, torch.ones_like(known) if official_quirks else known)
    used = (
        used & _in_mid_range(inverse_target, mask if official_quirks else known) & (known | official_quirks)
    )
    _require_overlap(used)
    x = torch.stack([inverse_source[used], torch.ones_like(inverse_source[used])], dim=1)
    scale, bias = (
        torch.linalg.lstsq(x.double(), inverse_target[used][:, None].double()).solution[:, 0].float()
    )
    return 1 / (inverse_source * scale + bias)


def _require_overlap(pixels: Tensor) -> None:
    count = int(pixels.sum())
    if count < _LEAST_OVERLAP:
        raise LyraSimError(
            f"the new frame shares only {count} pixels of depth with the cache, so it cannot be aligned; "
            "use a shorter camera path"
        )


def _in_mid_range(values: Tensor, among: Tensor) -> Tensor:
    low, high = torch.quantile(values[among], values.new_tensor([0.1, 0.9]))
    return (values > low) & (values < high)


def _fit_scale(source: Tensor, target: Tensor, mask: Tensor, intrinsics: Tensor, center: float) -> Tensor:
    """Fit a smooth scale per pixel by 100 steps of Adam on the distance between the points."""

    wanted = unproject(target, intrinsics, pixel_center=center)
    scale = torch.ones_like(source, requires_grad=True)
    optimizer = torch.optim.Adam([scale], lr=_LEARNING_RATE)
    with torch.enable_grad():
        for _ in range(_STEPS):
            distance = (
                (unproject(source * scale, intrinsics, pixel_center=center) - wanted).abs()[mask].mean()
            )
            smooth = F.avg_pool2d(scale[None], 3, stride=1, padding=1)[0]
            loss = distance + _SMOOTHNESS * (smooth - scale).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return scale.detach()
