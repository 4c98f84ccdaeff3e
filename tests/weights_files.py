"""Tiny checkpoints in the layouts of the published ones, and a hub that hands them out."""

from __future__ import annotations

import argparse
import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from diffusers import AutoencoderKLCosmos

from generator.decoder import DecoderConfig, LyraDecoder
from generator.weights.registry import Entry, PublishedFile, find_entry
from generator.weights.write import file_hash

DECODER = DecoderConfig(
    embed_dim=32, depth=2, num_heads=2, attention_every=2, state_size=8, head_dim=16
).to_dict()
"""Arguments of a tiny decoder that has every part of the published one."""
TOKENIZER = {
    "encoder_block_out_channels": [8, 8, 8, 8],
    "decode_block_out_channels": [8, 8, 8, 8],
    "num_layers": 1,
    "latent_channels": 4,
}
"""Arguments of a tiny tokenizer with the published arrangement of levels."""


def write_deepspeed(path: Path, configuration: dict[str, Any] = DECODER) -> dict[str, torch.Tensor]:
    """Write a DeepSpeed model-states file, bf16 under `module` with a trainer's belongings beside it."""
    state = LyraDecoder(DecoderConfig.from_dict(configuration)).to(torch.bfloat16).state_dict()
    for value in state.values():
        # A trained decoder's branches are not the zeros that they start from.
        value.copy_(value if value.any() else 0.1 * torch.randn(value.shape))
    extras = {
        "buffer_names": [],
        "optimizer": None,
        "param_shapes": [OrderedDict((name, value.shape) for name, value in state.items())],
        "sparse_tensor_module_names": {"embedding"},
        "ds_config": {"bf16": {"enabled": True}, "path": path},
        "ds_version": "0.17.1",
        "counters": defaultdict(list, {"lr": [1e-4]}),
        "arguments": argparse.Namespace(steps=3),
    }
    torch.save({"module": OrderedDict(state), **extras}, path)
    return state


def write_native_tokenizer(path: Path, configuration: dict[str, Any] = TOKENIZER) -> dict[str, torch.Tensor]:
    """Write `model.pt` under the native names, with its wavelet buffers, and `mean_std.pt` beside it."""
    channels = configuration["latent_channels"]
    state = AutoencoderKLCosmos(**configuration).to(torch.bfloat16).state_dict()
    native = {native_name(name): value for name, value in state.items()}
    native["encoder.patcher3d.wavelets"] = torch.ones(2)
    native["decoder.unpatcher3d._arange"] = torch.arange(2)
    torch.save(native, path)
    statistics = torch.arange(2 * channels * 20, dtype=torch.float32).view(2, channels * 20) + 1
    torch.save((statistics[0], statistics[1]), path.parent / "mean_std.pt")
    return state


def native_name(stock: str) -> str:
    """Return the native tokenizer's name of a tensor of `AutoencoderKLCosmos`."""
    name = re.sub(r"\.up_blocks\.(\d)\.", lambda match: f".up.{2 - int(match[1])}.", stock)
    for old, new in (
        (".down_blocks.", ".down."),
        ("mid_block.resnets.0.", "mid.block_1."),
        ("mid_block.resnets.1.", "mid.block_2."),
        ("mid_block.attentions.0.", "mid.attn_1.0."),
        ("mid_block.temp_attentions.0.", "mid.attn_1.1."),
        (".resnets.", ".block."),
        ("downsamplers.0.", "downsample."),
        ("upsamplers.0.", "upsample."),
        (".to_q.", ".q.conv3d."),
        (".to_k.", ".k.conv3d."),
        (".to_v.", ".v.conv3d."),
        (".to_out.0.", ".proj_out.conv3d."),
        (".conv_shortcut.", ".nin_shortcut.conv3d."),
        (".conv_s.", ".0.conv3d."),
        (".conv_t.", ".1.conv3d."),
    ):
        name = name.replace(old, new)
    name = re.sub(r"(quant_conv)\.", r"\1.conv3d.", name)
    return re.sub(r"sample\.(conv\d)\.", r"sample.\1.conv3d.", name)


def tiny_entry(folder: Path) -> Entry:
    """Return the static decoder's entry with the checksum of the tiny file in `folder`."""
    entry = find_entry("lyra-static")
    name = entry.files[0].name
    return replace(entry, least_bytes=0, files=(PublishedFile(name, file_hash(folder / name, "md5")),))


class FakeHub:
    """Hand out local files in the place of `huggingface_hub.hf_hub_download`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.downloads: list[tuple[str, str]] = []
        self.before: Callable[[], None] = lambda: None
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", self._download)

    def _download(self, repository: str, name: str, *, dry_run: bool = False) -> Any:
        path = self.folder / name
        if dry_run:
            return SimpleNamespace(file_size=path.stat().st_size)
        self.before()
        self.downloads.append((repository, name))
        return str(path)
