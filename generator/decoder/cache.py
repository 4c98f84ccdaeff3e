"""The branch that the paper does not have: the 3D cache's depth and mask, warped into every frame.

The cache knows the depth of the one conditioning frame. Its warp into the other frames gives the decoder
scale and rough geometry; the mask says which cells the conditioning frame saw.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.decoder.config import DecoderConfig
from generator.decoder.rays import frames_to_latent_channels


@dataclass(frozen=True)
class CacheMaps:
    """Hold the cache at output-cell resolution, views first, then frames."""

    depth: Tensor
    """z-depth [scene units], holes filled so that every value is > 0, (B, V*T, H/f, W/f)."""
    mask: Tensor
    """1 where the conditioning frame saw the cell, 0 where the depth was filled in, (B, V*T, H/f, W/f)."""
    distance: Tensor
    """The same depth as distance along the unit ray [scene units], (B, V*T, H/f, W/f)."""

    def select(self, items: slice) -> CacheMaps:
        """Return the maps of some batch items."""
        return CacheMaps(self.depth[items], self.mask[items], self.distance[items])


class CacheEmbed(nn.Module):
    """Turn cache maps into tokens; no norm, so that absolute depth survives, and zero at the start."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        patch = config.spatial_patch
        self.proj = nn.Conv2d(config.cache_channels, config.embed_dim, patch, stride=patch)
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)  # type: ignore[arg-type]

    def forward(self, cache: CacheMaps, views: int) -> Tensor:
        """Return (B*V, t*(h/p)*(w/p), D) tokens."""
        config = self.config
        maps = torch.stack([cache.depth.clamp_min(config.near).log(), cache.mask], dim=2)
        maps = maps.unflatten(1, (views, -1)).flatten(0, 1)
        cells = F.pixel_unshuffle(maps, config.space_compression // config.cell)
        latent = frames_to_latent_channels(cells, config.time_compression)
        tokens = self.proj(latent.flatten(0, 1).to(self.proj.weight.dtype))
        return tokens.unflatten(0, latent.shape[:2]).flatten(3).transpose(2, 3).flatten(1, 2)
