"""The decoder's configuration: round trips, published sizes, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from generator.decoder import DecoderConfig, LyraDecoder
from lyra_sim.errors import LyraSimError

KEYS = Path(__file__).parent / "data" / "lyra_static_keys.json"


def test_published_decoder_has_the_official_tensors() -> None:
    """The published configuration has exactly the 254 names and shapes of the released checkpoints."""
    with torch.device("meta"):
        state = LyraDecoder(DecoderConfig.published()).state_dict()
    assert len(state) == 254
    assert {name: list(tensor.shape) for name, tensor in state.items()} == json.loads(KEYS.read_text())


def test_json_round_trip_gives_an_equal_configuration() -> None:
    """What `to_json` writes, `from_json` reads back as an equal object."""
    config = DecoderConfig(
        embed_dim=96, depth=3, num_heads=2, patch_size_out_factor=(1, 4, 4), cache_branch=True
    )
    assert DecoderConfig.from_json(config.to_json()) == config


def test_official_overrides_are_understood() -> None:
    """Options in the official spelling set our fields; options that do not touch the network are ignored."""
    config = DecoderConfig.from_official(
        {"enc_embed_dim": 64, "enc_depth": 4, "enc_num_heads": 2, "llrm_7m1t_index": 2, "img_size": [32, 48]}
    )
    assert config == DecoderConfig(embed_dim=64, depth=4, num_heads=2, attention_every=2)
    assert [config.is_attention(i) for i in range(4)] == [False, True, False, True]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"depth": 0}, "depth is 0"),
        ({"depth": True}, "depth is True"),
        ({"embed_dim": 50}, "2 x embed_dim must be a multiple of head_dim 64"),
        ({"num_heads": 7}, "not a multiple of num_heads 7"),
        ({"patch_size_out_factor": [1, 8, 4]}, "patch_size_out_factor is (1, 8, 4)"),
        ({"near": 2.0, "far": 1.0}, "need 0 < near < far"),
        ({"prune_ratio": 1.0}, "prune_ratio is 1.0"),
        ({"use_time_embedding": True, "time_embedding": False}, "needs time_embedding"),
        ({"scale_cap": float("nan")}, "scale_cap is nan"),
        ({"cache_branch": "yes"}, "cache_branch is 'yes'"),
        ({"widht": 3}, "unknown field(s) widht"),
    ],
)
def test_wrong_values_are_refused_by_name(fields: dict, words: str) -> None:
    """A wrong field is named with its value in one line."""
    with pytest.raises(LyraSimError) as caught:
        DecoderConfig.from_dict(fields)
    assert words in str(caught.value)


def test_text_that_is_not_a_configuration_is_refused() -> None:
    """Broken JSON and JSON of another kind give a LyraSimError."""
    for text in ("{", "[1]"):
        with pytest.raises(LyraSimError):
            DecoderConfig.from_json(text)
