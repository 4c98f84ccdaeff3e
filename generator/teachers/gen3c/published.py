"""Loading the published GEN3C checkpoint without ever holding it twice."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import CosmosTransformer3DModel

from generator.teachers.gen3c.keys import convert_state_dict
from generator.teachers.gen3c.transformer import FULL_CONFIGURATION
from lyra_sim.errors import LyraSimError


def load_published_transformer(
    path: Path, *, configuration: Mapping[str, Any] = FULL_CONFIGURATION, dtype: torch.dtype = torch.bfloat16
) -> CosmosTransformer3DModel:
    """Load `model.pt` of nvidia/GEN3C-Cosmos-7B into diffusers' network.

    Only tensors are unpickled, and they are mapped from the file instead of read.

    Args:
        path: The checkpoint.
        configuration: Arguments of `CosmosTransformer3DModel`.
        dtype: Type of the weights in memory.

    Raises:
        LyraSimError: The file is missing, damaged, holds more than tensors, or does not fit the configuration.
    """
    try:
        official = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise LyraSimError(
            f"{path}: cannot be read as a checkpoint of tensors ({error}); download it again"
        ) from error
    if not isinstance(official, Mapping):
        raise LyraSimError(
            f"{path}: holds {type(official).__name__} instead of named tensors; is this model.pt?"
        )
    with torch.device("meta"):
        network = CosmosTransformer3DModel(**configuration)
    state = {name: tensor.to(dtype) for name, tensor in convert_state_dict(official).items()}
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise LyraSimError(f"{path}: weights do not fit the configuration ({error})") from error
    return network.eval().requires_grad_(False)
