"""The embedded weights of the mini size."""

from __future__ import annotations

from pathlib import Path

from generator.weights.checkpoint import load_card

FOLDER = Path(__file__).parent / "mini"
TOKENIZER = FOLDER / "tokenizer.json"
"""Card of the embedded tokenizer."""
DECODER = FOLDER / "decoder.json"
"""Card of the embedded decoder."""
TEACHER = FOLDER / "teacher.json"
"""Card of the embedded denoiser of GEN3C."""
COMPOSITOR = FOLDER / "compositor.json"
"""Card of the embedded compositor of GEN3C."""
DEPTH = FOLDER / "depth.json"
"""Card of the embedded depth estimator."""


def describe() -> str:
    """Say in a line what is embedded; a missing or damaged card raises LyraSimError."""
    cards = [load_card(path) for path in (TOKENIZER, DECODER, TEACHER, COMPOSITOR, DEPTH)]
    return "embedded weights " + ", ".join(f"{card['kind']} {card['sha256'][:8]}" for card in cards)
