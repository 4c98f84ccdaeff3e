"""Golden files of single network parts: embedding, blocks, deconvolution, head, pruning, subsampling."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from generator.decoder.attention import AttentionBlock
from generator.decoder.config import DecoderConfig
from generator.decoder.head import GaussianActivation
from generator.decoder.mamba import MambaBlock
from generator.decoder.patch_embed import PatchEmbed
from generator.decoder.prune import prune
from generator.decoder.subsample import random_cells, take_cells, top_cells
from generator.parity.comparison import Comparison, compare, compare_exact
from generator.parity.lyra_model import BLOCK_GATE, CHANNEL_GATE, compare_gaussians
from generator.parity.registry import golden, load, load_weights

BF16_STEP = 2.0**-7
"""Relative distance of neighbouring bfloat16 numbers: bfloat16 results may differ by one rounding."""


@golden("patch_embed*.safetensors")
def patch_embed(path: Path) -> Iterator[Comparison]:
    """Check the patch embedding."""
    tensors = load(path)
    embed_dim, channels, _, patch, _ = tensors["w.proj.weight"].shape
    module = load_weights(PatchEmbed(channels, embed_dim, patch, zero=False), tensors)
    with torch.no_grad():
        yield compare("y", module(tensors["x"]), tensors["y"], gate=CHANNEL_GATE)


@golden("mamba_block*.safetensors")
def mamba_block(path: Path) -> Iterator[Comparison]:
    """Check the Mamba-2 block in float32 and float64, and its first scan by itself."""
    tensors = load(path)
    block = _mamba_of(tensors)
    with torch.no_grad():
        yield compare("y", block(tensors["x"]), tensors["y"], gate=BLOCK_GATE)
        if "scan0_forward_out" in tensors:
            ours = block.mamba.mamba_scans[0](*block.mamba.project(block.norm(tensors["x"])))
            yield compare("scan0_forward_out", ours, tensors["scan0_forward_out"], gate=BLOCK_GATE)
        if "y_f64run" in tensors:
            block.double()
            yield compare("y_f64run", block(tensors["x"].double()), tensors["y_f64run"], gate=CHANNEL_GATE)
            ours = block(tensors["x"].double(), backend="sequential")
            yield compare("y_f64run[sequential]", ours, tensors["y_f64run"], gate=CHANNEL_GATE)


def _mamba_of(tensors: dict[str, Tensor]) -> MambaBlock:
    """Make the block that fits the weights."""
    inner, embed_dim = (
        tensors["w.mamba.in_proj.weight"].shape[1] * 2,
        tensors["w.mamba.in_proj.weight"].shape[1],
    )
    heads = tensors["w.mamba.mamba_scans.0.D"].shape[0]
    channels, _, taps = tensors["w.mamba.mamba_scans.0.conv1d.weight"].shape
    block = MambaBlock(
        embed_dim, state_size=(channels - inner) // 2, head_dim=inner // heads, conv_width=taps
    )
    load_weights(block, tensors)
    return block


@golden("attn_block*.safetensors")
def attention_block(path: Path) -> Iterator[Comparison]:
    """Check the attention block.

    Weights tell the head count only with q/k norm. Where the file's metadata does not give it either, the
    counts that divide the width are tried, 4 first, and the row says which one fits.
    """
    tensors = load(path)
    counts = _head_counts(path, tensors)
    tried = (_attention_with(heads, tensors) for heads in counts)
    yield next((c for c in tried if c.passed), None) or _attention_with(counts[0], tensors)


def _attention_with(heads: int, tensors: dict[str, Tensor]) -> Comparison:
    """Compare the block with a given head count."""
    hidden, embed_dim = tensors["w.mlp.fc1.weight"].shape
    qk_norm = "w.attn.q_norm.weight" in tensors
    block = AttentionBlock(embed_dim, heads, hidden / embed_dim, qk_norm=qk_norm)
    load_weights(block, tensors)
    with torch.no_grad():
        return compare(f"y[{heads} heads]", block(tensors["x"]), tensors["y"], gate=BLOCK_GATE)


def _head_counts(path: Path, tensors: dict[str, Tensor]) -> list[int]:
    """Return the head counts worth trying."""
    embed_dim = tensors["x"].shape[-1]
    if "w.attn.q_norm.weight" in tensors:
        return [embed_dim // len(tensors["w.attn.q_norm.weight"])]
    with safe_open(path, "pt") as file:
        stated = (file.metadata() or {}).get("heads")
    if stated:
        return [int(stated)]
    return sorted((n for n in range(1, embed_dim + 1) if embed_dim % n == 0), key=lambda n: abs(n - 4))


@golden("deconv*.safetensors")
def deconv(path: Path) -> Iterator[Comparison]:
    """Check the transposed convolution: stride one less than the kernel in time, padding half of it."""
    tensors = load(path)
    weight = tensors["w.weight"]
    frames, rows, columns = weight.shape[2:]
    module = nn.ConvTranspose3d(
        weight.shape[0],
        weight.shape[1],
        (frames, rows, columns),
        stride=(frames - 1, rows, columns),
        padding=(DecoderConfig().time_compression // 2, 0, 0),
    )
    load_weights(module, tensors)
    with torch.no_grad():
        yield compare("y", module(tensors["x"]), tensors["y"], gate=CHANNEL_GATE)


@golden("gaussian_head*.safetensors")
def gaussian_head(path: Path) -> Iterator[Comparison]:
    """Check the activations in float32 and bfloat16, and pruning with and without a random share."""
    tensors = load(path)
    activation = GaussianActivation.of(DecoderConfig.published())
    arguments = [tensors[name] for name in ("x", "rays_os", "rays_ds")]
    gaussians = activation(*arguments)
    yield from compare_gaussians("gaussians", gaussians, tensors["gaussians"])
    if "gaussians_bf16" in tensors:
        ours = activation(*(argument.bfloat16() for argument in arguments))
        yield compare("gaussians_bf16", ours, tensors["gaussians_bf16"], gate=2.0**-8, relative=BF16_STEP)
    for name in sorted(tensors):
        if parts := re.fullmatch(r"pruned_(\d+)p(\d+)(?:_random(\d+)p(\d+)_seed(\d+))?", name):
            share = float(f"{parts[3]}.{parts[4]}") if parts[3] else 0.0
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(parts[5] or 0))
                ours = prune(tensors["gaussians"], float(f"{parts[1]}.{parts[2]}"), random_share=share)
            yield compare_exact(name, ours, tensors[name])


@golden("subsample*.safetensors")
def subsample(path: Path) -> Iterator[Comparison]:
    """Check random and top-k subsampling, indices included."""
    tensors = load(path)
    yield from _random_subsample(tensors)
    x, rays = tensors["x"], tensors["rays_os"].transpose(1, 2)
    if "mask_logits" in tensors:
        indices = top_cells(tensors["mask_logits"], tensors["topk_tokens"].shape[-1])
        mask = torch.zeros_like(tensors["topk_mask"]).scatter(1, indices, 1.0)
        yield compare_exact("topk_mask", mask, tensors["topk_mask"])
        for name, volume in (("topk_tokens", x), ("topk_rays_os", rays)):
            flat = volume.flatten(2)
            ours = flat.gather(2, indices[:, None].expand(-1, flat.shape[1], -1))
            yield compare_exact(name, ours, tensors[name])


def _random_subsample(tensors: dict[str, Tensor]) -> Iterator[Comparison]:
    """Redraw the cells from the seed in the tensors' names."""
    x = tensors["x"]
    axes = [tensors[f"idx_{axis}"] for axis in "thw"]
    frames, rows, columns = (len(axis[0].unique()) for axis in axes)
    seed = next(int(m[1]) for name in tensors if (m := re.match(r"random_seed(\d+)_", name)))
    _, _, t, h, w = x.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        cells = random_cells((frames, rows, columns), (t, h, w), len(x))
    for axis, ours in zip("bthw", cells, strict=True):
        yield compare_exact(f"idx_{axis}", ours, tensors[f"idx_{axis}"])
    if "queried" in tensors:
        yield compare_exact("queried", take_cells(x, cells), tensors["queried"])
    sources = {"x": x, "os": tensors["rays_os"].transpose(1, 2), "ds": tensors["rays_ds"].transpose(1, 2)}
    for name, volume in sources.items():
        key = f"random_seed{seed}_{name}"
        yield compare_exact(key, take_cells(volume, cells), tensors[key])
