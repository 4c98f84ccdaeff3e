"""What GEN3C's denoiser is told beside the noisy latent: the first frame, and the warped cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lyra_sim.errors import LyraSimError

Encode = Callable[[Tensor], Tensor]
"""Video (B, 3, F, H, W) in [-1, 1] to the latents that the denoiser works on, (B, C, T, h, w)."""


@dataclass(frozen=True)
class Conditioning:
    """Hold what stays the same during sampling; the latents are normalised and scaled by sigma_data."""

    image_latent: Tensor
    """Latents of a video whose first frame is the conditioning picture, (B, C, T, h, w); only frame 0 is used."""
    indicator: Tensor
    """1 on latent frame 0, (1, 1, T, 1, 1)."""
    buffers: Tensor
    """Latents of the warped colours and of the mask of every buffer in turn, (B, N 2 C, T, h, w)."""

    def network_input(self, latent: Tensor, *, with_buffers: bool = True) -> Tensor:
        """Return the denoiser's input channels: noisy latent, condition mask, buffers (zeros without them)."""
        mask = self.indicator.expand(len(latent), 1, -1, *latent.shape[-2:])
        buffers = self.buffers if with_buffers else torch.zeros_like(self.buffers)
        return torch.cat([latent, mask.to(latent), buffers.to(latent)], dim=1)


def build_conditioning(
    image: Tensor, pixels: Tensor, masks: Tensor, encode: Encode, *, max_buffers: int = 2
) -> Conditioning:
    """Encode the conditioning picture and what the 3D cache shows.

    Args:
        image: Conditioning picture in [-1, 1], (B, 3, H, W).
        pixels: Warped colours in [-1, 1], newest buffer first, (B, F, N, 3, H, W).
        masks: 1 where they are covered, (B, F, N, 1, H, W).
        encode: Turns video into scaled latents.
        max_buffers: Buffers that the denoiser has channels for; the missing ones are zeros, not grey.

    Raises:
        LyraSimError: There are more buffers than channels for them, or none.
    """
    count = pixels.shape[2]
    if not 1 <= count <= max_buffers:
        raise LyraSimError(f"the cache shows {count} buffers; this denoiser takes 1 to {max_buffers}")
    # GEN3C continues the picture with mid-grey frames; the tokenizer is causal, so frame 0 does not see them.
    grey = image.new_zeros(len(image), 3, pixels.shape[1] - 1, *image.shape[-2:])
    image_latent = encode(torch.cat([image[:, :, None], grey], dim=2))
    parts = []
    for n in range(count):
        parts.append(encode(pixels[:, :, n].transpose(1, 2)))
        parts.append(encode((masks[:, :, n] * 2.0 - 1.0).transpose(1, 2).expand(-1, 3, -1, -1, -1)))
    parts += [torch.zeros_like(image_latent)] * (2 * (max_buffers - count))
    indicator = image_latent.new_zeros(1, 1, image_latent.shape[2], 1, 1)
    indicator[:, :, 0] = 1
    return Conditioning(image_latent, indicator, torch.cat(parts, dim=1))
