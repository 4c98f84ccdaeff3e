"""Training the tokenizer: the linear start, exact resume, and freezing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from generator.tokenizer import CosmosTokenizer
from lyra_sim.errors import LyraSimError
from training.clips import ClipSet
from training.tokenizer import TokenizerTrainer, TokenizerTraining, train
from training.tokenizer_freeze import fold_statistics
from training.tokenizer_loss import psnr, reconstruction_loss
from training.tokenizer_start import start_from_components

TINY = {
    "encoder_block_out_channels": [40, 40],
    "decode_block_out_channels": [40, 40],
    "num_layers": 1,
    "patch_size": 8,
    "latents_mean": [0.0] * 16,
    "latents_std": [1.0] * 16,
}
RESAMPLING = {
    "encoder_block_out_channels": [8, 16, 16, 16],
    "decode_block_out_channels": [8, 16, 16, 16],
    "num_layers": 1,
}
OPTIONS = TokenizerTraining(steps=4, early=(1, 9, 16, 16), late=(1, 9, 24, 24), late_share=0.5, start_clips=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of smooth colours that drift to the right."""
    folder = tmp_path_factory.mktemp("clips")
    t, y, x = np.meshgrid(np.arange(9), np.arange(176), np.arange(320), indexing="ij")
    for n in range(3):
        waves = [np.sin((x + t) / (9 + n + c) + c) * np.cos(y / (8 + 2 * n + c)) for c in range(3)]
        np.save(folder / f"{n:06d}.npy", (127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8))
    return folder


def test_batches_depend_on_seed_and_step_alone(folder: Path) -> None:
    """Two readers draw the same crops for a step, in range, and another step draws others."""
    first, second = ClipSet([folder], seed=3), ClipSet([folder], seed=3)
    batch = first.batch(7, size=2, frames=9, crop=(24, 32))
    assert batch.shape == (2, 3, 9, 24, 32)
    assert batch.abs().max() <= 1
    assert torch.equal(batch, second.batch(7, size=2, frames=9, crop=(24, 32)))
    assert not torch.equal(batch, first.batch(8, size=2, frames=9, crop=(24, 32)))


def test_folder_without_clips_is_refused(tmp_path: Path) -> None:
    """An empty folder is named, with what to run."""
    with pytest.raises(LyraSimError, match=r"holds no clips; run training\.clips"):
        ClipSet([tmp_path])


def test_clip_smaller_than_the_crop_is_refused(folder: Path) -> None:
    """A crop that a clip cannot give names the clip and its size."""
    with pytest.raises(LyraSimError, match=r"\.npy: is 9x176x320, smaller than crops of 17x64x64"):
        ClipSet([folder]).batch(0, size=1, frames=17, crop=(64, 64))


def test_start_equals_principal_components(folder: Path) -> None:
    """Before any step, latents are uncorrelated with unit variance, and 16 of them reconstruct smooth clips."""
    clips = ClipSet([folder])
    video = torch.cat([clips.batch(n, size=1, frames=9, crop=(64, 96)) for n in range(4)])
    torch.manual_seed(0)
    tokenizer = CosmosTokenizer(TINY)
    start_from_components(tokenizer, video)
    with torch.no_grad():
        latents = tokenizer.encode(video)
        decoded = tokenizer.decode(latents)
    covariance = torch.cov(latents.transpose(0, 1).flatten(1))
    torch.testing.assert_close(covariance, torch.eye(16), rtol=0, atol=0.02)
    assert psnr(decoded, video) > 30


def test_loss_of_a_perfect_reconstruction_is_zero() -> None:
    """Equal videos and latents in range cost nothing; a shift of colour costs its size at every scale."""
    video = torch.rand(1, 3, 9, 16, 16)
    assert reconstruction_loss(video, video, torch.zeros(1)).item() == 0
    assert reconstruction_loss(video + 0.1, video, torch.zeros(1)).item() == pytest.approx(0.4, rel=1e-3)


def test_folding_statistics_keeps_the_reconstruction() -> None:
    """Folding makes raw latents (z - mean) / std and decodes them to the same video."""
    torch.manual_seed(0)
    tokenizer = CosmosTokenizer(TINY)
    video, mean, std = torch.rand(1, 3, 9, 16, 16), torch.randn(16), torch.rand(16) + 0.5
    with torch.no_grad():
        latents, decoded = tokenizer.encode(video), tokenizer(video)
        fold_statistics(tokenizer, mean, std)
        expected = (latents - mean.view(-1, 1, 1, 1)) / std.view(-1, 1, 1, 1)
        torch.testing.assert_close(tokenizer.encode(video), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(tokenizer(video), decoded, rtol=1e-4, atol=1e-5)


def test_resumed_training_equals_uninterrupted(folder: Path, tmp_path: Path) -> None:
    """Stopping after two of four steps and going on in a new trainer ends in the same weights, bit for bit."""
    for run, stops in (("whole", [None]), ("broken", [2, None])):
        for stop in stops:
            trainer = TokenizerTrainer(RESAMPLING, OPTIONS, ClipSet([folder]))
            train(trainer, tmp_path / run, every=2, until=stop)
    whole, broken = (load_file(tmp_path / run / "state.safetensors") for run in ("whole", "broken"))
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
