"""Time maps of the dynamic model: which frame is when, and which time is asked for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lyra_sim.errors import LyraSimError


def normalised_times(frame_indices: Tensor, target_index: Tensor) -> tuple[Tensor, Tensor]:
    """Map frame indices (..., T) and the target (..., 1) jointly and linearly onto [0, 1].

    Raises LyraSimError when all of them are equal, because no time can be told apart then.
    """
    both = torch.cat([frame_indices, target_index], dim=-1)
    low = both.amin(dim=-1, keepdim=True)
    span = both.amax(dim=-1, keepdim=True) - low
    if bool((span == 0).any()):
        raise LyraSimError("all frame times and the target time are equal; give at least two different times")
    scaled = (both - low) / span
    return scaled[..., :-1], scaled[..., -1:]


def embed_times(times: Tensor, dim: int = 3, *, keep_raw: bool = True) -> Tensor:
    """Embed scalars (...,) as (..., dim) sinusoids; the published model uses (s, cos s, sin s).

    With `keep_raw` the scalar itself comes first; then all cosines, then all sines of (dim - keep_raw)//2
    frequencies exp(-ln(10000) k / half), and zeros when an odd number of channels is left.
    """
    rest = dim - int(keep_raw)
    half = rest // 2
    steps = torch.arange(half, dtype=torch.float32, device=times.device) / max(half, 1)
    angles = times[..., None] * torch.exp(-math.log(10000.0) * steps).to(times.dtype)
    parts = [
        torch.cos(angles),
        torch.sin(angles),
        torch.zeros_like(times[..., None].expand(*times.shape, rest % 2)),
    ]
    return torch.cat(([times[..., None]] if keep_raw else []) + parts, dim=-1)


def spread_times(embedded: Tensor, size: tuple[int, int]) -> Tensor:
    """Spread (B, T, C) embeddings over an image, (B, T, C, H, W)."""
    return embedded[..., None, None].expand(*embedded.shape, *size)
