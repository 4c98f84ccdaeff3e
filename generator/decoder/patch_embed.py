"""Latent volumes to tokens, and tokens back to a volume."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class PatchEmbed(nn.Module):
    """Turn (B, T, C, h, w) maps into (B, T*(h/p)*(w/p), D) tokens, ordered frame, row, column."""

    def __init__(self, channels: int, embed_dim: int, patch: int, *, zero: bool, norm: bool = True) -> None:
        """Make the layer; `zero` starts the projection at zero, so that the branch adds nothing at first."""
        super().__init__()
        self.proj = nn.Conv3d(channels, embed_dim, kernel_size=(1, patch, patch), stride=(1, patch, patch))
        self.norm = nn.LayerNorm(embed_dim, eps=1e-5) if norm else nn.Identity()
        nn.init.zeros_(self.proj.bias)  # type: ignore[arg-type]
        if zero:
            nn.init.zeros_(self.proj.weight)
        else:
            nn.init.normal_(self.proj.weight, std=math.sqrt(2 / (patch * patch * embed_dim)))

    def forward(self, maps: Tensor) -> Tensor:
        # The kernel spans one frame, so the 3D convolution is a 2D one over frames: PyTorch's 3D path
        # for such kernels is several times slower on a CPU.
        b, t = maps.shape[:2]
        images = maps.flatten(0, 1).to(self.proj.weight.dtype)
        patches = nn.functional.conv2d(
            images, self.proj.weight.squeeze(2), self.proj.bias, stride=self.proj.stride[1:]
        )
        tokens = patches.unflatten(0, (b, t)).flatten(3).transpose(2, 3).flatten(1, 2)
        return self.norm(tokens)


def tokens_to_volume(tokens: Tensor, views: int, grid: tuple[int, int, int]) -> Tensor:
    """Return (B, V*t*h*w, D) tokens as (B*V, D, t, h, w) volumes; `grid` is (t, h, w)."""
    t, h, w = grid
    folded = tokens.reshape(tokens.shape[0] * views, t * h * w, tokens.shape[-1])
    return folded.transpose(1, 2).unflatten(2, (t, h, w))


def views_to_sequence(tokens: Tensor, views: int) -> Tensor:
    """Return (B*V, L, D) tokens of single views as the (B, V*L, D) sequence over all views."""
    return torch.reshape(tokens, (tokens.shape[0] // views, -1, tokens.shape[-1]))
