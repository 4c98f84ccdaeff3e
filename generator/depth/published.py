"""Finding and loading the depth networks of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from generator.placement import hush
from generator.sizes import Size
from generator.weights.folder import locate_model
from generator.weights.store import Store
from lyra_sim.errors import LyraSimError

FARTHEST = 1000.0
"""Depth [m] from which on a pixel counts as open sky."""


def device_of(size: Size) -> torch.device:
    """Return the device of a size; raises LyraSimError when torch cannot use it here."""
    device = torch.device(size.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise LyraSimError(f"device {size.device}: torch {torch.__version__} finds no CUDA GPU here")
    return device


def load_network(name: str, architecture: str, size: Size) -> tuple[Any, Path]:
    """Load one of transformers' depth networks from the store, in float32, on the device of a size.

    Args:
        name: Entry of the registry.
        architecture: Class in transformers.
        size: Size of the chain.

    Returns:
        The network and its folder.

    Raises:
        LyraSimError: transformers or the weights are missing, or they do not fit each other.
    """
    try:
        import transformers
    except ImportError:
        raise LyraSimError(
            f"{name} needs the package transformers; install lyra-sim[teacher], or give --depth"
        ) from None
    hush()
    device, folder = device_of(size), Path(locate_model(name, Store()))
    try:
        network, report = getattr(transformers, architecture).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise LyraSimError(
            f"{folder}: cannot be loaded as {architecture} ({str(error)[:200]}); run lyra-sim weights verify {name}"
        ) from None
    if missing := sorted(report["missing_keys"]):
        # transformers would fill what is missing with noise and only log it.
        raise LyraSimError(f"{folder}: lacks {len(missing)} tensors such as {missing[0]}; pull {name} again")
    return network.eval().requires_grad_(False).to(device), folder
