"""Token volume to raw channels to Gaussians."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.decoder.config import DecoderConfig

RAW_CHANNELS = 12
"""Raw channels of a Gaussian: distance 1, rgb 3, scale 3, rotation 4, opacity 1."""
GAUSSIAN_CHANNELS = 14
"""Channels of a Gaussian: position 3, opacity 1, scale 3, rotation 4 (wxyz), rgb 3."""


def make_deconv(config: DecoderConfig) -> nn.ConvTranspose3d:
    """Return the transposed convolution from tokens to one raw Gaussian per output cell and frame."""
    token = config.space_compression * config.spatial_patch // config.cell
    time = config.time_compression // config.patch_size_out_factor[0]
    stride = (time, token, token)
    return nn.ConvTranspose3d(
        config.embed_dim,
        RAW_CHANNELS,
        kernel_size=(time + 1, token, token),
        stride=stride,
        padding=(config.time_compression // 2, 0, 0),
    )


@dataclass(frozen=True)
class GaussianActivation:
    """Map raw channels to Gaussians (all arithmetic in the dtype of the raw channels)."""

    near: float
    """Smallest distance along the ray."""
    far: float
    """Largest distance along the ray."""
    scale_cap: float
    """Largest standard deviation."""
    distance_shift: float
    """Added to the raw distance before the sigmoid."""

    @classmethod
    def of(cls, config: DecoderConfig) -> GaussianActivation:
        """Take the constants from a decoder configuration."""
        return cls(config.near, config.far, config.scale_cap, config.distance_shift)

    def __call__(self, raw: Tensor, origins: Tensor, directions: Tensor) -> Tensor:
        """Return Gaussians (..., 14) from raw channels (..., 12) and their unit rays (..., 3)."""
        distance, rgb, scale, rotation, opacity = raw.split([1, 3, 3, 4, 1], dim=-1)
        return torch.cat(
            [
                origins + directions * self.distance(distance),
                torch.sigmoid(opacity - 2),
                self.scale(scale),
                F.normalize(rotation, dim=-1, eps=1e-12),
                0.5 * torch.tanh(rgb) + 0.5,
            ],
            dim=-1,
        )

    def distance(self, raw: Tensor) -> Tensor:
        """Return distances along the unit ray (not z-depth) from the raw channel."""
        share = torch.sigmoid(raw + self.distance_shift)
        return self.near * (1 - share) + self.far * share

    def raw_distance(self, distance: Tensor) -> Tensor:
        """Return the raw channel that gives these ray distances: the inverse of `distance`.

        Distances outside of the open interval (near, far) go to a margin of 1e-6 of its length inside.
        """
        share = ((distance - self.near) / (self.far - self.near)).clamp(1e-6, 1 - 1e-6)
        return torch.logit(share) - self.distance_shift

    def scale(self, raw: Tensor) -> Tensor:
        """Return standard deviations; raw 0 gives cap / e."""
        return torch.clamp(torch.exp(raw - (1 - math.log(self.scale_cap))), max=self.scale_cap)
