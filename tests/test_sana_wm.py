"""The second teacher, on a tiny pipeline of diffusers' real SANA-WM classes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from guardrail_stub import StubChecker
from sana_files import write_sana_wm

from generator.sizes import MINI
from generator.teachers.conditioning import Picture
from generator.teachers.registry import load_teacher, teacher_entry
from generator.teachers.safety import Guardrail
from generator.teachers.sana_wm import SanaWMTeacher
from generator.trajectories import SDG_TRAJECTORIES
from generator.weights.pull import import_file
from generator.weights.registry import find_entry
from generator.weights.store import Store
from lyra_sim.errors import LyraSimError

SIZE = dataclasses.replace(MINI, name="full", height=64, width=96, frames=9)
PATHS = tuple(path for path in SDG_TRAJECTORIES if path.name in ("left", "zoom_in"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sana")
    import_file(find_entry("sana-wm"), write_sana_wm(folder / "published"), Store(folder / "store"))
    return folder / "store"


@pytest.fixture
def teacher(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SanaWMTeacher:
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(weights))
    monkeypatch.setenv("LYRA_SIM_TRAJECTORIES", str(tmp_path / "jobs"))
    loaded = load_teacher(teacher_entry("sana-wm", "full"), SIZE, trajectories=PATHS)
    assert isinstance(loaded, SanaWMTeacher)
    return dataclasses.replace(loaded, steps=2)


def picture(height: int = 64, width: int = 96) -> Picture:
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    lens = np.array([80.0, 80.0, width / 2, height / 2])
    return Picture(rgb, np.full((height, width), 2.0, np.float32), lens, prompt="a hall")


def test_paths_become_clips_and_an_interrupted_run_goes_on(
    teacher: SanaWMTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames, cameras and depth fit; a second run samples nothing and gives the same bytes; seeds count."""
    video = teacher.imagine(picture(), seed=1)
    assert [clip.name for clip in video.clips] == ["left", "zoom_in"]
    for clip in video.clips:
        assert clip.rgb.shape == (9, 64, 96, 3)
        assert clip.depth.shape == (9, 64, 96)
        assert clip.latents is None
        np.testing.assert_array_equal(clip.rgb[0], picture().rgb)
        np.testing.assert_allclose(clip.cameras.c2w[0], np.eye(4), atol=1e-12)
    assert not np.array_equal(video.clips[0].rgb[1:], video.clips[1].rgb[1:])
    assert video.source["teacher"] == "sana-wm"
    monkeypatch.setattr(SanaWMTeacher, "_sample", lambda *_: pytest.fail("sampled again"))
    again = teacher.imagine(picture(), seed=1)
    np.testing.assert_array_equal(again.clips[1].rgb, video.clips[1].rgb)
    with pytest.raises(pytest.fail.Exception, match="sampled again"):
        teacher.imagine(picture(), seed=2)


def test_the_camera_path_reaches_the_model(teacher: SanaWMTeacher) -> None:
    """Other poses with the same noise give other frames, and so does another lens."""
    left, other = (
        dataclasses.replace(teacher, trajectories=PATHS[:1], movement=m).imagine(picture(), seed=1)
        for m in (1.0, 3.0)
    )
    assert not np.array_equal(left.clips[0].rgb[1:], other.clips[0].rgb[1:])
    wide = dataclasses.replace(picture(), intrinsics=np.array([40.0, 40.0, 48.0, 32.0]))
    lens = dataclasses.replace(teacher, trajectories=PATHS[:1]).imagine(wide, seed=1)
    assert not np.array_equal(left.clips[0].rgb[1:], lens.clips[0].rgb[1:])


def test_the_guardrail_sees_prompt_and_videos(teacher: SanaWMTeacher) -> None:
    """What the checker changes is what the clips show, except for the picture itself; what it refuses ends the run."""
    one = dataclasses.replace(teacher, trajectories=PATHS[:1])
    plain = one.imagine(picture(), seed=1)
    guarded = dataclasses.replace(one, guardrail=Guardrail(StubChecker(), "Safety checker: on"))
    video = guarded.imagine(picture(), seed=1)
    np.testing.assert_array_equal(video.clips[0].rgb[1:], plain.clips[0].rgb[1:] // 2)
    np.testing.assert_array_equal(video.clips[0].rgb[0], picture().rgb)
    assert video.source["safety_checker"] == "Safety checker: on"
    assert "safety_checker" not in plain.source
    with pytest.raises(LyraSimError, match="refuses the prompt"):
        guarded.imagine(dataclasses.replace(picture(), prompt="weapons"), seed=1)
    refusing = dataclasses.replace(one, guardrail=Guardrail(StubChecker(refuses_videos=True), "on"))
    with pytest.raises(LyraSimError, match="refuses the video or picture"):
        refusing.imagine(picture(), seed=1)


def test_what_it_cannot_start_from_is_refused(
    teacher: SanaWMTeacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt without picture, a picture of another size, and missing weights, in one line each."""
    with pytest.raises(LyraSimError, match="needs a Picture, not a str"):
        teacher.imagine("a hall", seed=0)
    with pytest.raises(LyraSimError, match="works at 96x64 px, not 64x32"):
        teacher.imagine(picture(32, 64), seed=0)
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(tmp_path))
    with pytest.raises(LyraSimError, match="weights pull sana-wm"):
        SanaWMTeacher.for_size(SIZE, trajectories=PATHS)
