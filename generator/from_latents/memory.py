"""How much memory a decode may take on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from generator.decode_cost import DecodeCost
from generator.decoder import DecoderConfig
from generator.decoder.cost import Workload


def allowance(
    cost: DecodeCost, limit_gb: float | None, device: torch.device, *, say: Callable[[str], None]
) -> int | None:
    """Return the bytes that a decode may take beside weights and inputs; None where nothing is known.

    Args:
        cost: What is to be done; weights and latents are loaded already.
        limit_gb: Most memory of the whole process, or of the GPU [GB]; None takes what is free.
        device: Where it is to be done.
        say: Receives a line where free memory may not do.

    Raises:
        LyraSimError: The limit is too small.
    """
    inputs = input_bytes(cost.config, cost.work, cost.element)
    if limit_gb is not None:
        allowed = int(limit_gb * 1e9) - _taken(device) - inputs
        cost.require(allowed, beside=_taken(device) + inputs)
        return allowed
    free = _free(device)
    if free is None:
        return None
    allowed = free - inputs
    if allowed < cost.least_bytes:
        say(
            f"The decode needs about {(cost.least_bytes + inputs) / 1e9:.1f} GB more, but only {free / 1e9:.1f} GB are "
            f"free; it may run out of memory"
        )
        return cost.least_bytes
    return allowed


def input_bytes(config: DecoderConfig, work: Workload, element: int) -> int:
    """Return what rays and encoded rays take while the decoder runs [bytes]."""
    frames = work.views * config.video_frames(work.latent_frames)
    cells = work.rows * work.columns * (config.space_compression // config.cell) ** 2
    encoded = work.views * work.latent_frames * work.rows * work.columns
    return frames * cells * 6 * 4 + encoded * (config.latent_channels + config.plucker_channels) * element


def _taken(device: torch.device) -> int:
    """Return what the process takes now [bytes], on the GPU or altogether."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return _proc("/proc/self/status", "VmRSS:") or 0


def _free(device: torch.device) -> int | None:
    """Return what is free now [bytes]; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return _proc("/proc/meminfo", "MemAvailable:")


def _proc(path: str, name: str) -> int | None:
    """Return a value of a /proc file [bytes]; None where there is none, as on systems other than Linux."""
    try:
        line = next(line for line in Path(path).read_text().splitlines() if line.startswith(name))
    except (OSError, StopIteration):
        return None
    return int(line.split()[1]) * 1024
