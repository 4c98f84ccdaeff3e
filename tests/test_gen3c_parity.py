"""GEN3C's denoiser and sampling loop against numbers of its own code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from generator.parity.gen3c_model import denoiser, official_keys, sampler
from generator.teachers.gen3c.keys import convert_state_dict, diffusers_key
from lyra_sim.errors import LyraSimError

GOLDEN = Path(__file__).parent / "data" / "gen3c"


@pytest.mark.parametrize(
    ("check", "file", "least"),
    [
        (denoiser, "dit.safetensors", 10),
        (official_keys, "dit_keys.json", 1),
        (sampler, "sampler.safetensors", 10),
    ],
)
def test_networks_equal_gen3c(check, file: str, least: int) -> None:
    """Denoiser, renamed weights and the whole sampling loop are within 1e-4 of the official code."""
    comparisons = list(check(GOLDEN / file))
    assert [c.tensor for c in comparisons if not c.passed] == []
    assert len(comparisons) >= least


def test_wrong_golden_tensors_fail_their_gates(tmp_path: Path) -> None:
    """The gates bite: shifting golden tensors by 2e-4 fails their comparisons and no others."""
    with safe_open(GOLDEN / "sampler.safetensors", "pt") as file:
        metadata = file.metadata()
    tensors = load_file(GOLDEN / "sampler.safetensors")
    shifted = {"mid.pose_cond", "mid.net_input_last", "mid.prev_samples", "out.latent"}
    for name in shifted:
        tensors[name] += 2e-4
    save_file(tensors, tmp_path / "sampler.safetensors", metadata)
    shutil.copy(GOLDEN / "dit.safetensors", tmp_path)
    assert {c.tensor for c in sampler(tmp_path / "sampler.safetensors") if not c.passed} == shifted


def test_published_checkpoints_are_renamed_without_loss() -> None:
    """Every weight arrives once under diffusers' name, also from a wrapped checkpoint; training leftovers go."""
    table = json.loads((GOLDEN / "dit_keys.json").read_text())["official_to_diffusers"]
    official = {f"net.{name}": torch.full((1,), float(i)) for i, name in enumerate(table)}
    official |= {"net.logvar.0.weight": torch.zeros(1), "net.x_embedder._extra_state": torch.zeros(1)}
    expected = {new: official[f"net.{old}"] for old, new in table.items() if new is not None}
    assert convert_state_dict(official) == expected
    assert convert_state_dict({"model": official}) == expected


@pytest.mark.parametrize(
    "name", ["blocks.block0.blocks.3.block.layer1.weight", "decoder.weight", "final_layer.bias"]
)
def test_unknown_tensors_are_refused(name: str) -> None:
    """A checkpoint of another network is named as such instead of being loaded in part."""
    with pytest.raises(LyraSimError, match="belongs to no part of GEN3C"):
        diffusers_key(name)
