"""Keep the most opaque Gaussians."""

from __future__ import annotations

import torch
from torch import Tensor

OPACITY = 3
"""Channel of the opacity in a 14-channel Gaussian."""


def keep_count(total: int, ratio: float) -> int:
    """Return how many of `total` Gaussians stay when a share `ratio` goes.

    The floor is taken of a double on purpose: 1 - 0.8 lies just below 0.2, so of 10222080 Gaussians
    2044415 stay, as in the published pipeline.
    """
    return int(total * (1 - ratio))


def prune(
    gaussians: Tensor, ratio: float, *, random_share: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Return the (B, K, 14) most opaque of (B, N, 14) Gaussians, most opaque first.

    With a `random_share` that part of the K is drawn from the less opaque rest instead; all batch items
    share one draw of ranks.
    """
    kept = prune_indices(gaussians[..., OPACITY], ratio, random_share=random_share, generator=generator)
    return gaussians.gather(1, kept[..., None].expand(-1, -1, gaussians.shape[-1]))


def prune_indices(
    opacities: Tensor, ratio: float, *, random_share: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Return the indices (B, K) that `prune` keeps, from opacities (B, N)."""
    total = opacities.shape[1]
    if ratio <= 0:
        return torch.arange(total, device=opacities.device).expand(opacities.shape)
    order = opacities.argsort(dim=1, descending=True, stable=True)
    if random_share <= 0:
        return order[:, : keep_count(total, ratio)]
    top = int(total * (1 - ratio) * (1 - random_share))
    drawn = int(total * (1 - ratio) * random_share)
    picks = torch.randperm(total - top, generator=generator, device=opacities.device)[:drawn]
    return torch.cat([order[:, :top], order[:, top:][:, picks]], dim=1)
