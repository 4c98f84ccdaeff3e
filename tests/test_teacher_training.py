"""The mini GEN3C's training: its start, its examples, exact resumption, and what is shipped of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generator.cameras import Cameras
from generator.teachers.gen3c.load import load_denoiser
from generator.teachers.gen3c.transformer import provide_mask_resize
from generator.tokenizer import CosmosTokenizer
from lyra_sim import LyraSimError
from training.depth_noise import disturb_depth
from training.picture_freeze import freeze
from training.prepare_teacher import SourceClip, encode_example, open_share, varied, warp_clip
from training.teacher import MINI, ClipLatents, TeacherTraining, Training, denoised_error, draw_noise_level

SIXTEEN = {**MINI, "in_channels": 49, "out_channels": 16}
TINY: dict[str, Any] = {
    **SIXTEEN,
    "attention_head_dim": 16,
    "num_layers": 1,
    "mlp_ratio": 1.0,
    "adaln_lora_dim": 4,
    "max_size": [4, 16, 16],
}
OPTIONS = TeacherTraining(steps=12, warmup=1, learning_rate=2e-3, drop=0.2, high_noise=0.8, seed=3)
ROWS, COLUMNS = 4, 6


@pytest.fixture(scope="module")
def tokenizer() -> CosmosTokenizer:
    """Return an untrained tokenizer whose latents are not normalised."""
    torch.manual_seed(0)
    settings = {"encoder_block_out_channels": [8, 8], "decode_block_out_channels": [8, 8], "num_layers": 1}
    statistics = {"latents_mean": [0.0] * 16, "latents_std": [1.0] * 16}
    return CosmosTokenizer({**settings, **statistics, "patch_size": 8}).eval()


@pytest.fixture
def clips(tmp_path: Path, tokenizer: CosmosTokenizer) -> ClipLatents:
    """Write two prepared clips whose warp shows the right latents in the left half and nothing in the right."""
    rng = np.random.default_rng(0)
    for index in range(2):
        target = rng.standard_normal((16, 1, 1, 1)) + np.zeros((16, 2, ROWS, COLUMNS))
        shown = np.arange(COLUMNS) < COLUMNS // 2
        share = np.broadcast_to(~shown, (1, 2, ROWS, COLUMNS))
        mask = np.where(shown, 1.0, -1.0) + np.zeros_like(target)
        array = np.concatenate([target, np.where(shown, target, -1.0), mask, share])
        np.save(tmp_path / f"{index:05d}_0_exact.npy", array.astype(np.float16))
    return ClipLatents(tmp_path, tokenizer)


def _training(clips: ClipLatents, options: TeacherTraining = OPTIONS) -> Training:
    return Training(TINY, options, clips, torch.ones(16, 1, 1, 1))


def test_the_first_answer_is_the_warp(clips: ClipLatents) -> None:
    """Show that an untrained denoiser at high noise returns the latents of the warp, where it shows something."""
    training = Training(SIXTEEN, OPTIONS, clips, torch.ones(16, 1, 1, 1))
    example = clips.draw(TeacherTraining(drop=0.0), 0)
    with torch.no_grad():
        error = denoised_error(
            training.network, example, torch.full((1, 1, 1, 1, 1), 80.0), torch.Generator().manual_seed(0)
        )
    seen = (example.open_share == 0).expand_as(error)
    seen = seen & (torch.arange(2)[:, None, None] > 0)
    assert error[seen].square().mean() < 0.05 * example.target[seen].square().mean()


def test_training_fills_what_the_warp_leaves_open(clips: ClipLatents) -> None:
    """Show that a few steps at least halve the error in the open half of clips of one colour."""
    training = _training(
        clips, TeacherTraining(steps=60, warmup=5, learning_rate=5e-3, drop=0.0, high_noise=1.0)
    )
    before = np.mean([training.train_step()["open_error"] for _ in range(4)])
    for _ in range(40):
        training.train_step()
    after = np.mean([training.train_step()["open_error"] for _ in range(4)])
    assert after < 0.5 * before


def test_a_resumed_run_equals_the_uninterrupted_one(clips: ClipLatents, tmp_path: Path) -> None:
    """Show that stopping after two steps and going on gives the same weights, bit for bit, as four steps at once."""
    whole = _training(clips)
    for _ in range(4):
        whole.train_step()
    first = _training(clips)
    for _ in range(2):
        first.train_step()
    first.save(tmp_path)
    second = _training(clips)
    second.resume(tmp_path)
    for _ in range(2):
        second.train_step()
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
        assert torch.equal(whole.average[name], second.average[name]), name


def test_without_text_cross_attention_adds_nothing(clips: ClipLatents) -> None:
    """Show that the answer is the same for the zero embedding of any length, which lets training use one token."""
    training = _training(clips)
    provide_mask_resize()
    hidden = torch.randn(1, 49, 2, ROWS, COLUMNS, generator=torch.Generator().manual_seed(0))
    padding = torch.zeros(1, 1, ROWS, COLUMNS)
    with torch.no_grad():
        short, long = (
            training.network(
                hidden, torch.tensor([0.3]), torch.zeros(1, n, 16), fps=24, padding_mask=padding
            ).sample
            for n in (1, 512)
        )
    assert torch.equal(short, long)


def test_noise_levels_keep_to_their_range() -> None:
    """Show that the noise is mostly high and never beyond the sampler's range."""
    sigma = draw_noise_level(OPTIONS, torch.Generator().manual_seed(0), 4000)
    assert float(sigma.min()) >= 0.02
    assert float(sigma.max()) <= 80
    assert 0.78 < float((sigma >= 3).float().mean()) < 0.9


def test_a_frozen_run_loads_as_a_denoiser(clips: ClipLatents, tmp_path: Path) -> None:
    """Show that the running average is what ships, under a card that the pipeline reads."""
    training = _training(clips)
    training.train_step()
    (tmp_path / "run.json").write_text(
        json.dumps({"options": {}, "configuration": TINY, "clips": {"exact": 2}, "start": {}})
    )
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n')
    training.save(tmp_path)
    card = freeze("teacher", tmp_path, tmp_path, sampling={"steps": 3, "guidance": 0.0})
    network, _ = load_denoiser(tmp_path / "teacher.json")
    assert card["sampling"] == {"steps": 3, "guidance": 0.0}
    for name, value in network.state_dict().items():
        assert torch.allclose(value, training.average[name], atol=1e-3, rtol=1e-3), name


def test_a_folder_without_clips_is_named(tmp_path: Path, tokenizer: CosmosTokenizer) -> None:
    """Show that an empty folder fails with the command that fills it."""
    with pytest.raises(LyraSimError, match="prepare_teacher"):
        ClipLatents(tmp_path, tokenizer)


def _clip() -> SourceClip:
    rng = np.random.default_rng(1)
    c2w = np.tile(np.eye(4), (9, 1, 1))
    c2w[:, 0, 3] = np.linspace(0, 0.5, 9)
    cameras = Cameras(c2w, np.tile([40.0, 40.0, 22.0, 16.0], (9, 1)), 32, 48)
    rgb = np.tile(rng.integers(0, 255, (1, 32, 48, 3), dtype=np.uint8), (9, 1, 1, 1))
    return SourceClip(rgb, np.full((32, 48), 2.0, np.float32), cameras)


def test_a_mirrored_clip_warps_to_the_mirrored_picture() -> None:
    """Show that mirroring the picture, the lens and the path together mirrors what the cache shows."""
    clip = _clip()
    rng = np.random.default_rng(0)
    other = varied(clip, rng)
    order = np.random.default_rng(0).permutation(3)
    plain = SourceClip(other.rgb, clip.depth, other.cameras)
    pixels, mask = warp_clip(clip)
    mirrored, mirrored_mask = warp_clip(plain)
    assert torch.equal(mirrored_mask.flip(-1), mask)
    assert torch.allclose(mirrored.flip(-1), pixels[:, torch.from_numpy(order)], atol=2e-3)


def test_an_example_says_what_is_open(tokenizer: CosmosTokenizer) -> None:
    """Show that the stored shares are those of the mask, and that latents of all three videos are there."""
    clip = _clip()
    array = encode_example(tokenizer, clip)
    _, mask = warp_clip(clip)
    assert array.shape == (49, 2, 4, 6)
    assert array[48, 0].max() <= open_share(mask, time_step=8, cell=8)[0, 0].max()
    assert array[48, 1].mean() == pytest.approx(float(1 - mask[1:].mean()), abs=1e-5)
    assert float(array[48, 1].mean()) > 0.02


def test_disturbed_depth_stays_near_and_positive() -> None:
    """Show that disturbed depth is another map of the same scale: it differs, is positive, and 10% off at most
    for most pixels."""
    y = np.linspace(2, 6, 64)[:, None] + np.zeros((64, 96))
    other = disturb_depth(y.astype(np.float32), np.random.default_rng(2))
    ratio = other / y
    assert (other > 0).all()
    assert not np.allclose(ratio, 1, atol=1e-3)
    assert np.median(np.abs(ratio - 1)) < 0.1
