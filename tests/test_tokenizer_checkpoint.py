"""Checkpoints load only when file, configuration and card belong together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from generator.tokenizer import CosmosTokenizer, load_tokenizer
from generator.weights.checkpoint import load_card, load_checkpoint
from lyra_sim.errors import LyraSimError
from training.card import write_checkpoint
from training.tokenizer_loss import psnr

TINY = {
    "encoder_block_out_channels": [8, 8, 8, 8],
    "decode_block_out_channels": [8, 8, 8, 8],
    "num_layers": 1,
    "latents_mean": [0.0] * 16,
    "latents_std": [1.0] * 16,
}


@pytest.fixture
def card_path(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    state = CosmosTokenizer(TINY).network.state_dict()
    write_checkpoint(tmp_path, "tokenizer", state, TINY, training={"steps": 0}, metrics={})
    return tmp_path / "tokenizer.json"


def test_round_trip(card_path: Path) -> None:
    """What was written loads as the same network in half precision, frozen, and the card says what it is."""
    tokenizer, card = load_tokenizer(card_path)
    torch.manual_seed(0)
    expected = CosmosTokenizer(TINY).network.state_dict()
    for name, tensor in tokenizer.network.state_dict().items():
        assert torch.equal(tensor, expected[name].half().float())
    assert not any(p.requires_grad for p in tokenizer.parameters())
    assert card["dtype"] == "float16"
    assert card["training"]["machine"]
    assert load_card(card_path) == card


def test_damaged_weights_are_refused(card_path: Path) -> None:
    """One flipped bit is found, and the message names the file and both hashes."""
    weights = card_path.with_suffix(".safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(LyraSimError, match=r"tokenizer\.safetensors have SHA-256 .* expected"):
        load_checkpoint(card_path, "tokenizer")


def test_changed_configuration_is_refused(card_path: Path) -> None:
    """A configuration edited by hand no longer matches its hash."""
    card = json.loads(card_path.read_text())
    card["configuration"]["num_layers"] = 2
    card_path.write_text(json.dumps(card))
    with pytest.raises(LyraSimError, match="configuration has hash"):
        load_card(card_path)


def test_other_kind_is_refused(card_path: Path) -> None:
    """A tokenizer is not taken for a decoder."""
    with pytest.raises(LyraSimError, match="describes a tokenizer, expected a decoder"):
        load_checkpoint(card_path, "decoder")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "tokenizer"}'])
def test_broken_card_is_refused(tmp_path: Path, text: str) -> None:
    """What is no card says so in one line."""
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(LyraSimError, match="checkpoint card"):
        load_card(path)


def test_missing_files_are_named(card_path: Path, tmp_path: Path) -> None:
    """A missing card and missing weights are named with their path."""
    with pytest.raises(LyraSimError, match=r"nowhere\.json"):
        load_card(tmp_path / "nowhere.json")
    card_path.with_suffix(".safetensors").unlink()
    with pytest.raises(LyraSimError, match=r"cannot read the weights .*tokenizer\.safetensors"):
        load_checkpoint(card_path, "tokenizer")


def test_embedded_tokenizer_reconstructs() -> None:
    """The shipped weights verify against their card and bring a smooth picture back at more than 30 dB."""
    tokenizer, card = load_tokenizer()
    y, x = torch.meshgrid(torch.linspace(0, 3, 64), torch.linspace(0, 4, 96), indexing="ij")
    frame = torch.stack([0.6 * torch.sin(x + c) * torch.cos(y - c) for c in range(3)])
    video = frame[None, :, None].repeat(1, 1, 9, 1, 1)
    with torch.no_grad():
        assert psnr(tokenizer(video), video) > 30
    assert card["metrics"]["mean"]["psnr"] > 20
