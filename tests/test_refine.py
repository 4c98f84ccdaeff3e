"""Per-scene optimisation: it gains on frames that it sees and on those it does not, and touches nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generator.cameras import Cameras
from generator.refine import refine
from generator.render import render_views
from generator.teachers.teacher import Clip, TeacherVideo
from lyra_sim.cli import main
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians

HEIGHT, WIDTH = 48, 64


def cloud(seed: int) -> Gaussians:
    """Return a coloured wall of Gaussians about 3 m in front of the origin; it fills the pictures below."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-2.0:2.0:20j, -2.6:2.6:26j].reshape(2, -1)
    count = len(x)
    means = np.stack([x, y, 3 + 0.2 * np.sin(3 * x)], axis=1).astype(np.float32)
    rotations = np.tile(np.float32([1, 0, 0, 0]), (count, 1))
    rgb = np.stack([0.5 + 0.4 * np.sin(4 * x), 0.5 + 0.4 * np.cos(3 * y), rng.uniform(0, 1, count)], axis=1)
    scales = np.full((count, 3), 0.13, np.float32)
    return Gaussians.from_rgb(
        means, scales, rotations, np.full(count, 0.9, np.float32), rgb.astype(np.float32)
    )


def path(name: str, offsets: np.ndarray, truth: Gaussians) -> Clip:
    """Film the truth from cameras at offsets (F, 3) [m]."""
    c2w = np.tile(np.eye(4), (len(offsets), 1, 1))
    c2w[:, :3, 3] = offsets
    cameras = Cameras(c2w, np.tile([50.0, 50.0, 32.0, 24.0], (len(offsets), 1)), HEIGHT, WIDTH)
    views = render_views(truth, cameras.c2w, cameras.intrinsics, height=HEIGHT, width=WIDTH)
    rgb = (views.rgb.numpy().clip(0, 1) * 255).round().astype(np.uint8)
    return Clip(name, cameras, rgb, views.depth.numpy())


@pytest.fixture(scope="module")
def video() -> TeacherVideo:
    """Two paths of four frames, and two held-out cameras between them."""
    truth, steps = cloud(1), np.linspace(0, 0.3, 4)[:, None]
    clips = (path("left", -steps * [1, 0, 0], truth), path("up", -steps * [0, 1, 0], truth))
    held_out = path("held_out", np.array([[-0.1, -0.1, 0], [-0.15, -0.05, 0]]), truth)
    return TeacherVideo(clips, held_out, (), metric=True, source={})


@pytest.fixture(scope="module")
def decoded() -> Gaussians:
    """The truth as a weak decoder would give it: dull, soft and a little displaced."""
    truth, rng = cloud(1), np.random.default_rng(2)
    means = truth.means + rng.normal(0, 0.01, truth.means.shape).astype(np.float32)
    dull = Gaussians.from_rgb(
        means, truth.scales * 1.3, truth.rotations, truth.opacities * 0.7, 0.25 + 0.5 * truth.rgb
    )
    return dull.checked("decoded")


def test_it_gains_on_frames_that_it_never_saw(video: TeacherVideo, decoded: Gaussians) -> None:
    """Some steps gain more than 3 dB at input and held-out views, and the Gaussians stay valid and as many."""
    refined, gained = refine(decoded, video, steps=25)
    assert gained.held_out_psnr_db is not None
    assert gained.held_out_psnr_db[1] > gained.held_out_psnr_db[0] + 3
    assert gained.input_psnr_db[1] > gained.input_psnr_db[0] + 3
    assert len(refined.checked("refined")) == len(decoded)
    assert "dB at held-out views" in gained.sentence


def test_white_surfaces_do_not_become_holes(video: TeacherVideo, decoded: Gaussians) -> None:
    """On white frames, which emptiness before a white background would show too, a faint white wall gains opacity."""
    shapes = decoded.means, decoded.scales, decoded.rotations
    faint = Gaussians.from_rgb(*shapes, decoded.opacities * 0.3, np.ones_like(decoded.means))
    white = tuple(replace(clip, rgb=np.full_like(clip.rgb, 255)) for clip in video.clips)
    refined, _ = refine(faint, replace(video, clips=white, held_out=None), steps=25)
    cameras = video.clips[0].cameras

    def alpha(gaussians: Gaussians) -> float:
        views = render_views(gaussians, cameras.c2w, cameras.intrinsics, height=HEIGHT, width=WIDTH)
        return float(views.alpha[:, 8:-8, 8:-8].mean())

    assert alpha(refined) > alpha(faint) + 0.02


def test_held_out_frames_take_no_part(video: TeacherVideo, decoded: Gaussians) -> None:
    """Blackened held-out frames change the figures, and not one bit of the Gaussians."""
    assert video.held_out is not None
    black = replace(video, held_out=replace(video.held_out, rgb=np.zeros_like(video.held_out.rgb)))
    one, gained = refine(decoded, video, steps=3)
    other, dark = refine(decoded, black, steps=3)
    for name in ("means", "scales", "rotations", "opacities", "sh"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert gained.held_out_psnr_db != dark.held_out_psnr_db


def test_without_held_out_frames_it_speaks_of_its_own_views(video: TeacherVideo, decoded: Gaussians) -> None:
    """A video without held-out frames gives no held-out figure, and progress reaches the end."""
    told: list[float] = []
    _, gained = refine(
        decoded,
        replace(video, held_out=None),
        steps=10,
        progress=lambda fraction, message: told.append(fraction),
    )
    assert gained.held_out_psnr_db is None
    assert gained.to_dict()["held_out_psnr_db"] is None
    assert "its own views" in gained.sentence
    assert told == [1.0]


def test_no_steps_are_refused(video: TeacherVideo, decoded: Gaussians) -> None:
    """Zero steps are an error of the caller; the command leaves refining out instead."""
    with pytest.raises(LyraSimError, match="0 steps"):
        refine(decoded, video, steps=0)


def test_a_negative_number_of_steps_is_said_plainly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--refine -1` fails with the option and the value before anything is loaded."""
    assert main(["gen", "kitchen", "--refine", "-1", "--out", str(tmp_path / "scene.usdz")]) != 0
    assert "--refine -1" in capsys.readouterr().err
