"""Write a checkpoint as the generator reads it: safetensors, and a card that says what it is."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generator.weights.checkpoint import Card
from generator.weights.write import write_pair


def write_checkpoint(
    folder: Path,
    kind: str,
    state: Mapping[str, Tensor],
    configuration: Mapping[str, Any],
    *,
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
    dtype: torch.dtype = torch.float16,
    name: str | None = None,
) -> Card:
    """Write `<name>.safetensors` and `<name>.json`; the card last, so that a torn pair never verifies.

    Args:
        folder: Where to write.
        kind: What the weights are, such as `tokenizer`.
        state: Tensors by name; floating-point ones are stored as `dtype`.
        configuration: Arguments that rebuild the network (JSON types).
        training: Data, steps, hours and whatever else it takes to do it again (JSON types).
        metrics: What was measured, with these very weights as stored (JSON types).
        dtype: Precision of the file.
        name: Stem of both files; default `kind`.

    Returns:
        The card.
    """
    facts = {
        "training": {**training, "machine": machine()},
        "metrics": dict(metrics),
        "git_commit": git_commit(),
    }
    tensors = {key: _stored(value, dtype) for key, value in state.items()}
    return write_pair(folder, name or kind, kind, tensors, configuration, facts)


def without_curve(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a card says of a training but its learning curve, for the card of what goes on from it."""
    return {key: value for key, value in training.items() if key != "curve"}


def started_from(card: Card) -> dict[str, Any]:
    """Return what is kept of the card of the weights that a training goes on from."""
    return {"from_sha256": card["sha256"], "before": without_curve(card["training"])}


def machine() -> str:
    """Describe the machine and the versions that matter in one line."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU"
    return f"{device}, {os.cpu_count()} cores, torch {torch.__version__}, Python {platform.python_version()}"


def git_commit() -> str:
    """Return the commit of the working tree, or `unknown` outside of one."""
    try:
        command = ["git", "rev-parse", "HEAD"]
        run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return run.stdout.strip()


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().cpu()
    return (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous()
