"""Checkpoints: a safetensors file and, beside it, a JSON card that says what it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from lyra_sim.errors import LyraSimError

Card = dict[str, Any]


def configuration_hash(configuration: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a configuration written as canonical JSON."""
    text = json.dumps(configuration, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def load_card(path: Path | str) -> Card:
    """Read a card and check that it describes its own configuration.

    Args:
        path: The card's JSON file.

    Returns:
        The card; `kind`, `file`, `sha256`, `configuration` and `configuration_sha256` are always there.

    Raises:
        LyraSimError: The file is missing, is no card, or its configuration was changed after it was written.
    """
    path = Path(path)
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LyraSimError(
            f"cannot read the checkpoint card {path} ({error.strerror}); give the path of a card"
        ) from None
    except ValueError as error:
        raise LyraSimError(f"checkpoint card {path} is not JSON ({error}); {_REMEDY}") from None
    required = ("kind", "file", "sha256", "configuration", "configuration_sha256")
    missing = [key for key in required if not isinstance(card, dict) or key not in card]
    if missing:
        raise LyraSimError(f"checkpoint card {path} lacks {', '.join(missing)}; {_REMEDY}")
    found = configuration_hash(card["configuration"])
    if found != card["configuration_sha256"]:
        raise LyraSimError(
            f"checkpoint card {path}: configuration has hash {found[:12]}, expected"
            f" {card['configuration_sha256'][:12]}; {_REMEDY}"
        )
    return card


def licence_of(card: Card) -> str:
    """Return the licence of the weights that a card describes; those that this project trained are Apache-2.0."""
    return card.get("licence", "Apache-2.0")


def load_checkpoint(card_path: Path | str, expected_kind: str) -> tuple[dict[str, Tensor], Card]:
    """Load the weights that a card describes, refusing any file but the one it was written for.

    Args:
        card_path: The card's JSON file; the weights lie beside it.
        expected_kind: What the caller is about to build, such as `tokenizer`.

    Returns:
        Tensors by name, on the CPU, as stored, and the card.

    Raises:
        LyraSimError: Card or weights are missing, damaged, of another kind, or do not belong together.
    """
    card_path = Path(card_path)
    card = load_card(card_path)
    if card["kind"] != expected_kind:
        raise LyraSimError(
            f"{card_path} describes a {card['kind']}, expected a {expected_kind}; give another card"
        )
    path = card_path.parent / Path(card["file"]).name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LyraSimError(f"cannot read the weights {path} ({error.strerror}); {_REMEDY}") from None
    found = hashlib.sha256(data).hexdigest()
    if found != card["sha256"]:
        raise LyraSimError(
            f"weights {path} have SHA-256 {found[:12]}, expected {card['sha256'][:12]}; {_REMEDY}"
        )
    try:
        return load(data), card
    except SafetensorError as error:
        raise LyraSimError(f"weights {path} are not safetensors ({error}); {_REMEDY}") from None


_REMEDY = "reinstall lyra-sim or train the checkpoint again"
