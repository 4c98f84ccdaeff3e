"""What a decode costs: arithmetic, memory, and the slices that keep memory below a limit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

import torch

from generator.decoder.chunked import CHUNK, SEGMENT
from generator.decoder.config import DecoderConfig
from generator.decoder.head import GAUSSIAN_CHANNELS, RAW_CHANNELS
from generator.decoder.inputs import DecoderInputs
from generator.decoder.prune import keep_count
from lyra_sim.errors import LyraSimError

SHARES = {"embed": 0.4, "mamba": 0.55, "attention": 0.85, "head": 0.4, "tokenizer": 0.9}
"""Share of a large matrix product's speed that each part reaches on a CPU core at the published width, a little
below what was measured (benchmarks/results/decoder.md)."""
LEAST_SLICE = 2048
"""Tokens per slice below which slicing costs more than it saves."""
SCRATCH = 32 << 20
"""Bytes that the libraries take for themselves."""
ALLOWANCE = 1.1
"""Memory that an allocator takes over what is asked of it."""


@dataclass(frozen=True)
class Workload:
    """Hold the sizes that cost depends on."""

    views: int
    latent_frames: int
    """Latent frames t per view."""
    rows: int
    """Latent rows h."""
    columns: int
    """Latent columns w."""
    batch: int = 1

    @classmethod
    def of(cls, inputs: DecoderInputs) -> Workload:
        """Read the sizes off decoder inputs."""
        rows, columns = inputs.latents.shape[-2:]
        return cls(inputs.views, inputs.latent_frames, rows, columns, inputs.latents.shape[0])

    def tokens_per_view(self, config: DecoderConfig) -> int:
        """Return the tokens of one view."""
        patch = config.spatial_patch
        return self.latent_frames * (self.rows // patch) * (self.columns // patch)

    def gaussians_per_view(self, config: DecoderConfig) -> int:
        """Return the Gaussians of one view before pruning."""
        cells = (config.space_compression // config.cell) ** 2 * self.rows * self.columns
        return config.video_frames(self.latent_frames) * cells


def operations(config: DecoderConfig, work: Workload) -> dict[str, float]:
    """Return floating-point operations (2 per multiply-add) per part of one decode."""
    tokens = work.batch * work.views * work.tokens_per_view(config)
    per_sequence = work.views * work.tokens_per_view(config)
    attention = sum(config.is_attention(i) for i in range(config.depth))
    patch_area = config.spatial_patch**2
    channels = config.latent_channels + config.plucker_channels
    channels += (
        2 * config.time_channels * config.use_time_embedding + config.cache_channels * config.cache_branch
    )
    deconv_taps = (config.time_compression + 1) * (
        config.space_compression * config.spatial_patch // config.cell
    ) ** 2
    return {
        "embed": tokens * 2.0 * channels * patch_area * config.embed_dim,
        "mamba": tokens * (config.depth - attention) * _mamba_per_token(config),
        "attention": tokens * attention * _attention_per_token(config, per_sequence),
        "head": tokens * 2.0 * config.embed_dim * RAW_CHANNELS * deconv_taps,
    }


def stages(config: DecoderConfig, work: Workload) -> tuple[list[float], float]:
    """Return the operations of each block, and of one view's head: what a progress bar should count."""
    tokens = work.batch * work.views * work.tokens_per_view(config)
    mamba = tokens * _mamba_per_token(config)
    attention = tokens * _attention_per_token(config, work.views * work.tokens_per_view(config))
    blocks = [attention if config.is_attention(i) else mamba for i in range(config.depth)]
    return blocks, operations(config, work)["head"] / work.views


def _mamba_per_token(config: DecoderConfig) -> float:
    """Return operations per token of one Mamba-2 block in the chunked form."""
    inner, state = 2 * config.embed_dim, config.state_size
    projections = (
        2.0 * config.embed_dim * (2 * inner + 2 * state + inner // config.head_dim)
        + 2.0 * inner * config.embed_dim
    )
    convolution = 2.0 * config.conv_width * (inner + 2 * state)
    return projections + 2 * (convolution + scan_per_token(config))


def scan_per_token(config: DecoderConfig) -> float:
    """Return operations per token of the matrix products of one chunked scan."""
    inner, state = 2 * config.embed_dim, config.state_size
    return 2.0 * CHUNK * (state + inner) + 4.0 * state * inner


def _attention_per_token(config: DecoderConfig, length: int) -> float:
    """Return operations per token of one attention block over `length` tokens."""
    width = config.embed_dim
    return 8.0 * width**2 + 4.0 * width**2 * config.mlp_ratio + 4.0 * length * width


def decoder_seconds(config: DecoderConfig, work: Workload, speed: float, *, targets: int = 1) -> float:
    """Return the seconds that a decode will take where a large matrix product runs at `speed` operations a second.

    The shares of that speed that the parts of the network reach were measured on a CPU; on a GPU this is a guess.
    With several target times (dynamic model) all parts but the embeddings repeat.
    """
    return sum(
        count * (1 if part == "embed" else targets) / SHARES[part] / speed
        for part, count in operations(config, work).items()
    )


@cache
def product_speed(device: torch.device, dtype: torch.dtype) -> float:
    """Return the operations per second of a large matrix product, measured once per process."""
    side = 1024 if device.type == "cpu" else 8192
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        (matrix @ matrix)[0, 0].item()
        best = min(best, time.perf_counter() - began)
    return 2.0 * side**3 / best


@dataclass(frozen=True)
class Plan:
    """Say how a decode is cut so that it fits a memory limit."""

    slice: int
    """Tokens per slice inside the blocks; 0 when whole sequences fit."""
    bytes: int
    """Estimated peak beyond weights and inputs [bytes]."""


def plan(config: DecoderConfig, work: Workload, *, limit: int | None, element: int = 4) -> Plan:
    """Choose the slices of a decode.

    Args:
        config: The decoder.
        work: The sizes.
        limit: Bytes that the decode may take beyond weights and inputs; None for no limit.
        element: Bytes per number of the network's dtype.

    Raises:
        LyraSimError: Even the smallest slices need more than the limit.
    """
    whole = _peak(config, work, 0, element)
    if limit is None or whole <= limit:
        return Plan(0, whole)
    size = work.views * work.tokens_per_view(config)
    while size > LEAST_SLICE:
        size = max(size // 2, LEAST_SLICE)
        peak = _peak(config, work, size, element)
        if peak <= limit:
            return Plan(size, peak)
    least = least_bytes(config, work, element=element)
    raise LyraSimError(
        f"a memory limit of {limit / 2**30:.2f} GiB is too small for this decode: it needs at least "
        f"{least / 2**30:.2f} GiB beside weights and inputs; raise the limit or decode fewer views"
    )


def least_bytes(config: DecoderConfig, work: Workload, *, element: int = 4) -> int:
    """Return the peak beyond weights and inputs with the smallest slices [bytes]."""
    return min(_peak(config, work, size, element) for size in (0, LEAST_SLICE))


def _peak(config: DecoderConfig, work: Workload, size: int, element: int) -> int:
    """Return the largest of what blocks and head hold at a time [bytes]; `size` 0 means whole sequences."""
    length = work.batch * work.views * work.tokens_per_view(config)
    width, tokens = config.embed_dim, length * config.embed_dim * element
    part = (size * work.batch if size else length) * element
    inner, state = 2 * width, config.state_size
    # A Mamba-2 block holds z, [x|B|C] before and after its convolution, y, and the gated result of both scans.
    mamba = part * (width + 5 * inner + 2 * (inner + 2 * state)) + _segment_bytes(config)
    attention = part * int(width * (4 + 2 * config.mlp_ratio)) + 2 * tokens + (0 if size else 2 * tokens)
    has_attention = any(config.is_attention(i) for i in range(config.depth))
    blocks = 2 * tokens + max(mamba, attention if has_attention else 0)
    return SCRATCH + int(ALLOWANCE * max(blocks, tokens + _head_bytes(config, work, element)))


def _segment_bytes(config: DecoderConfig) -> int:
    """Return the temporaries of one segment of the chunked scan, which runs in float32 [bytes]."""
    inner, heads = 2 * config.embed_dim, 2 * config.embed_dim // config.head_dim
    matrices = 3 * heads * CHUNK * CHUNK + 2 * config.state_size * inner + 4 * CHUNK * inner
    return 4 * SEGMENT * matrices


def _head_bytes(config: DecoderConfig, work: Workload, element: int) -> int:
    """Return what one view's head and the running selection hold [bytes]."""
    view = work.batch * work.gaussians_per_view(config)
    kept = work.batch * keep_count(work.views * work.gaussians_per_view(config), config.prune_ratio)
    # The activations run in float32 at least, whatever the network's dtype.
    wide = max(element, 4)
    volume = 3 * work.batch * work.tokens_per_view(config) * config.embed_dim
    channels = 2 * RAW_CHANNELS + 3 * GAUSSIAN_CHANNELS
    selection = (view + kept) * (2 * GAUSSIAN_CHANNELS * wide + 3 * 8)
    return volume * element + view * channels * wide + selection
