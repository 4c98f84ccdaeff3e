"""The decoder's training: batches, the direct terms, and exact resumption."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generator.cameras import Cameras
from generator.decoder import DecoderConfig, LyraDecoder
from generator.teachers.teacher import Clip
from lyra_sim import LyraSimError
from training.dataset import SceneArrays, SceneDataset, draw_static, make_batch, read_batch
from training.distill import MINI_STAGES, Training, learning_rate, run_decoder
from training.filmed import PublishedSource
from training.objective import direct_terms, keep_pattern
from training.sdg.layout import reversed_clip, write_scene
from training.stage import LossWeights, Stage, chain_to, load_stage
from training.watch import all_steps, choose, draw_curves

TINY = DecoderConfig(
    embed_dim=32,
    depth=2,
    num_heads=2,
    head_dim=32,
    attention_every=2,
    state_size=8,
    patch_size_out_factor=(1, 4, 4),
    plucker_embedding_vae=False,
    time_embedding=False,
    cache_branch=True,
)
HEIGHT, WIDTH, FRAMES, VIEWS = 32, 48, 9, 2
STAGE = Stage(
    name="tiny",
    size=(HEIGHT, WIDTH),
    steps=4,
    warmup=2,
    views=(1, 2),
    targets=2,
    prune_ratio=0.5,
    random_share=0.2,
    weights=LossWeights(
        mse=1.0, ssim=0.1, depth=0.1, metric_depth=0.1, distance=1.0, colour=1.0, scale=0.1, keep=0.1
    ),
)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Write two small scenes of a camera that moves along x before a slanted wall."""
    rng = np.random.default_rng(0)
    for index in range(2):
        folder = tmp_path / "scenes" / f"{index:05d}"
        folder.mkdir(parents=True)
        shape = (VIEWS, FRAMES, HEIGHT // 4, WIDTH // 4)
        depth = np.broadcast_to(np.linspace(2, 4, shape[3]), shape)
        c2w = np.tile(np.eye(4), (VIEWS, FRAMES, 1, 1))
        c2w[..., 0, 3] = np.linspace(0, 0.3, FRAMES) * np.array([[1], [-1]]) + index
        np.save(folder / "rgb.npy", rng.integers(0, 255, (VIEWS, FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8))
        np.save(folder / "latents.npy", rng.standard_normal((VIEWS, 2, 16, 4, 6)).astype(np.float16))
        np.save(folder / "depth.npy", depth.astype(np.float16))
        np.save(folder / "cache_depth.npy", (depth * 1.1).astype(np.float16))
        np.save(folder / "cache_mask.npy", (rng.random(shape) > 0.2).astype(np.uint8))
        np.save(folder / "c2w.npy", c2w)
        np.save(folder / "intrinsics.npy", np.tile([40.0, 40.0, 24.0, 16.0], (VIEWS, FRAMES, 1)))
        (folder / "scene.json").write_text(json.dumps({"trajectories": ["left", "right"], "cell": 4}))
    return tmp_path / "scenes"


def _train(scenes: Path, run: Path, *, until: int) -> Training:
    run.mkdir(exist_ok=True)
    training = Training(TINY, [STAGE], SceneDataset(scenes), run, seed=3)
    training.resume()
    while training.step < until:
        training.train_step(STAGE)
        training.step += 1
    training.save()
    return training


def test_a_resumed_run_equals_the_uninterrupted_one(scenes: Path, tmp_path: Path) -> None:
    """Show that stopping after two steps and going on gives the same weights, bit for bit, as four steps at once."""
    whole = _train(scenes, tmp_path / "whole", until=4)
    _train(scenes, tmp_path / "parts", until=2)
    parts = _train(scenes, tmp_path / "parts", until=4)
    for name, value in whole.decoder.state_dict().items():
        assert torch.equal(value, parts.decoder.state_dict()[name]), name


def test_training_starts_from_the_caches_geometry(scenes: Path, tmp_path: Path) -> None:
    """Show that before the first step every Gaussian lies near the cache's depth along its own ray."""
    training = Training(TINY, [STAGE], SceneDataset(scenes), tmp_path, seed=0)
    batch = read_batch(training.source.scenes[0], np.array([0, 1]), [(0, 3)])
    with torch.no_grad():
        gaussians = run_decoder(training.decoder, TINY, batch)
    depth_ratio = (gaussians[0, :, 2] / batch.depth.flatten()).median()
    assert depth_ratio == pytest.approx(1.1, abs=0.1)


def test_direct_terms_vanish_for_perfect_gaussians(scenes: Path) -> None:
    """Show that Gaussians on the true surface with the true colours cost nothing."""
    batch = read_batch(scenes / "00000", np.array([1]), [(0, 0)])
    from generator.decoder.rays import pixel_rays

    origins, rays = pixel_rays(batch.c2w[0], batch.intrinsics[0], (HEIGHT, WIDTH), cell=4, unit=False)
    points = (origins + rays * batch.depth[0][:, None]).permute(0, 2, 3, 1).reshape(-1, 3)
    colour = batch.colour[0].permute(0, 2, 3, 1).reshape(-1, 3)
    gaussians = torch.cat([points, torch.ones(len(points), 8) * 0.1, colour], dim=1)[None]
    terms = direct_terms(gaussians, batch, LossWeights(distance=1, colour=1), cell=4)
    assert terms["distance"] < 1e-5
    assert terms["colour"] < 1e-6


def test_the_first_frame_of_any_view_is_the_origin(scenes: Path) -> None:
    """Show that poses are relative to the conditioning camera, whatever the world frame."""
    for scene in ("00000", "00001"):
        batch = read_batch(scenes / scene, np.array([1, 0]), [(1, 2)])
        torch.testing.assert_close(batch.c2w[0, 0], torch.eye(4))
        torch.testing.assert_close(batch.c2w[0, FRAMES], torch.eye(4))
        assert batch.target_c2w[0, 0, 3] == pytest.approx(-0.3 * 2 / 8, abs=1e-5)


def test_the_keep_pattern_keeps_about_a_fifth() -> None:
    """Show that the pattern's opaque cells fit what pruning at 0.8 keeps when a tenth is unseen."""
    mask = torch.ones(17, 44, 80)
    mask[:, :, :8] = 0
    share = (keep_pattern(mask, frames=17) > 0.5).float().mean().item()
    assert share == pytest.approx(0.2, abs=0.03)


def test_the_learning_rate_warms_up_and_decays() -> None:
    """Show the schedule's ends: a fraction of the peak at first, a twentieth of it at last."""
    stage = load_stage(MINI_STAGES[0])
    assert learning_rate(stage, 0) == pytest.approx(stage.learning_rate / stage.warmup)
    assert learning_rate(stage, stage.steps) == pytest.approx(stage.learning_rate / 20)


def test_a_folder_without_scenes_is_said_plainly(tmp_path: Path) -> None:
    """Show that training on nothing names the folder and the commands that fill it."""
    with pytest.raises(LyraSimError, match=r"training\.prepare"):
        SceneDataset(tmp_path)


def test_an_unknown_stage_is_said_plainly() -> None:
    """Show that a stage without a file names the file that was looked for."""
    with pytest.raises(LyraSimError, match="training/stages/mini_9"):
        load_stage("mini_9")


def test_the_published_stages_follow_one_another() -> None:
    """Show the table of the nine stages: cumulative steps, sizes, views, and that 7 and 8 both go on from 6."""
    chains = {number: [stage.name for stage in chain_to(number)] for number in (6, 7, 9)}
    assert chains[6] == [f"lyra_{i}" for i in range(1, 7)]
    assert chains[7] == [*chains[6], "lyra_7"]
    assert chains[9] == [*chains[6], "lyra_8", "lyra_9"]
    cumulative = np.cumsum([stage.steps for stage in chain_to(7)]).tolist()
    assert cumulative == [10_000, 12_500, 15_000, 17_500, 75_000, 82_000, 83_000]
    assert sum(stage.steps for stage in chain_to(9)) == 91_000
    stages = [load_stage(f"lyra_{i}") for i in range(1, 10)]
    assert [s.size[0] for s in stages] == [176, 176, 352, 704, 704, 704, 704, 704, 704]
    assert [s.frames for s in stages] == [17, 49, 49, 49, 121, 121, 121, 121, 121]
    assert [s.targets for s in stages] == [17, 49, 49, 49, 9, 9, 9, 12, 12]
    assert [s.samples for s in stages] == [4, 4, 2, 1, 1, 1, 1, 1, 1]
    assert [s.views for s in stages] == [(1, 1)] * 5 + [(1, 6)] * 4
    assert [s.prune_ratio for s in stages] == [0, 0, 0, 0, 0, 0, 0.8, 0, 0.8]
    assert [s.weights.opacity for s in stages] == [0, 0, 0, 0, 0, 0, 0.1, 0, 0.1]
    with pytest.raises(LyraSimError, match="1 to 9"):
        chain_to(10)


def test_a_stage_can_go_on_from_an_earlier_one_than_the_last(scenes: Path, tmp_path: Path) -> None:
    """Show that a branch starts from the end of the stage that it names: its weights then, not the last ones."""
    first = replace(STAGE, name="first", steps=1)
    second, branch = (replace(first, name=name, steps=0, after="first") for name in ("second", "branch"))
    training = Training(
        TINY, [first, replace(second, steps=1), branch], SceneDataset(scenes), tmp_path, seed=1
    )
    training.run_all()
    end = torch.load(tmp_path / "end_first.pt", weights_only=True)["decoder"]
    later = torch.load(tmp_path / "end_second.pt", weights_only=True)["decoder"]
    now = training.decoder.state_dict()
    assert all(torch.equal(now[name], value) for name, value in end.items())
    assert not all(torch.equal(now[name], value) for name, value in later.items())


def test_published_data_gives_the_same_batch_as_prepared_scenes(scenes: Path, tmp_path: Path) -> None:
    """Show that the layout's reader gives latents, poses and depth of what was written, forwards and backwards."""
    scene = SceneArrays.of(scenes / "00000")
    clips = {}
    for view in range(VIEWS):
        cameras = Cameras(np.array(scene.c2w[view]), np.array(scene.intrinsics[view]), HEIGHT, WIDTH)
        depth = np.kron(np.float32(scene.depth[view]), np.ones((1, 4, 4), np.float32))
        latents = np.float32(scene.latents[view]).swapaxes(0, 1)
        clip = Clip(f"path {view}", cameras, np.array(scene.rgb[view]), depth, latents=latents)
        # View 0 of the layout moves to the left, which is the fixture's second path.
        clips |= {1 - view: clip, 7 - view: replace(reversed_clip(clip), latents=latents)}
    write_scene(tmp_path, "a", clips, lambda rgb: np.zeros(0))
    stage = replace(STAGE, size=(HEIGHT, WIDTH), frames=FRAMES, views=(2, 2), same_targets=True, targets=3)
    source = PublishedSource(tmp_path, None, TINY)  # type: ignore[arg-type]
    batch = source.draw(stage, 0, 0)
    prepared = draw_static(scene, stage, np.random.default_rng(0))
    order = [int(batch.latents[0, 0, 0, 0, 0] != np.float32(scene.latents[0, 0, 0, 0, 0]))]
    expected = make_batch(scene, np.array([order[0], 1 - order[0]]), [(0, 0)])
    torch.testing.assert_close(batch.latents, expected.latents)
    torch.testing.assert_close(batch.c2w, expected.c2w, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(batch.depth, expected.depth, rtol=2e-3, atol=0)
    assert batch.target_rgb.shape == prepared.target_rgb.shape == (6, HEIGHT, WIDTH, 3)
    moving = source.draw(replace(stage, dynamic=True, targets=4), 0, 1)
    assert moving.target_rgb.shape[0] == 4
    assert 0 <= (moving.target_time or -1) < FRAMES
    with pytest.raises(LyraSimError, match="wants 17"):
        source.draw(replace(stage, frames=17), 0, 0)


def test_a_dynamic_decoder_trains_on_one_target_time(scenes: Path, tmp_path: Path) -> None:
    """Show that the time of the frames to render reaches the network: other times, other Gaussians."""
    config = replace(
        TINY, use_time_embedding=True, time_embedding=True, time_embedding_vae=False, cache_branch=False
    )
    batch = read_batch(scenes / "00000", np.array([0, 1]), [(0, 3)])
    decoder = LyraDecoder(config)
    with torch.no_grad():
        decoder.patch_time_embed_tgt.proj.weight.normal_()
        early, late = (run_decoder(decoder, config, replace(batch, target_time=time)) for time in (0.0, 8.0))
    assert not torch.allclose(early, late)


def test_cache_errors_touch_the_cache_alone(scenes: Path) -> None:
    """Show that a stage with cache errors changes depth and mask of the cache by some per cent, and nothing else."""
    np.save(scenes / "00000" / "conditioning_depth.npy", np.full((HEIGHT, WIDTH), 3.0, np.float32))
    scene = SceneArrays.of(scenes / "00000")
    exact = draw_static(scene, replace(STAGE, views=(2, 2)), np.random.default_rng(5))
    wrong = draw_static(scene, replace(STAGE, views=(2, 2), cache_errors=True), np.random.default_rng(5))
    assert torch.equal(exact.latents, wrong.latents)
    assert torch.equal(exact.depth, wrong.depth)
    error = (wrong.cache_depth / 3.0).log().abs()
    assert 0.001 < error.mean() < 0.2


def test_cache_errors_need_the_conditioning_depth(scenes: Path) -> None:
    """Show that scenes without that depth are refused with the command that keeps it."""
    scene = SceneArrays.of(scenes / "00000")
    with pytest.raises(LyraSimError, match=r"training\.scenes"):
        draw_static(scene, replace(STAGE, cache_errors=True), np.random.default_rng(5))


def test_a_window_is_what_a_smaller_camera_sees(scenes: Path) -> None:
    """Show that a window cuts every map alike: rays through its pixels are rays of the whole frame's pixels."""
    from generator.decoder.rays import pixel_rays

    scene = SceneArrays.of(scenes / "00000")
    part = scene.window((16, 32), np.random.default_rng(2))
    top, left = -(part.intrinsics - scene.intrinsics)[0, 0, [3, 2]].astype(int)
    assert part.rgb.shape[2:4] == (16, 32)
    assert part.latents.shape[-2:] == (2, 4)
    assert np.array_equal(part.rgb[1, 4], scene.rgb[1, 4, top : top + 16, left : left + 32])
    rows, columns = (slice(a // 4, a // 4 + n) for a, n in ((top, 4), (left, 8)))
    assert np.array_equal(part.depth[1, 4], scene.depth[1, 4, rows, columns])
    whole, cut = (make_batch(s, np.array([0, 1]), [(0, 3)]) for s in (scene, part))
    rays = pixel_rays(whole.c2w[0], whole.intrinsics[0], (HEIGHT, WIDTH), cell=4, unit=True)[1]
    mine = pixel_rays(cut.c2w[0], cut.intrinsics[0], (16, 32), cell=4, unit=True)[1]
    torch.testing.assert_close(mine, rays[..., rows, columns])


def test_a_step_can_see_a_window_alone(scenes: Path) -> None:
    """Show that a stage with a window gives batches of its size, and the same one for the same step."""
    stage = replace(STAGE, window=(16, 32))
    one, other = (
        draw_static(SceneArrays.of(scenes / "00000"), stage, np.random.default_rng(4)) for _ in "ab"
    )
    assert one.target_rgb.shape[1:3] == (16, 32)
    assert torch.equal(one.latents, other.latents)


def test_the_run_folder_shows_what_it_learns_and_training_does_not_notice(
    scenes: Path, tmp_path: Path
) -> None:
    """Show that sample pictures and curves appear at a stage's end, and weights are those of a run without them."""
    ends = []
    for name in ("watched", "plain"):
        (tmp_path / name).mkdir()
        source = SceneDataset(scenes)
        watched = choose(source, STAGE, seed=3, held_out=scenes / "00001") if name == "watched" else []
        training = Training(TINY, [STAGE], source, tmp_path / name, seed=3, watched=watched)
        training.run_all()
        ends.append(training.decoder.state_dict())
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name
    with Image.open(tmp_path / "watched" / "samples" / "000004.png") as sheet:
        assert sheet.width == 3 * WIDTH
        assert sheet.height > 4 * HEIGHT
    assert not (tmp_path / "plain" / "samples").exists()


def test_curves_go_on_from_stage_to_stage(tmp_path: Path) -> None:
    """Show that the picture of the curves counts steps over all stages and has a panel per term."""
    lines = [{"stage": "one", "step": 25, "s_per_step": 1.0, "loss": 0.5, "colour": 0.2}]
    lines += [{"stage": "two", "step": step, "s_per_step": 1.0, "loss": 0.2, "mse": 0.1} for step in (25, 50)]
    (tmp_path / "log.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert all_steps(lines) == ([25, 50, 75], {"one": 0, "two": 25})
    draw_curves(tmp_path)
    with Image.open(tmp_path / "curve.png") as picture:
        assert np.asarray(picture).std() > 5
