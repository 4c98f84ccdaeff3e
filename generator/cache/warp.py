"""Forward warping: every source pixel is splatted onto the target pixels around its projection (GEN3C's 3D cache)."""

from __future__ import annotations

import torch
from torch import Tensor

_MIN_FOOTPRINT = 1e-3
"""Share of a point's footprint below which a pixel does not see the point.

A point that projects onto a pixel centre lands beside it by float rounding; without this floor the
neighbouring pixel would take up a foreground point of which it sees a millionth.
"""


def depth_sharpness(z: Tensor, scale: Tensor) -> Tensor:
    """Return the factor that lets near points outweigh far ones: exp(50 log1p(z) / log1p(scale)).

    Args:
        z: Depth [m] of the points, positive.
        scale: Largest depth [m] that the points are compared with, broadcastable to `z`.
    """
    exponent = 50 * torch.log1p(z) / (torch.log1p(scale) + 1e-7)
    return exponent.clamp(max=80).exp() + 1e-7


def splat(
    values: Tensor,
    pixels: Tensor,
    z: Tensor,
    weights: Tensor,
    *,
    height: int,
    width: int,
    reach: Tensor | None = None,
    depth_scale: Tensor | None = None,
    official_quirks: bool = False,
) -> tuple[Tensor, Tensor]:
    """Splat points bilinearly onto B pictures; nearer points outweigh farther ones.

    Args:
        values: What the points carry, (B, C, N) or (1, C, N).
        pixels: Column and row of the points, integers at pixel centres, (B, N, 2).
        z: Depth [m] of the points in the target cameras, (B, N).
        weights: Weight of the source pixels, (B, N) or (1, N).
        height: Rows of the pictures.
        width: Columns of the pictures.
        reach: Distance [px], along each axis, up to which a point is seen, (B, N); 1 pixel unless given. With
            half the distance between neighbouring points, surfaces keep their outlines.
        depth_scale: Largest depth [m], (B, 1); by default that of each picture.
        official_quirks: Count a point twice along every axis where it lies exactly on a pixel, and share the
            largest depth among the whole batch, as GEN3C's own code does.

    Returns:
        Averages, (B, C, height, width), 0 in holes, and the mask of pixels that were hit, (B, height, width).
    """
    in_front = z > 0
    z = torch.where(in_front, z, 0)
    if depth_scale is None:
        depth_scale = z.amax() if official_quirks else z.amax(dim=1, keepdim=True)
    weights = weights * in_front / depth_sharpness(z, depth_scale)
    size = (height + 2) * (width + 2)
    offset = torch.arange(len(z), device=z.device)[:, None] * size
    totals = z.new_zeros(values.shape[1] + 1, len(z) * size)
    for index, share in _corners(pixels, reach, height, width, official_quirks=official_quirks):
        weight = weights * share
        index = (index + offset).reshape(-1)
        totals[0].scatter_add_(0, index, weight.reshape(-1))
        for total, value in zip(totals[1:], values.unbind(1), strict=True):
            total.scatter_add_(0, index, (weight * value).reshape(-1))
    totals = totals.reshape(-1, len(z), height + 2, width + 2)[:, :, 1:-1, 1:-1]
    mask = totals[0] > 0
    average = totals[1:] / torch.where(mask, totals[0], 1)
    return average.transpose(0, 1), mask


def _corners(
    pixels: Tensor, reach: Tensor | None, height: int, width: int, *, official_quirks: bool
) -> list[tuple[Tensor, Tensor]]:
    """Return canvas index and footprint share of the four pixels around each point, (B, N) each.

    The canvas has a border of one pixel that takes what falls outside of the picture.
    """
    shares, corners = [], []
    for axis, last in ((0, width + 1), (1, height + 1)):
        # A point that projects to nothing at all has no weight, but it still needs an index.
        position = (pixels[..., axis] + 1).nan_to_num(nan=0.0).clamp(0, last)
        low = position.floor()
        high = position.ceil() if official_quirks else (low + 1).clamp(max=last)
        above = position - low
        below = high - position if official_quirks else 1 - above
        pair = [1 - above, 1 - below]
        if not official_quirks:
            least = _MIN_FOOTPRINT if reach is None else (1 - reach).clamp(min=_MIN_FOOTPRINT)
            pair = [torch.where(share < least, 0, share) for share in pair]
        shares.append(pair)
        corners.append([low.long(), high.long()])
    return [
        (corners[1][j] * (width + 2) + corners[0][i], shares[1][j] * shares[0][i])
        for j in (0, 1)
        for i in (0, 1)
    ]
