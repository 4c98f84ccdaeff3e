"""A small network that turns a picture and its lens into log-depth: convolutions, attention at a sixteenth, and up."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 4
"""Pixels per cell of the coarse depth that is upsampled."""


@dataclass(frozen=True)
class DepthConfig:
    """Size the network."""

    height: int = 176
    """Rows of the pictures that it sees [px]; a multiple of 16."""
    width: int = 320
    """Columns [px]; a multiple of 16."""
    channels: tuple[int, int, int] = (48, 96, 192)
    """Channels at a quarter, an eighth and a sixteenth of the resolution."""
    layers: int = 4
    """Attention blocks at a sixteenth."""
    heads: int = 6
    """Attention heads."""

    def to_dict(self) -> dict[str, object]:
        """Return the configuration as JSON types."""
        return asdict(self) | {"channels": list(self.channels)}


class DepthNetwork(nn.Module):
    """Predict log-depth and where there is any.

    Rays go in beside the colours, so the lens need not be guessed; the coarse depth is upsampled by convex
    combinations of its neighbours (RAFT, section 3.3), which keeps edges sharp.
    """

    def __init__(self, config: DepthConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.channels
        self.stem = nn.Conv2d(5, fine, CELL, stride=CELL)
        self.fine = _Residual(fine)
        self.down_middle = nn.Conv2d(fine, middle, 2, stride=2)
        self.middle = nn.Sequential(_Residual(middle), _Residual(middle))
        self.down_coarse = nn.Conv2d(middle, coarse, 2, stride=2)
        self.position = nn.Parameter(torch.zeros(1, coarse, config.height // 16, config.width // 16))
        self.attention = nn.ModuleList(_Attention(coarse, config.heads) for _ in range(config.layers))
        self.up_middle = nn.Conv2d(coarse, middle, 1)
        self.merge_middle = _Residual(middle)
        self.up_fine = nn.Conv2d(middle, fine, 1)
        self.merge_fine = nn.Sequential(_Residual(fine), _Residual(fine))
        self.depth = nn.Conv2d(fine, 2, 3, padding=1)
        self.combine = nn.Sequential(
            nn.Conv2d(fine, 2 * fine, 3, padding=1), nn.GELU(), nn.Conv2d(2 * fine, 9 * CELL**2, 1)
        )

    def forward(self, rgb: Tensor, rays: Tensor) -> tuple[Tensor, Tensor]:
        """Predict from pictures of the configured size.

        Args:
            rgb: sRGB in [-1, 1], (B, 3, H, W).
            rays: x/z and y/z of every pixel's ray (`pixel_rays`), (B, 2, H, W).

        Returns:
            Natural logarithm of z-depth [m] and the logit of there being a depth, both (B, 1, H, W).
        """
        fine = self.fine(self.stem(torch.cat([rgb, 2 * rays], dim=1)))
        middle = self.middle(self.down_middle(fine))
        coarse = self.down_coarse(middle) + self.position
        size = coarse.shape[-2:]
        tokens = coarse.flatten(2).transpose(1, 2)
        for block in self.attention:
            tokens = block(tokens)
        coarse = tokens.transpose(1, 2).unflatten(2, size)
        middle = self.merge_middle(middle + _doubled(self.up_middle(coarse)))
        fine = self.merge_fine(fine + _doubled(self.up_fine(middle)))
        # One unit of log-depth around 4 m, so that the head starts near indoor depths.
        values = self.depth(fine) + fine.new_tensor([1.4, 2.0])[None, :, None, None]
        return _combined(values, self.combine(fine)).split(1, dim=1)


def pixel_rays(intrinsics: Tensor, *, height: int, width: int) -> Tensor:
    """Return x/z and y/z of the rays through pixel centres, (B, 2, H, W), for fx, fy, cx, cy [px] (B, 4)."""
    fx, fy, cx, cy = intrinsics.T[..., None, None]
    x = (torch.arange(width, device=fx.device) + 0.5 - cx) / fx
    y = (torch.arange(height, device=fx.device)[:, None] + 0.5 - cy) / fy
    return torch.stack([x.expand(-1, height, -1), y.expand(-1, -1, width)], dim=1)


def _doubled(values: Tensor) -> Tensor:
    return F.interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)


def _combined(values: Tensor, logits: Tensor) -> Tensor:
    """Upsample (B, C, h, w) by `CELL`: each pixel is a convex combination of the 3x3 cells around its own."""
    batch, channels, rows, columns = values.shape
    weights = logits.unflatten(1, (1, 9, CELL, CELL)).softmax(dim=2)
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    around = F.unfold(padded, 3).view(batch, channels, 9, 1, 1, rows, columns)
    pixels = (weights * around).sum(dim=2)
    return pixels.permute(0, 1, 4, 2, 5, 3).reshape(batch, channels, rows * CELL, columns * CELL)


class _Residual(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, values: Tensor) -> Tensor:
        return values + self.body(values)


class _Attention(nn.Module):
    """A transformer block over all cells of the picture."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm_attention(tokens)).unflatten(-1, (3, self.heads, -1)).unbind(2)
        mixed = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)))
        tokens = tokens + self.out(mixed.transpose(1, 2).flatten(2))
        return tokens + self.mlp(self.norm_mlp(tokens))
