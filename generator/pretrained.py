"""Pipelines by name, as folders, and back: where `LyraPipeline.from_pretrained` looks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from generator.weights import mini
from generator.weights.checkpoint import Card
from generator.weights.registry import ENTRIES, find_entry
from generator.weights.store import Store
from generator.weights.write import write_pair
from lyra_sim.atomic import atomic_folder
from lyra_sim.errors import LyraSimError

if TYPE_CHECKING:
    from generator.pipeline import LyraPipeline

TOKENIZER = "cosmos-tokenizer"
"""Entry of the tokenizer that the published decoders belong to."""
CARDS = ("tokenizer.json", "decoder.json")
"""Cards in a folder that holds a pipeline."""
_WRITTEN = ("kind", "file", "sha256", "bytes", "dtype", "parameters", "configuration")
_COMPUTED = (*_WRITTEN, "configuration_sha256", "written")
"""What `write_pair` puts on a card itself."""


def find_cards(
    source: str | Path,
    *,
    local_files_only: bool,
    accept_licence: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Path, Path]:
    """Return the cards of tokenizer and decoder; see `LyraPipeline.from_pretrained` for the arguments."""
    if str(source) == "mini":
        return mini.TOKENIZER, mini.DECODER
    folder = Path(source)
    if folder.is_dir():
        cards = folder / CARDS[0], folder / CARDS[1]
        missing = [card.name for card in cards if not card.is_file()]
        if missing:
            raise LyraSimError(
                f"{folder}: holds no pipeline, lacks {' and '.join(missing)}; give another folder"
            )
        return cards
    entry = next((e for e in ENTRIES if e.kind == "decoder" and str(source) in (e.name, e.repository)), None)
    if entry is None:
        names = ", ".join(["mini", *(e.name for e in ENTRIES if e.kind == "decoder")])
        raise LyraSimError(
            f"{source} is neither a folder nor known weights; choose from {names}, or give a folder"
        )
    store = Store()
    wanted = (find_entry(TOKENIZER), entry)
    missing = [e.name for e in wanted if not store.has(e)]
    if missing and local_files_only:
        commands = "; ".join(f"lyra-sim weights pull {name}" for name in missing)
        raise LyraSimError(f"{' and '.join(missing)} not in {store.folder}; run {commands}")
    for one in wanted:
        if one.name in missing:
            from generator.weights.pull import pull

            pull(one, store, accept_licence=accept_licence, say=say)
    return store.card_path(wanted[0]), store.card_path(wanted[1])


def save(pipeline: LyraPipeline, folder: Path) -> None:
    """Write a pipeline into a folder that `find_cards` finds; weights keep the type that their cards state."""
    networks: dict[str, nn.Module] = {"tokenizer": pipeline.tokenizer.network, "decoder": pipeline.decoder}
    with atomic_folder(folder, option="folder", marker=CARDS[1]) as temporary:
        for kind, network in networks.items():
            card = pipeline.cards[kind]
            facts = {key: value for key, value in card.items() if key not in _COMPUTED}
            state = _as_stored(network.state_dict(), card)
            written = write_pair(temporary, kind, kind, state, card["configuration"], facts)
            # A decoder names its tokenizer by checksum, which follows from how the file was written.
            if kind == "tokenizer" and "tokenizer_sha256" in pipeline.cards["decoder"].get("training", {}):
                _require_same(written, card, folder)


def _as_stored(state: dict[str, Tensor], card: Card) -> dict[str, Tensor]:
    dtype = getattr(torch, str(card.get("dtype")), None)
    return {name: value.to(dtype) for name, value in state.items()} if dtype is not None else state


def _require_same(written: Card, card: Card, folder: Path) -> None:
    if written["sha256"] != card["sha256"]:
        raise LyraSimError(f"{folder}: the tokenizer differs from the one that the decoder was trained with")
