"""The video tokenizer: Cosmos' causal autoencoder at any size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCosmos
from torch import Tensor, nn

from generator.tokenizer.fast import accelerate_cpu
from lyra_sim.errors import LyraSimError


class CosmosTokenizer(nn.Module):
    """Turn video into latents and back, causally: 1 + 8k frames become 1 + k latent frames, 8x8 pixels one cell.

    The network is diffusers' `AutoencoderKLCosmos`; on the CPU it runs through `accelerate_cpu`, which gives the
    same numbers. Parameter names are those of the stock network.
    """

    def __init__(self, configuration: Mapping[str, Any] | None = None) -> None:
        """Build an untrained tokenizer.

        Args:
            configuration: Arguments of `AutoencoderKLCosmos`; what is left out has the published full value.
        """
        super().__init__()
        self.network = AutoencoderKLCosmos(**(configuration or {}))

    @classmethod
    def around(cls, network: AutoencoderKLCosmos) -> CosmosTokenizer:
        """Return a tokenizer that runs an existing network, sharing its parameters."""
        tokenizer = cls.__new__(cls)
        nn.Module.__init__(tokenizer)
        tokenizer.network = network
        return tokenizer

    @property
    def time_compression(self) -> int:
        """Frames per latent frame after the first."""
        return self.network.config.temporal_compression_ratio

    @property
    def space_compression(self) -> int:
        """Pixels per latent cell along each image axis."""
        return self.network.config.spatial_compression_ratio

    @property
    def latent_channels(self) -> int:
        """Channels of a latent cell."""
        return self.network.config.latent_channels

    def encode(self, video: Tensor) -> Tensor:
        """Encode video (B, 3, T, H, W) in [-1, 1] to the latents' mode (B, C, 1 + (T-1)/8, H/8, W/8).

        Raises:
            LyraSimError: The shape is not one that the network divides evenly.
        """
        self._check_video(video)
        return self._network(video).encode(video).latent_dist.mode()

    @torch.no_grad()
    def encode_frames(self, rgb: np.ndarray) -> Tensor:
        """Encode one clip of sRGB frames (T, H, W, 3) uint8 to raw latents (C, t, h, w), float32 on the CPU.

        Raises:
            LyraSimError: The shape is not one that the network divides evenly.
        """
        # Frames that are mapped from a file or reversed become a tensor as a copy only.
        frames = torch.from_numpy(np.require(rgb, requirements=("C", "W")))
        video = frames.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        like = next(self.parameters())
        return self.encode(video.to(like.device, like.dtype))[0].float().cpu()

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents (B, C, t, h, w) to video (B, 3, 1 + 8(t-1), 8h, 8w), about [-1, 1], not clamped."""
        if latents.ndim != 5 or latents.shape[1] != self.latent_channels:
            raise LyraSimError(
                f"latents have shape {tuple(latents.shape)}; the tokenizer decodes (B, {self.latent_channels}, t, h, w)"
            )
        return self._network(latents).decode(latents).sample

    def forward(self, video: Tensor) -> Tensor:
        """Reconstruct video (B, 3, T, H, W)."""
        return self.decode(self.encode(video))

    def normalize(self, latents: Tensor) -> Tensor:
        """Return latents with the configuration's mean removed and its standard deviation divided out.

        The statistics are per channel, or per channel and latent frame as in the published `mean_std.pt`.
        """
        mean, std = self._statistics(latents)
        return (latents - mean) / std

    def denormalize(self, latents: Tensor) -> Tensor:
        """Undo `normalize`."""
        mean, std = self._statistics(latents)
        return latents * std + mean

    @property
    def statistics(self) -> tuple[Tensor, Tensor] | None:
        """Mean and standard deviation of latents as configured, (C, ...) each; None where there are none."""
        config = self.network.config
        if config.latents_mean is None or config.latents_std is None:
            return None
        mean, std = torch.tensor([config.latents_mean, config.latents_std]).view(2, self.latent_channels, -1)
        return mean, std

    def _statistics(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        statistics, frames = self.statistics, latents.shape[2]
        if statistics is None:
            raise LyraSimError("this tokenizer's configuration has no latents_mean and latents_std; add them")
        table = torch.stack(statistics)
        columns = torch.arange(frames).clamp(max=table.shape[-1] - 1)
        mean, std = table[:, :, columns].to(latents)[..., None, None].unbind()
        return mean, std

    def _network(self, like: Tensor) -> AutoencoderKLCosmos:
        return accelerate_cpu(self.network) if like.device.type == "cpu" else self.network

    def _check_video(self, video: Tensor) -> None:
        time, space = self.time_compression, self.space_compression
        if video.ndim != 5 or video.shape[1] != 3:
            raise LyraSimError(f"video has shape {tuple(video.shape)}; the tokenizer encodes (B, 3, T, H, W)")
        frames, height, width = video.shape[2:]
        if (frames - 1) % time or frames < 1:
            raise LyraSimError(f"video has {frames} frames; give {time}k + 1, such as {2 * time + 1}")
        if height % space or width % space or not height or not width:
            raise LyraSimError(f"frames are {height}x{width}; give multiples of {space}")
