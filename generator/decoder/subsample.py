"""Draw a subset of the raw Gaussians before they are activated (off in the published decoder)."""

from __future__ import annotations

import torch
from torch import Tensor


def random_cells(
    counts: tuple[int, int, int],
    shape: tuple[int, int, int],
    batch: int,
    *,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw frames, rows and columns without replacement per batch item and return their product.

    Args:
        counts: How many frames, rows and columns to draw.
        shape: How many there are.
        batch: Number of batch items.
        generator: Source of randomness.

    Returns:
        Batch, frame, row and column index of each cell, frame-major, four (B, product of counts) tensors.
    """
    drawn = [
        torch.multinomial(torch.ones(batch, n), m, generator=generator)
        for m, n in zip(counts, shape, strict=True)
    ]
    cells = torch.stack([torch.cartesian_prod(*(axis[i] for axis in drawn)) for i in range(batch)])
    item = torch.arange(batch)[:, None].expand(cells.shape[:2])
    frame, row, column = cells.unbind(-1)
    return item, frame, row, column


def take_cells(volume: Tensor, cells: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """Return the drawn cells (B, n, C) of a (B, C, T, H, W) volume."""
    b, t, h, w = cells
    return volume.movedim(1, -1)[b, t, h, w]


def top_cells(logits: Tensor, count: int) -> Tensor:
    """Return the flat indices (B, count), ascending, of the largest of (B, 1, T, H, W) mask logits."""
    return logits.flatten(1).topk(count, dim=1).indices.sort(dim=1).values
