"""The native Cosmos tokenizer's names and statistics as diffusers' `AutoencoderKLCosmos` has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from generator.weights.unpickle import read_pair
from lyra_sim.errors import LyraSimError

_NATIVE_NAMES = (
    (r"\.down\.", ".down_blocks."),
    (r"\.block\.", ".resnets."),
    (r"\.downsample\.", ".downsamplers.0."),
    (r"\.upsample\.", ".upsamplers.0."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.0\.", ".mid_block.attentions.0."),
    (r"\.mid\.attn_1\.1\.", ".mid_block.temp_attentions.0."),
    (r"\.([qkv])\.conv3d\.", r".to_\1."),
    (r"\.proj_out\.conv3d\.", ".to_out.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"\.0\.conv3d\.", ".conv_s."),
    (r"\.1\.conv3d\.", ".conv_t."),
    (r"\.conv3d\.", "."),
)
_NOT_WEIGHTS = re.compile(r"wavelets|_arange|patch_size_buffer")
STATISTICS_FRAMES = 16
"""Latent frames that the published statistics are used for: those of 121 video frames."""


def is_native(state: Mapping[str, Tensor]) -> bool:
    """Return whether the names are those of the native tokenizer, which wraps every convolution."""
    return any(".conv3d." in name for name in state)


def stock_names(native: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the native tokenizer's tensors as in `AutoencoderKLCosmos`, which counts its up blocks backwards."""
    kept = {name.removeprefix("network."): value for name, value in native.items()}
    kept = {name: value for name, value in kept.items() if not _NOT_WEIGHTS.search(name)}
    levels = [int(match[1]) for name in kept if (match := re.search(r"\.up\.(\d+)\.", name))]
    top = max(levels, default=0)
    state = {}
    for name, value in kept.items():
        stock = re.sub(r"\.up\.(\d+)\.", lambda match: f".up_blocks.{top - int(match[1])}.", name)
        for pattern, replacement in _NATIVE_NAMES:
            stock = re.sub(pattern, replacement, stock)
        state[stock] = value
    return state


def latent_statistics(path: Path, channels: int, remedy: str) -> dict[str, list[float]]:
    """Return `latents_mean` and `latents_std`, channel-major: one value per channel and latent frame."""
    lists = []
    for part in read_pair(path, remedy=remedy):
        if part.numel() % channels or not torch.isfinite(part).all():
            raise LyraSimError(
                f"{path}: statistics of shape {tuple(part.shape)}, expected finite values for {channels} "
                f"channels; {remedy}"
            )
        lists.append(part.float().reshape(channels, -1)[:, :STATISTICS_FRAMES].flatten().tolist())
    if len(lists[0]) != len(lists[1]) or min(lists[1]) <= 0:
        raise LyraSimError(
            f"{path}: the mean and the standard deviation do not belong to each other; {remedy}"
        )
    return {"latents_mean": lists[0], "latents_std": lists[1]}
