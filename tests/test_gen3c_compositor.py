"""The network that merges a sampled video with what the cache shows, and its training."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from generator.cache import Cache3D, CacheViews
from generator.teachers.gen3c.composite import composite
from generator.teachers.gen3c.compositor import Compositor, CompositorConfig, Layers, load_compositor
from lyra_sim.errors import LyraSimError
from training.compositor import CompositorTraining, MergedClips, Training
from training.picture_freeze import freeze

HEIGHT, WIDTH, FRAMES = 32, 48, 3
TINY = CompositorConfig(height=HEIGHT, width=WIDTH, channels=(8, 8, 8), blocks=(1, 1, 1), heads=2)
OPTIONS = CompositorTraining(steps=60, learning_rate=5e-3, warmup=2, ema=0.9)


def _views() -> tuple[np.ndarray, CacheViews, CacheViews]:
    """Return a picture with a box before a wall, and what its cache shows from beside it, as guidance and whole."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    depth = torch.full((HEIGHT, WIDTH), 4.0)
    depth[8:24, 16:30] = 2.0
    w2c = torch.eye(4).repeat(FRAMES, 1, 1)
    w2c[:, 0, 3] = -torch.arange(FRAMES) * 0.3
    lens = torch.tensor([40.0, 40.0, WIDTH / 2, HEIGHT / 2]).expand(FRAMES, 4)
    image = torch.from_numpy(picture).permute(2, 0, 1).float() / 127.5 - 1
    cache = Cache3D(image, depth, w2c[0], lens[0])
    return picture, cache.render(w2c, lens), cache.render(w2c, lens, cautious=False)


def _layers(count: int = FRAMES, *, seed: int = 0) -> Layers:
    generator = torch.Generator().manual_seed(seed)

    def colours(n: int) -> torch.Tensor:
        return torch.rand(n, 3, HEIGHT, WIDTH, generator=generator)

    seen = (torch.rand(count, 1, HEIGHT, WIDTH, generator=generator) < 0.8).float()
    guided = seen * (torch.rand(seen.shape, generator=generator) < 0.8).float()
    return Layers(
        colours(count), colours(count), guided, seen, torch.randn(seen.shape, generator=generator), colours(1)
    )


def _network(*, trained: bool, spread: float = 0.2) -> Compositor:
    torch.manual_seed(1)
    network = Compositor(TINY).eval()
    if trained:
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=spread)
    return network


def test_an_untrained_network_leaves_the_filled_frames() -> None:
    """Show that training starts from the cache with filled holes: the first answer is no correction."""
    layers = _layers()
    assert torch.equal(_network(trained=False).merge(layers), layers.filled)


def test_what_the_denoiser_was_shown_stays() -> None:
    """Show that no weights whatever change a pixel of the guidance, and that the others do change."""
    layers = _layers()
    merged = _network(trained=True).merge(layers)
    kept = layers.guided.bool().expand_as(merged)
    assert torch.equal(merged[kept], layers.filled[kept])
    assert float((merged - layers.filled)[~kept].abs().mean()) > 0.01


def test_frames_are_merged_one_by_one() -> None:
    """Show that a frame's answer depends on no other frame, however many are given."""
    layers = _layers(9)
    network = _network(trained=True)
    together = network.merge(layers)
    names = ("filled", "sampled", "guided", "seen", "log_depth")
    last = replace(layers, **{name: getattr(layers, name)[8:] for name in names})
    torch.testing.assert_close(network.merge(last)[0], together[8])


def test_frames_of_another_size_are_corrected_at_the_networks_own() -> None:
    """Show that plain frames of twice the size get the correction of the small ones, spread over their pixels."""
    ones = torch.ones(1, 1, HEIGHT, WIDTH)
    grey = (0.5 * ones).expand(1, 3, -1, -1)
    small = Layers(grey, 0.8 * grey, 0 * ones, ones, 0 * ones, 1.2 * grey)
    large = Layers(**{f.name: F.interpolate(getattr(small, f.name), scale_factor=2) for f in fields(Layers)})
    network = _network(trained=True, spread=0.1)
    expected = F.avg_pool2d(network.merge(small) - grey, 4)
    pooled = F.avg_pool2d(network.merge(large) - 0.5, 8)
    assert float(expected.std()) > 0.01
    assert np.corrcoef(pooled.flatten(), expected.flatten())[0, 1] > 0.95


def test_composite_hands_over_what_the_cache_shows() -> None:
    """Show that an untrained network gives the cache, filled, and that any weights leave the guidance."""
    picture, guidance, shown = _views()
    frames = np.full((FRAMES, HEIGHT, WIDTH, 3), 128, np.uint8)
    frames[0] = picture
    filled = (shown.filled()[0] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(composite(frames, guidance, shown, _network(trained=False)), filled)
    merged = composite(frames, guidance, shown, _network(trained=True))
    covered = guidance.mask[:, 0].numpy()
    assert np.array_equal(merged[covered], filled[covered])
    assert not np.array_equal(merged, filled)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> MergedClips:
    """Return clips whose truth is what was sampled, so that there is something to learn."""
    folder = tmp_path_factory.mktemp("clips")
    for clip in range(2):
        layers = _layers(seed=clip)

        def images(colours: torch.Tensor) -> np.ndarray:
            return (colours * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()

        sampled = images(layers.sampled)
        np.savez(
            folder / f"0000{clip}_0.npz",
            picture=images(layers.picture)[0],
            truth=sampled,
            shown=images(layers.filled),
            sampled=sampled,
            seen=layers.seen[:, 0].bool().numpy(),
            guided=layers.guided[:, 0].bool().numpy(),
            log_depth=layers.log_depth[:, 0].half().numpy(),
        )
    return MergedClips(folder)


def test_examples_keep_colours_masks_and_depth_together(clips: MergedClips) -> None:
    """Show that mirrors and permuted channels hit all layers of a frame alike, and that a step means one example."""
    for step in range(8):
        example = clips.draw(replace(OPTIONS, batch=1), step)
        layers = example.layers
        assert torch.equal(layers.sampled, example.truth)
        shown = layers.seen.bool().expand_as(layers.filled)
        rows = [np.load(path) for path in clips.files]
        found = [
            (clip, frame)
            for clip, arrays in enumerate(rows)
            for frame in range(FRAMES)
            for flip in (slice(None), slice(None, None, -1))
            if np.array_equal(arrays["guided"][frame][:, flip], layers.guided[0, 0].numpy() > 0)
            and np.array_equal(arrays["seen"][frame][:, flip], layers.seen[0, 0].numpy() > 0)
            and np.array_equal(
                np.sort(arrays["shown"][frame][:, flip], axis=-1)[arrays["seen"][frame][:, flip]],
                np.sort((layers.filled * 255).round().permute(0, 2, 3, 1)[0].numpy(), axis=-1)[
                    shown[0, 0].numpy()
                ].astype(np.uint8),
            )
        ]
        assert len(found) == 1
        assert torch.equal(clips.draw(replace(OPTIONS, batch=1), step).truth, example.truth)


def test_training_learns_to_take_what_was_sampled_and_resumes_exactly(
    clips: MergedClips, tmp_path: Path
) -> None:
    """Show that steps lower the error below that of the filled frames, and that a stopped run goes on bit for bit."""
    whole = Training(TINY, OPTIONS, clips)
    terms = [whole.train_step() for _ in range(40)]
    before, after = (np.mean([t["loss"] / t["unchanged"] for t in part]) for part in (terms[:3], terms[-10:]))
    assert after < 0.8 * before
    part = Training(TINY, OPTIONS, clips)
    for _ in range(38):
        part.train_step()
    part.save(tmp_path)
    rest = Training(TINY, OPTIONS, clips)
    rest.resume(tmp_path)
    for _ in range(2):
        rest.train_step()
    for name, value in whole.average.items():
        assert torch.equal(value, rest.average[name]), name


def test_a_frozen_run_loads_and_a_damaged_one_is_refused(clips: MergedClips, tmp_path: Path) -> None:
    """Show that the running average ships under a card that rebuilds the network, and that another kind is refused."""
    training = Training(TINY, OPTIONS, clips)
    training.train_step()
    facts = {"options": {}, "configuration": TINY.to_dict(), "clips": 2, "denoiser_sha256": "0", "start": {}}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n')
    training.save(tmp_path)
    freeze("compositor", tmp_path, tmp_path)
    network, card = load_compositor(tmp_path / "compositor.json")
    assert network.config == TINY
    assert card["training"]["denoiser_sha256"] == "0"
    for name, value in network.state_dict().items():
        assert torch.allclose(value, training.average[name], atol=1e-3, rtol=1e-3), name
    (tmp_path / "compositor.json").write_text(
        (tmp_path / "compositor.json").read_text().replace('"gen3c-compositor"', '"decoder"')
    )
    with pytest.raises(LyraSimError, match="expected a gen3c-compositor"):
        load_compositor(tmp_path / "compositor.json")


def test_a_folder_without_clips_names_what_fills_it(tmp_path: Path) -> None:
    """Show that an empty folder fails with the command that fills it."""
    with pytest.raises(LyraSimError, match="prepare_compositor"):
        MergedClips(tmp_path)
