"""Where the networks of a diffusers pipeline lie while it runs: on the GPU, or moved there in parts."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging

from generator.memory import FULL_OFFLOAD_BELOW_GIB, NO_OFFLOAD_FROM_GIB, Offload
from lyra_sim.errors import LyraSimError


def choose_offload(memory_gib: float) -> Offload:
    """Return how to place networks on a device with this much memory [GiB]."""
    if memory_gib < FULL_OFFLOAD_BELOW_GIB:
        return "group"
    return "model" if memory_gib < NO_OFFLOAD_FROM_GIB else "none"


def place(pipeline: DiffusionPipeline, device: str, *, offload: Offload | None = None) -> Offload:
    """Put a pipeline on a device.

    Args:
        pipeline: Pipeline whose networks are on the CPU.
        device: Torch device, such as `cuda` or `cpu`.
        offload: How; None chooses by the memory of the device.

    Returns:
        How it was placed.

    Raises:
        LyraSimError: The device cannot be used here.
    """
    target = torch.device(device)
    if target.type == "cuda" and not torch.cuda.is_available():
        raise LyraSimError(
            f"device {device}: torch {torch.__version__} finds no CUDA GPU here; use --size mini"
        )
    offload = offload or _default(target)
    if offload == "none":
        pipeline.to(target)
    elif offload == "model":
        pipeline.enable_model_cpu_offload(device=target)
    else:
        # Streams exist on CUDA alone. The autoencoder stays on the device: it is small, and it is entered through
        # encode and decode, while layers are fetched ahead in the order that forward runs them.
        pipeline.enable_group_offload(
            target,
            offload_type="leaf_level",
            use_stream=target.type == "cuda",
            low_cpu_mem_usage=True,
            exclude_modules=["vae"],
        )
    return offload


def hush() -> None:
    """Keep the progress bars of diffusers and transformers off stderr, where lyra-sim writes its own progress."""
    diffusers_logging.disable_progress_bar()
    if find_spec("transformers"):
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()


def _default(device: torch.device) -> Offload:
    """Return the placement that the memory of a device asks for; the CPU has nowhere to move networks to."""
    if device.type != "cuda":
        return "none"
    return choose_offload(torch.cuda.get_device_properties(device).total_memory / 2**30)
