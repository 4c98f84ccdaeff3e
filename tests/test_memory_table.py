"""The table of GPU memory, and what doctor says of the full size."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
from diffusers import (
    AutoencoderKLCosmos,
    AutoencoderKLLTX2Video,
    CosmosTransformer3DModel,
    SanaWMTransformer3DModel,
    ZImageTransformer2DModel,
)
from torch import nn
from transformers import T5Config, T5EncoderModel

from generator import memory
from generator.decoder import DecoderConfig, LyraDecoder
from generator.memory import FULL_OFFLOAD_BELOW_GIB, NO_OFFLOAD_FROM_GIB, STAGES, Network
from generator.teachers.gen3c.load import T5_CONFIGURATION
from generator.teachers.gen3c.transformer import FULL_CONFIGURATION
from lyra_sim.cli import main


@pytest.mark.parametrize(
    ("network", "build"),
    [
        (memory.DENOISER, lambda: CosmosTransformer3DModel(**FULL_CONFIGURATION)),
        (memory.TEXT_ENCODER, lambda: T5EncoderModel(T5Config(**T5_CONFIGURATION))),
        (memory.TOKENIZER, AutoencoderKLCosmos),
        (memory.DECODER, lambda: LyraDecoder(DecoderConfig.published())),
        (memory.SANA, SanaWMTransformer3DModel),
        (memory.SANA_AUTOENCODER, AutoencoderKLLTX2Video),
        (memory.IMAGE, ZImageTransformer2DModel),
    ],
    ids=lambda value: value.name if isinstance(value, Network) else "",
)
def test_networks_are_as_large_as_the_table_says(network: Network, build: Callable[[], nn.Module]) -> None:
    """Counts are those of the real classes at full size, built without memory for their weights."""
    with torch.device("meta"):
        built = build()
    assert sum(p.numel() for p in built.parameters()) == network.parameters
    if network.largest_layer:
        assert max(p.numel() for p in built.parameters()) == network.largest_layer


def test_offload_is_chosen_so_that_the_teacher_fits() -> None:
    """What each choice needs is less than the least memory that it is chosen for, and more offload needs less."""
    teacher = next(stage for stage in STAGES if stage.name == "teacher gen3c")
    assert teacher.peak_gb("none") < NO_OFFLOAD_FROM_GIB * 1.0737
    assert teacher.peak_gb("model") < FULL_OFFLOAD_BELOW_GIB * 1.0737
    assert teacher.peak_gb("group") < teacher.peak_gb("model")
    for stage in STAGES:
        assert stage.peak_gb("model") <= stage.peak_gb("none")
    assert teacher.peak_gb("model") == pytest.approx(memory.NVIDIA_PEAK_GB)


def test_doctor_shows_memory_and_guardrail(capsys: pytest.CaptureFixture[str]) -> None:
    """Both forms say that numbers are computed, and that the safety checker is off where it is not installed."""
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "computed from parameter counts, not measured" in text
    assert "safety checker at full size: off - " in text
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["full_memory_gb"][1]["stage"] == "teacher gen3c"
    assert facts["safety_checker"]["on"] is False
