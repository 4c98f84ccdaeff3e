"""Write a checkpoint as the generator reads it: safetensors, and a card that says what it is."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from generator.weights.checkpoint import Card, configuration_hash
from lyra_sim.atomic import atomic_path


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
    name = name or kind
    tensors = {key: _stored(value, dtype) for key, value in state.items()}
    data = save(tensors, {"kind": kind})
    card: Card = {
        "kind": kind,
        "file": f"{name}.safetensors",
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "dtype": str(dtype).removeprefix("torch."),
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "configuration": dict(configuration),
        "configuration_sha256": configuration_hash(configuration),
        "training": {**training, "machine": machine()},
        "metrics": dict(metrics),
        "git_commit": git_commit(),
        "written": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / card["file"]) as path:
        path.write_bytes(data)
    with atomic_path(folder / f"{name}.json") as path:
        path.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return card


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
