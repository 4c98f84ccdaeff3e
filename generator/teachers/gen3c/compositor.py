"""A small network that merges a sampled video with what the 3D cache shows, in pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.weights.checkpoint import Card, load_checkpoint
from lyra_sim.errors import LyraSimError

_INPUTS = 14
"""Channels that the network sees: see `Layers.stacked`."""
_PATCH = 2
"""Pixels along a side that the network's finest level takes together."""
_FRAMES_AT_ONCE = 4
"""Frames that are merged together, which bounds the memory."""


@dataclass(frozen=True)
class CompositorConfig:
    """Size the network."""

    height: int = 176
    """Rows of the frames that it sees [px]; others are brought to it, and its correction back to them."""
    width: int = 320
    """Columns [px]."""
    channels: tuple[int, ...] = (40, 64, 96, 128, 160)
    """Channels of the levels, each at half the resolution of the one before; the first at half of the frame's."""
    blocks: tuple[int, ...] = (1, 1, 2, 2, 2)
    """Residual blocks per level, on the way down and on the way up."""
    heads: int = 4
    """Heads of the attention at the coarsest level."""

    def to_dict(self) -> dict[str, object]:
        """Return the configuration as JSON types."""
        return asdict(self) | {"channels": list(self.channels), "blocks": list(self.blocks)}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> CompositorConfig:
        """Return the configuration that `to_dict` wrote."""
        lists = {name: tuple(settings[name]) for name in ("channels", "blocks")}
        return cls(**{**settings, **lists})


@dataclass(frozen=True)
class Layers:
    """Hold what is merged, for F frames; colours in [0, 1]."""

    filled: Tensor
    """What the cache shows, its holes filled without a network, (F, 3, H, W)."""
    sampled: Tensor
    """The sampled video, (F, 3, H, W)."""
    guided: Tensor
    """1 where the denoiser was shown the cache, (F, 1, H, W)."""
    seen: Tensor
    """1 where the cache shows anything, (F, 1, H, W)."""
    log_depth: Tensor
    """Logarithm of the cache's depth, filled, over the picture's median depth, (F, 1, H, W)."""
    picture: Tensor
    """The picture that the video starts from, (1, 3, H, W) or one for each frame."""

    def stacked(self) -> Tensor:
        """Return the network's input, (F, 14, H, W); the last two channels say where in the frame a pixel lies."""
        count, _, height, width = self.filled.shape
        row = torch.linspace(-1, 1, height).view(1, 1, -1, 1).expand(count, 1, height, width)
        column = torch.linspace(-1, 1, width).view(1, 1, 1, -1).expand(count, 1, height, width)
        picture = self.picture.expand(count, -1, -1, -1)
        colours = [x * 2 - 1 for x in (self.filled, self.sampled, picture)]
        depth = self.log_depth.clamp(-3, 3)
        return torch.cat([*colours, self.guided, self.seen, depth, row, column], dim=1)


class Compositor(nn.Module):
    """Correct the filled frames of a cache where the denoiser had to imagine.

    Its answer is added to what the cache shows with filled holes, at every pixel that the denoiser was not shown; it
    starts as zero. Frames are merged one by one: what holds them together is that the sampled video and the cache
    already do.
    """

    def __init__(self, config: CompositorConfig) -> None:
        super().__init__()
        self.config = config
        levels = config.channels
        self.stem = nn.Conv2d(_INPUTS * _PATCH**2, levels[0], 3, padding=1)
        self.down = nn.ModuleList(_blocks(c, n) for c, n in zip(levels, config.blocks, strict=True))
        self.shrink = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in pairwise(levels)
        )
        self.attention = _Attention(levels[-1], config.heads)
        self.grow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(levels))
        self.up = nn.ModuleList(_blocks(c, n) for c, n in zip(levels[:-1], config.blocks[:-1], strict=True))
        self.head = _closed(nn.Conv2d(levels[0], 3 * _PATCH**2, 3, padding=1))

    def forward(self, layers: Layers) -> Tensor:
        """Return the correction of `layers.filled`, (F, 3, H, W), which counts outside of `guided`; sides are even."""
        values = self.stem(F.pixel_unshuffle(layers.stacked(), _PATCH))
        values = values.contiguous(memory_format=torch.channels_last)
        kept = []
        for blocks, shrink in zip(self.down[:-1], self.shrink, strict=True):
            kept.append(blocks(values))
            values = shrink(kept[-1])
        values = self.attention(self.down[-1](values))
        for blocks, grow, fine in zip(reversed(self.up), reversed(self.grow), reversed(kept), strict=True):
            values = blocks(fine + F.interpolate(grow(values), size=fine.shape[-2:], mode="nearest"))
        return F.pixel_shuffle(self.head(values), _PATCH)

    @torch.inference_mode()
    def merge(self, layers: Layers) -> Tensor:
        """Return the merged frames of any size, in [0, 1], (F, 3, H, W)."""
        size = (self.config.height, self.config.width)
        merged = []
        for start in range(0, len(layers.filled), _FRAMES_AT_ONCE):
            part = _select(layers, slice(start, start + _FRAMES_AT_ONCE))
            correction = self(_resized(part, size)).float()
            correction = F.interpolate(
                correction, size=part.filled.shape[-2:], mode="bilinear", antialias=True
            )
            merged.append((part.filled + correction * (1 - part.guided)).clamp(0, 1))
        return torch.cat(merged)


def load_compositor(card_path: Path) -> tuple[Compositor, Card]:
    """Load a compositor, in evaluation mode and without gradients, and its card.

    Raises:
        LyraSimError: The checkpoint is missing, damaged, of another kind, or does not fit its configuration.
    """
    state, card = load_checkpoint(card_path, "gen3c-compositor")
    network = Compositor(CompositorConfig.from_dict(card["configuration"]))
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except RuntimeError as error:
        raise LyraSimError(f"{card_path}: weights do not fit the configuration ({error})") from None
    return network.eval().requires_grad_(False), card


def _select(layers: Layers, frames: slice) -> Layers:
    picture = layers.picture if len(layers.picture) == 1 else layers.picture[frames]
    others = ("filled", "sampled", "guided", "seen", "log_depth")
    return Layers(**{name: getattr(layers, name)[frames] for name in others}, picture=picture)


def _resized(layers: Layers, size: tuple[int, int]) -> Layers:
    """Bring layers to a size; colours and depth are smoothed where they get smaller."""
    if layers.filled.shape[-2:] == size:
        return layers
    smooth = {
        name: F.interpolate(getattr(layers, name), size=size, mode="bilinear", antialias=True)
        for name in ("filled", "sampled", "log_depth", "picture")
    }
    masks = {
        name: F.interpolate(getattr(layers, name), size=size, mode="nearest") for name in ("guided", "seen")
    }
    return Layers(**smooth, **masks)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_Residual(channels) for _ in range(count)))


def _closed(layer: nn.Conv2d) -> nn.Conv2d:
    """Return a layer that gives 0 until it is trained."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class _Residual(nn.Module):
    """Two 3x3 convolutions beside the identity, closed at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = _closed(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, values: Tensor) -> Tensor:
        return values + self.second(F.silu(self.first(F.silu(self.norm(values)))))


class _Attention(nn.Module):
    """Attention among all cells of a frame, beside the identity, closed at first."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(1, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = _closed(nn.Conv2d(channels, channels, 1))

    def forward(self, values: Tensor) -> Tensor:
        tokens = self.qkv(self.norm(values)).flatten(2).unflatten(1, (3, self.heads, -1)).transpose(-1, -2)
        mixed = F.scaled_dot_product_attention(*tokens.unbind(1))
        return values + self.out(mixed.transpose(-1, -2).flatten(1, 2).unflatten(2, values.shape[-2:]))
