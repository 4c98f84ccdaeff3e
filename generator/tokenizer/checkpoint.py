"""Loading a trained tokenizer."""

from __future__ import annotations

from pathlib import Path

import torch

from generator.tokenizer.tokenizer import CosmosTokenizer
from generator.weights.checkpoint import Card, load_checkpoint
from lyra_sim.errors import LyraSimError

MINI_CARD = Path(__file__).parent.parent / "weights" / "mini" / "tokenizer.json"
"""Card of the tokenizer that the package carries."""


def load_tokenizer(card_path: Path | str | None = None) -> tuple[CosmosTokenizer, Card]:
    """Load a trained tokenizer in evaluation mode, float32, without gradients.

    Args:
        card_path: The checkpoint's card; None loads the embedded mini tokenizer.

    Returns:
        The tokenizer and its card.

    Raises:
        LyraSimError: The checkpoint is missing, damaged or not that of a tokenizer.
    """
    card_path = MINI_CARD if card_path is None else Path(card_path)
    state, card = load_checkpoint(card_path, "tokenizer")
    tokenizer = CosmosTokenizer(card["configuration"])
    try:
        tokenizer.network.load_state_dict({name: tensor.to(torch.float32) for name, tensor in state.items()})
    except RuntimeError as error:
        raise LyraSimError(
            f"{card_path}: weights do not fit its configuration ({error}); train the checkpoint again"
        ) from None
    return tokenizer.eval().requires_grad_(False), card
