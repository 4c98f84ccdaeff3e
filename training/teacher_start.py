"""Where the mini GEN3C starts: its first answer is the warp itself, so that training is spent on what is open."""

from __future__ import annotations

import torch
from diffusers import CosmosTransformer3DModel

_SIGNAL = 8.0
"""Gain from the warp's latents to the channels of the stream that carry them."""


def start_from_warp(network: CosmosTransformer3DModel) -> None:
    """Set an untrained denoiser so that it predicts the latents of the warped picture, at high noise.

    One channel of the stream per latent value of a patch carries the warp; the position embedding, which every
    block adds again, fills the others with a constant that keeps the normalisations near to linear. The branches
    start closed. Cross-attention has nothing to attend to without text, and stays closed for good.
    """
    config = network.config
    width = config.num_attention_heads * config.attention_head_dim
    channels, patch = config.out_channels, config.patch_size[-1] ** 2
    carried = channels * patch
    with torch.no_grad():
        _carry_warp(network.patch_embed.proj.weight, channels, patch)
        constant = torch.zeros(width)
        constant[carried::2], constant[carried + 1 :: 2] = 1.0, -1.0
        position = network.learnable_pos_embed
        for table in (position.pos_emb_t, position.pos_emb_h, position.pos_emb_w):
            table.copy_(constant + 0.1 * torch.randn_like(table) * (constant != 0))
        # Latents have unit variance times sigma_data (0.5), and the output is latents without that factor.
        signal = 0.5 * _SIGNAL
        spread = (config.num_layers**2 + carried / width * signal**2) ** 0.5
        _read_warp(network.proj_out.weight, channels, patch, gain=spread / signal)
        network.time_embed.t_embedder.linear_2.weight.mul_(0.1)
        for block in network.transformer_blocks:
            for norm in (block.norm1, block.norm2, block.norm3):
                norm.linear_2.weight.mul_(0.1)
            block.attn2.to_out[0].weight.zero_()
        network.norm_out.linear_2.weight.mul_(0.1)


def _carry_warp(weight: torch.Tensor, channels: int, patch: int) -> None:
    """Write the patches of the warp (channels C + 1 to 2 C) to the first channels of the stream."""
    weight.mul_(0.5)
    first = (channels + 1) * patch
    weight[: channels * patch] = 0.0
    weight[: channels * patch, first : first + channels * patch] = _SIGNAL * torch.eye(channels * patch)


def _read_warp(weight: torch.Tensor, channels: int, patch: int, *, gain: float) -> None:
    """Read them back, in the order in which the network lays out its output: pixel of the patch, then channel."""
    weight.mul_(0.02)
    for pixel in range(patch):
        for channel in range(channels):
            weight[pixel * channels + channel, channel * patch + pixel] += gain
