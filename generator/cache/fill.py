"""Filling of holes in depth maps and pictures without a network: from the background beside them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_BACKGROUND_BIAS = 4.0
"""A value counts e^4 times as much as one that lies one unit of log-depth nearer."""


def fill_holes(depth: Tensor, mask: Tensor) -> Tensor:
    """Fill the holes of depth maps from the farther of their neighbours.

    What a moving camera uncovers lies behind what covered it, so the background is the better guess.

    Args:
        depth: z-depth [m], (F, H, W); 0 or less in holes.
        mask: 1 where the depth is known, (F, H, W). Holes are filled from there; where the depth is positive
            and the mask 0, it is a guess already and stays.

    Returns:
        Dense z-depth [m], (F, H, W); 1 in frames without any known depth.
    """
    holes = depth <= 0
    if not bool(holes.any()):
        return depth
    known = (mask > 0.5) & ~holes
    return torch.where(holes, push_pull(torch.where(known, depth, 1).log(), known).exp(), depth)


def push_pull(values: Tensor, known: Tensor) -> Tensor:
    """Fill holes from coarse to fine, with a bias to the large values around them.

    Args:
        values: Maps in which larger is farther, such as log-depth, (F, H, W).
        known: Where the values mean something, (F, H, W).

    Returns:
        Maps that equal `values` where known, (F, H, W); 0 in maps without a known value.
    """
    height, width = values.shape[-2:]
    values = torch.where(known, values, 0)
    if height == 1 and width == 1:
        return values
    pad = (0, width % 2, 0, height % 2)
    blocks = F.pad(values, pad).unfold(1, 2, 2).unfold(2, 2, 2).flatten(-2)
    present = F.pad(known, pad).unfold(1, 2, 2).unfold(2, 2, 2).flatten(-2)
    weights = torch.where(present, _background_weight(blocks), 0)
    total = weights.sum(dim=-1)
    some = total > 0
    average = (weights * blocks).sum(dim=-1) / torch.where(some, total, 1)
    coarse = push_pull(average, some)
    weights = _background_weight(coarse)
    both = torch.stack([weights * coarse, weights], dim=1)
    fine = F.interpolate(both, size=(height, width), mode="bilinear", align_corners=False)
    return torch.where(known, values, fine[:, 0] / fine[:, 1])


def fill_colours(colours: Tensor, depth: Tensor, known: Tensor) -> Tensor:
    """Fill the holes of pictures from coarse to fine, with a bias to the colours of the background.

    Args:
        colours: Pictures, (F, C, H, W).
        depth: Their z-depth, dense, (F, H, W).
        known: Where the colours mean something, (F, H, W) bool.

    Returns:
        Pictures that equal `colours` where known, (F, C, H, W); 0 in pictures without a known colour.
    """
    weights = torch.where(known, _background_weight(depth.log()), 0)
    return _pull_colours(torch.where(known[:, None], colours, 0), weights)


def _pull_colours(colours: Tensor, weights: Tensor) -> Tensor:
    """Fill colours (F, C, H, W) whose weights (F, H, W) are 0."""
    height, width = colours.shape[-2:]
    if height == 1 and width == 1:
        return colours
    both = torch.cat([colours * weights[:, None], weights[:, None]], dim=1)
    blocks = F.avg_pool2d(both, 2, ceil_mode=True, count_include_pad=False)
    total = blocks[:, -1:]
    coarse_weights = total[:, 0]
    coarse = _pull_colours(blocks[:, :-1] / torch.where(total > 0, total, 1), coarse_weights)
    # A level that is filled itself counts little beside one that is known, but something, so that none is empty.
    share = torch.where(
        coarse_weights > 0, coarse_weights, 1e-6 * coarse_weights.amax(dim=(1, 2), keepdim=True)
    )
    both = torch.cat([coarse * share[:, None], share[:, None]], dim=1)
    fine = F.interpolate(both, size=(height, width), mode="bilinear", align_corners=False)
    return torch.where(weights[:, None] > 0, colours, fine[:, :-1] / fine[:, -1:].clamp(min=1e-30))


def _background_weight(values: Tensor) -> Tensor:
    # Between 1 mm and 10 km this stays within the range of float32.
    return (_BACKGROUND_BIAS * values).exp()
