"""The mini depth estimator: its parts, its examples, its training and its use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from generator.depth.mini import MiniDepth, default_intrinsics, load_card_network
from generator.depth.network import DepthConfig, DepthNetwork, pixel_rays
from lyra_sim import LyraSimError
from training.depth import DepthTraining, Training, depth_loss
from training.depth_images import DepthBatch, DepthImages
from training.picture_freeze import freeze

TINY = DepthConfig(height=32, width=48, channels=(8, 16, 24), layers=1, heads=2)
OPTIONS = DepthTraining(steps=30, batch=2, warmup=2, learning_rate=2e-3)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Write two scenes of a floor: depth falls from the horizon down, brighter where it is near."""
    for index in range(2):
        folder = tmp_path / "scenes" / f"{index:05d}"
        folder.mkdir(parents=True)
        depth = np.linspace(6 + index, 1.5, 32, dtype=np.float32)[:, None] + np.zeros((32, 48), np.float32)
        rgb = np.broadcast_to((255 / depth)[..., None], (1, 3, 32, 48, 3)).astype(np.uint8)
        np.save(folder / "rgb.npy", rgb)
        np.save(folder / "conditioning_depth.npy", depth)
        np.save(folder / "depth.npy", np.tile(depth[1::4, 1::4].astype(np.float16), (1, 3, 1, 1)))
        np.save(folder / "intrinsics.npy", np.tile([40.0, 40.0, 24.0, 16.0], (1, 3, 1)))
        (folder / "scene.json").write_text("{}")
    return tmp_path / "scenes"


def test_rays_follow_the_lens() -> None:
    """Show that a ray times its depth projects back to its pixel's centre."""
    lens = torch.tensor([[40.0, 42.0, 23.0, 15.0]])
    rays = pixel_rays(lens, height=32, width=48)[0]
    x, y = rays[0] * 40 + 23, rays[1] * 42 + 15
    assert torch.allclose(x[5], torch.arange(48) + 0.5, atol=1e-4)
    assert torch.allclose(y[:, 7], torch.arange(32) + 0.5, atol=1e-4)


def test_upsampling_is_convex() -> None:
    """Show that each upsampled depth lies within the coarse depths, so upsampling invents no farther or nearer ones."""
    torch.manual_seed(0)
    network = DepthNetwork(TINY)
    coarse: list[torch.Tensor] = []
    network.depth.register_forward_hook(lambda _, __, output: coarse.append(output))
    rays = pixel_rays(torch.tensor([[40.0, 40.0, 24.0, 16.0]]), height=32, width=48)
    log_depth, validity = network(torch.randn(1, 3, 32, 48), rays)
    values = coarse[0][:, :1] + 1.4
    assert log_depth.shape == validity.shape == (1, 1, 32, 48)
    assert float(log_depth.detach().max()) <= float(values.detach().max()) + 1e-5
    assert float(log_depth.detach().min()) >= float(values.detach().min()) - 1e-5


def test_examples_keep_picture_and_depth_together(scenes: Path) -> None:
    """Show that crops and mirrors move colours and depth alike: unpainted, brightness tells the depth everywhere."""
    images = DepthImages(scenes, TINY)
    images.textures = []
    batch = images.batch(0, 0, count=8, vary=False)
    shown = (batch.rgb.mean(dim=1, keepdim=True) + 1) / 2 * 255
    expected = (255 / batch.depth.clamp(min=0.1)).floor()
    assert (shown - expected)[batch.known].abs().max() < 12
    varied = images.batch(0, 1, count=8)
    assert not torch.equal(varied.rays[0], batch.rays[0])
    assert torch.equal(images.batch(0, 1, count=8).rgb, varied.rgb)


def test_the_loss_knows_scale_from_shape() -> None:
    """Show that a wrong scale costs its logarithm and nothing else, and that unknown pixels cost nothing."""
    truth = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)) + 1
    known = torch.ones_like(truth, dtype=torch.bool)
    known[..., :4] = False
    batch = DepthBatch(truth, truth, truth, known)
    guess = (1.5 * truth).log()
    guess[..., :4] = 50.0
    _, terms = depth_loss(guess, torch.full_like(truth, 30.0), batch, OPTIONS)
    assert terms["absolute"] == pytest.approx(np.log(1.5), rel=1e-4)
    assert terms["spread"] < 2e-3
    assert terms["edges"] < 1e-5
    assert terms["validity"] < 1e-5


def test_training_learns_a_floor_and_resumes_exactly(scenes: Path, tmp_path: Path) -> None:
    """Show that thirty steps lower the loss, and that a stopped run goes on to the same weights, bit for bit;
    a run that is given them starts from them."""
    images = DepthImages(scenes, TINY)
    images.textures = []
    whole = Training(TINY, OPTIONS, images)
    losses = [whole.train_step()["loss"] for _ in range(30)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    part = Training(TINY, OPTIONS, images)
    for _ in range(28):
        part.train_step()
    part.save(tmp_path)
    rest = Training(TINY, OPTIONS, images)
    rest.resume(tmp_path)
    for _ in range(2):
        rest.train_step()
    for name, value in whole.average.items():
        assert torch.equal(value, rest.average[name]), name
    further = Training(TINY, OPTIONS, images, start=whole.average)
    for name, value in further.network.state_dict().items():
        assert torch.equal(value, whole.average[name]), name


def test_a_frozen_run_estimates_any_picture(scenes: Path, tmp_path: Path) -> None:
    """Show that shipped weights give positive depth at the size of the picture, and keep a lens that is known."""
    images = DepthImages(scenes, TINY)
    training = Training(TINY, OPTIONS, images)
    training.train_step()
    facts = {"options": {}, "configuration": TINY.to_dict(), "scenes": 2, "start": {}}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n')
    training.save(tmp_path)
    freeze("depth", tmp_path, tmp_path)
    estimator = load_card_network(tmp_path / "depth.json")
    assert isinstance(estimator, MiniDepth)
    picture = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    unknown = estimator.estimate(picture)
    assert unknown.depth.shape == unknown.valid.shape == (50, 70)
    assert (unknown.depth > 0).all()
    assert unknown.intrinsics == pytest.approx(default_intrinsics(50, 70))
    lens = np.array([90.0, 90.0, 35.0, 25.0])
    known = estimator.estimate(picture, intrinsics=lens)
    assert known.intrinsics == pytest.approx(lens)
    assert not np.array_equal(known.depth, unknown.depth)


def test_a_folder_without_scenes_is_named(tmp_path: Path) -> None:
    """Show that an empty folder fails with the command that fills it."""
    with pytest.raises(LyraSimError, match=r"training\.scenes"):
        DepthImages(tmp_path, TINY)
