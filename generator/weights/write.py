"""Writing a checkpoint as `checkpoint.load_checkpoint` reads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from generator.weights.checkpoint import Card, configuration_hash
from lyra_sim.atomic import atomic_path
from lyra_sim.errors import LyraSimError


def write_pair(
    folder: Path,
    name: str,
    kind: str,
    tensors: Mapping[str, Tensor],
    configuration: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> Card:
    """Write `<name>.safetensors` and `<name>.json`; the card last, so that a torn pair never verifies.

    Args:
        folder: Where to write.
        name: Stem of both files.
        kind: What the weights are, such as `tokenizer`.
        tensors: Tensors by name, stored as they are.
        configuration: Arguments that rebuild the network (JSON types).
        facts: Where the weights come from, and whatever else the card shall say (JSON types).

    Returns:
        The card.

    Raises:
        LyraSimError: The files cannot be written.
    """
    own = {key: _own_storage(value) for key, value in tensors.items()}
    types = {str(tensor.dtype).removeprefix("torch.") for tensor in own.values()}
    folder.mkdir(parents=True, exist_ok=True)
    file = f"{name}.safetensors"
    with atomic_path(folder / file, option="weights file") as path:
        try:
            save_file(own, path, {"kind": kind})
        except SafetensorError as error:
            raise LyraSimError(f"weights file {folder / file}: cannot be written ({error})") from None
        card: Card = {
            "kind": kind,
            "file": file,
            "sha256": file_hash(path, "sha256"),
            "bytes": path.stat().st_size,
            "dtype": ", ".join(sorted(types)),
            "parameters": sum(tensor.numel() for tensor in own.values()),
            "configuration": dict(configuration),
            "configuration_sha256": configuration_hash(configuration),
            **facts,
            "written": datetime.now(UTC).strftime("%Y-%m-%d"),
        }
    return write_card(folder / f"{name}.json", card)


def write_card(path: Path, card: Card) -> Card:
    """Write a card, whole or not at all, and return it."""
    with atomic_path(path, option="card") as temporary:
        temporary.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return card


def file_hash(path: Path, algorithm: str) -> str:
    """Return the hexadecimal digest of a file of any size; `algorithm` is `sha256` or `md5`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _own_storage(tensor: Tensor) -> Tensor:
    """Return the tensor packed in a storage of its own, which is all that safetensors writes."""
    tensor = tensor.detach().cpu().contiguous()
    own = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if own else tensor.clone()
