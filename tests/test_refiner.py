"""The refiner of the mini GEN3C: its training, exact resumption and shipping."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from generator.teachers.gen3c.refiner import load_refiner
from lyra_sim import LyraSimError
from training.picture_freeze import freeze
from training.refiner import RefinerTraining, Training

OPTIONS = RefinerTraining(steps=40, batch=2, learning_rate=5e-3)
CHANNELS = (8, 12, 16)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Write two sampled clips that are too dark in their holes."""
    rng = np.random.default_rng(0)
    for index in range(2):
        truth = np.repeat(rng.integers(80, 200, (2, 1, 24, 3), dtype=np.uint8), 16, axis=1)
        seen = np.ones((2, 1, 16, 24), bool)
        seen[..., 6:14] = False
        warp = np.where(seen[:, 0, :, :, None], truth, 0).transpose(0, 3, 1, 2)
        np.savez(tmp_path / f"{index:05d}.npz", sampled=truth // 2, warp=warp, seen=seen, truth=truth)
    return tmp_path


def test_training_brightens_the_holes_and_resumes_exactly(work: Path, tmp_path: Path) -> None:
    """Show that forty steps lower the error below the composite's, and that a stopped run ends in the same bits."""
    whole = Training(OPTIONS, work, CHANNELS)
    terms = [whole.train_step() for _ in range(40)]
    assert np.mean([t["loss"] for t in terms[-8:]]) < 0.8 * np.mean([t["before"] for t in terms[-8:]])
    part = Training(OPTIONS, work, CHANNELS)
    for _ in range(38):
        part.train_step()
    part.save(tmp_path)
    rest = Training(OPTIONS, work, CHANNELS)
    rest.resume(tmp_path)
    for _ in range(2):
        rest.train_step()
    for name, value in whole.average.items():
        assert torch.equal(value, rest.average[name]), name


def test_a_frozen_refiner_is_the_average(work: Path, tmp_path: Path) -> None:
    """Show that what is loaded from the card is the run's average."""
    training = Training(OPTIONS, work, CHANNELS)
    training.train_step()
    training.save(tmp_path)
    facts = {"options": {}, "configuration": {"channels": list(CHANNELS)}, "clips": {"sampled": 2}}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n')
    freeze("refiner", tmp_path, tmp_path)
    network = load_refiner(tmp_path / "refiner.json")
    for name, value in network.state_dict().items():
        assert torch.allclose(value, training.average[name], atol=1e-3), name


def test_an_empty_work_folder_is_named(tmp_path: Path) -> None:
    """Show that training without sampled clips fails with the folder's name."""
    with pytest.raises(LyraSimError, match="no sampled clips"):
        Training(OPTIONS, tmp_path, CHANNELS)
