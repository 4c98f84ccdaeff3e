"""The GEN3C teacher on tiny random networks: its clips, its seeds, its progress and its resumption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import CosmosTransformer3DModel
from torch import nn

from generator.depth import DepthEstimate
from generator.teachers.conditioning import Picture
from generator.teachers.gen3c.pipeline import Gen3CPipeline
from generator.teachers.gen3c.sampler import make_scheduler
from generator.teachers.gen3c.teacher import Gen3CTeacher
from generator.teachers.teacher import TeacherVideo
from generator.teachers.warp import open_cache
from generator.tokenizer import CosmosTokenizer
from generator.trajectories import SDG_TRAJECTORIES
from lyra_sim.errors import LyraSimError
from training.teacher import MINI

HEIGHT, WIDTH, FRAMES = 32, 48, 9
TINY = {
    **MINI,
    "in_channels": 49,
    "out_channels": 16,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 1,
    "max_size": [4, 16, 16],
}


@pytest.fixture(scope="module")
def pipeline() -> Gen3CPipeline:
    """Return a tiny pipeline with random weights."""
    torch.manual_seed(0)
    transformer = CosmosTransformer3DModel(**TINY).eval()
    for parameter in transformer.parameters():
        nn.init.normal_(parameter, std=0.1)
    settings = {"encoder_block_out_channels": [8, 8], "decode_block_out_channels": [8, 8], "num_layers": 1}
    statistics = {"latents_mean": [0.1] * 16, "latents_std": [2.0] * 16, "patch_size": 8}
    tokenizer = CosmosTokenizer({**settings, **statistics}).eval()
    made = Gen3CPipeline(transformer, tokenizer.network, make_scheduler())
    made.set_progress_bar_config(disable=True)
    return made


def _teacher(pipeline: Gen3CPipeline, jobs: Path, **options: Any) -> Gen3CTeacher:
    settings: dict[str, Any] = {"trajectories": SDG_TRAJECTORIES[:2], "steps": 2, "guidance": 0.0} | options
    return Gen3CTeacher(
        pipeline=pipeline,
        cards={"denoiser": {"sha256": "0"}},
        height=HEIGHT,
        width=WIDTH,
        frames=FRAMES,
        jobs=jobs,
        **settings,
    )


def _latents(video: TeacherVideo, clip: int) -> np.ndarray:
    latents = video.clips[clip].latents
    assert latents is not None
    return latents


def _picture() -> Picture:
    shade = np.linspace(40, 200, WIDTH)[None, :, None] * np.array([1.0, 0.8, 0.6])
    rgb = np.broadcast_to(shade, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    depth = np.full((HEIGHT, WIDTH), 4.0, np.float32)
    depth[:, 20:30] = 2.0
    return Picture(rgb, depth, np.array([40.0, 40.0, WIDTH / 2, HEIGHT / 2]))


@pytest.fixture(scope="module")
def video(pipeline: Gen3CPipeline, tmp_path_factory: pytest.TempPathFactory) -> TeacherVideo:
    """Return what the teacher makes of a picture."""
    return _teacher(pipeline, tmp_path_factory.mktemp("jobs")).imagine(_picture(), seed=5)


def test_clips_start_from_the_picture_and_bring_its_latents(
    video: TeacherVideo, pipeline: Gen3CPipeline
) -> None:
    """Show that frame 0 is the picture with its depth, and that the latents are raw: decoded they are the frames."""
    picture = _picture()
    assert [clip.name for clip in video.clips] == ["left", "right"]
    tokenizer = CosmosTokenizer.around(pipeline.vae)
    for clip in video.clips:
        assert np.array_equal(clip.rgb[0], picture.rgb)
        assert np.array_equal(clip.depth[0], picture.require_depth())
        assert np.allclose(clip.cameras.c2w[0], np.eye(4))
        assert (clip.depth[1:] == 0).any()
        assert clip.latents is not None
        assert clip.latents.shape == (16, 2, HEIGHT // 8, WIDTH // 8)
        with torch.no_grad():
            frames = tokenizer.decode(torch.from_numpy(clip.latents)[None])[0].permute(1, 2, 3, 0)
        expected = ((frames.clamp(-1, 1) + 1) * 127.5).round().numpy()
        assert np.abs(expected[1:] - clip.rgb[1:]).max() <= 1


def test_the_first_latent_frame_is_that_of_the_picture(video: TeacherVideo, pipeline: Gen3CPipeline) -> None:
    """Show that sampling holds latent frame 0 to the encoded picture."""
    image = torch.from_numpy(_picture().rgb).permute(2, 0, 1)[None, :, None].float() / 127.5 - 1
    with torch.no_grad():
        latent = CosmosTokenizer.around(pipeline.vae).encode(image)[0, :, 0].numpy()
    assert np.abs(_latents(video, 0)[:, 0] - latent).max() < 1e-2


def test_a_seed_means_one_video(video: TeacherVideo, pipeline: Gen3CPipeline, tmp_path: Path) -> None:
    """Show that the same seed gives the same latents on a fresh run, and that another seed does not."""
    again = _teacher(pipeline, tmp_path).imagine(_picture(), seed=5)
    other = _teacher(pipeline, tmp_path).imagine(_picture(), seed=6)
    assert np.array_equal(_latents(again, 1), _latents(video, 1))
    assert not np.array_equal(_latents(other, 1), _latents(video, 1))


def test_finished_trajectories_are_not_sampled_again(
    pipeline: Gen3CPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show that a run interrupted in its second trajectory samples only that one when it is started again."""
    teacher = _teacher(pipeline, tmp_path)
    calls = []
    complete = Gen3CTeacher.complete

    def counted(self: Gen3CTeacher, *args: Any, **options: Any) -> torch.Tensor:
        calls.append(options["seed"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return complete(self, *args, **options)

    monkeypatch.setattr(Gen3CTeacher, "complete", counted)
    with pytest.raises(KeyboardInterrupt):
        teacher.imagine(_picture(), seed=5)
    teacher.imagine(_picture(), seed=5)
    assert len(calls) == 3
    assert calls[1] == calls[2]


def test_progress_rises_to_the_end(pipeline: Gen3CPipeline, tmp_path: Path) -> None:
    """Show that every step of every trajectory is reported, in order, and that the last report is 1."""
    reports: list[tuple[float, str]] = []
    _teacher(pipeline, tmp_path).imagine(
        _picture(), seed=5, progress=lambda fraction, message: reports.append((fraction, message))
    )
    fractions = [fraction for fraction, _ in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert "left" in reports[0][1]
    assert len(reports) >= 4


def test_a_composited_clip_shows_the_warp_and_is_encoded_again(
    pipeline: Gen3CPipeline, tmp_path: Path
) -> None:
    """Show that with the warp put back the clip leaves its latents to the tokenizer and keeps the picture's colours."""
    picture = _picture()
    clip = _teacher(pipeline, tmp_path, composited=True).imagine(picture, seed=5).clips[0]
    assert clip.latents is None
    assert np.array_equal(clip.rgb[0], picture.rgb)
    covered = clip.depth[1] > 0
    spread = np.abs(clip.rgb[1].astype(int) - picture.rgb)[covered].mean()
    assert spread < 8


SLOPE = np.repeat(np.linspace(3, 5, HEIGHT, dtype=np.float32)[:, None], WIDTH, axis=1)
"""z-depth of a wall that leans back."""


class _Slope:
    """Return the leaning wall for any frame."""

    name, metric = "slope", False

    def estimate(self, rgb: np.ndarray, *, intrinsics: np.ndarray | None = None) -> DepthEstimate:
        return DepthEstimate(SLOPE, np.ones(SLOPE.shape, bool), intrinsics)


@pytest.mark.parametrize("composited", [False, True])
def test_one_buffer_serves_several_chunks(pipeline: Gen3CPipeline, tmp_path: Path, composited: bool) -> None:
    """Show that a denoiser with channels for one picture of the cache goes on to a second clip."""
    assert pipeline.max_buffers == 1
    teacher = _teacher(pipeline, tmp_path, chunks=2, composited=composited, estimator=_Slope)
    clips = teacher.imagine(replace(_picture(), depth=SLOPE), seed=5).clips
    assert [clip.name for clip in clips] == ["left", "left-2", "right", "right-2"]
    assert np.allclose(clips[1].cameras.c2w[0], clips[0].cameras.c2w[-1])


def test_a_denoiser_of_one_size_serves_larger_frames(pipeline: Gen3CPipeline, tmp_path: Path) -> None:
    """Show that frames of twice the size are sampled at the size that was learned, and keep what the picture shows."""
    rgb, depth = (
        _picture().rgb.repeat(2, 0).repeat(2, 1),
        _picture().require_depth().repeat(2, 0).repeat(2, 1),
    )
    large = Picture(rgb, depth, np.array([80.0, 80.0, WIDTH, HEIGHT]))
    teacher = _teacher(pipeline, tmp_path, composited=True, sampled_size=(HEIGHT, WIDTH))
    teacher = replace(teacher, height=2 * HEIGHT, width=2 * WIDTH)
    clip = teacher.imagine(large, seed=5).clips[0]
    assert clip.rgb.shape == (FRAMES, 2 * HEIGHT, 2 * WIDTH, 3)
    assert np.array_equal(clip.rgb[0], rgb)
    views = open_cache(large).show(clip.cameras)
    assert teacher.complete(rgb, views, seed=5).shape[-2:] == (HEIGHT // 8, WIDTH // 8)
    assert teacher.decode(teacher.complete(rgb, views, seed=5)).shape == clip.rgb.shape


def test_a_picture_of_another_size_is_refused(pipeline: Gen3CPipeline, tmp_path: Path) -> None:
    """Show that the line names both sizes."""
    rgb = np.zeros((16, 16, 3), np.uint8)
    small = Picture(rgb, np.ones((16, 16), np.float32), np.array([10.0, 10.0, 8.0, 8.0]))
    with pytest.raises(LyraSimError, match=r"48x32 px, not 16x16"):
        _teacher(pipeline, tmp_path).imagine(small, seed=0)
    with pytest.raises(LyraSimError, match="needs a Picture"):
        _teacher(pipeline, tmp_path).imagine("a kitchen", seed=0)
