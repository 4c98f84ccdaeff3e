"""Training data: the published layout, plans with identities and splits, and runs that can be stopped anywhere."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import training.sdg.run as module
from generator.decoder.config import DecoderConfig
from generator.decoder.latent_folder import read_latent_folder
from generator.sizes import MINI
from generator.teachers.procedural import ProceduralTeacher
from generator.teachers.teacher import TeacherVideo
from generator.tokenizer import load_tokenizer
from generator.trajectories import SDG_TRAJECTORIES
from generator.worlds import parse_prompt
from lyra_sim.cli import main
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress
from tests.video_files import write_plain
from training.sdg.layout import read_depth, read_view, reversed_clip, write_scene
from training.sdg.plan import plan, read_prompts
from training.sdg.run import DataSettings, encode, make_data, read_manifest

SIZE = replace(MINI, height=48, width=64, frames=9)
SETTINGS = DataSettings(trajectories=("left", "up"), backwards=True)


@pytest.fixture(scope="module")
def clips():
    """Two filmed paths of a kitchen."""
    teacher = ProceduralTeacher(height=48, width=64, frames=9, held_out=0, trajectories=SDG_TRAJECTORIES[:2])
    return teacher.imagine(parse_prompt("kitchen"), seed=4).clips


@pytest.fixture
def filmed(clips, monkeypatch):
    """Let runs take the kitchen's clips, brighter by the seed, and cheap latents; film and tokenizer have own tests."""

    def imagine(run, size, start):
        made = [replace(clip, rgb=clip.rgb // 2 + 20 * run.request.seed) for clip in clips]
        made = [replace(clip, name=name) for clip, name in zip(made, run.request.trajectories, strict=True)]
        return TeacherVideo(tuple(made), None, ("unlabelled",), True, {"teacher": "kitchen"})

    monkeypatch.setattr(module, "imagine", imagine)
    monkeypatch.setattr(
        module, "encode", lambda tokenizer, rgb: np.full((16, 2, 6, 8), rgb.mean(), np.float32)
    )


@pytest.fixture
def quiet() -> Progress:
    """A progress that says nothing."""
    return Progress("none", {"sdg": 1.0})


def test_a_scene_comes_back_from_the_layout(tmp_path, clips):
    """Cameras exactly in float32, depth within half floats, pictures within the video's loss, latents too."""
    tokenizer, _ = load_tokenizer()
    latents = [encode(tokenizer, clip.rgb) for clip in clips]
    scene = {i: replace(clip, latents=latents[i]) for i, clip in enumerate(clips)}
    scene[6] = reversed_clip(clips[0])
    write_scene(tmp_path, "a", scene, lambda rgb: encode(tokenizer, rgb))
    for number, clip in scene.items():
        view = read_view(tmp_path / str(number), "a")
        np.testing.assert_allclose(view.cameras.c2w, clip.cameras.c2w, atol=1e-6)
        np.testing.assert_allclose(view.cameras.intrinsics, clip.cameras.intrinsics, rtol=1e-6)
        np.testing.assert_allclose(view.depth, clip.depth, rtol=1e-3)
        assert np.abs(view.rgb.astype(int) - clip.rgb).mean() < 4
    config = DecoderConfig.from_dict(json.loads(MINI.decoder.read_text())["configuration"])
    read = read_latent_folder(tmp_path, "a", config, views=("0", "1"))
    expected = np.stack(latents).swapaxes(1, 2)
    np.testing.assert_allclose(read.latents[0].numpy(), expected.reshape(-1, *expected.shape[2:]), atol=1e-6)
    np.testing.assert_allclose(read.c2w, np.concatenate([c.cameras.c2w for c in clips]), atol=1e-6)


def test_backwards_means_that_every_frame_keeps_its_own_camera(clips):
    """Frame t of the reversed clip is frame T-1-t of the clip: picture, depth and pose; twice is the clip again."""
    back = reversed_clip(clips[0])
    for t in (0, 3, 8):
        np.testing.assert_array_equal(back.rgb[t], clips[0].rgb[8 - t])
        np.testing.assert_array_equal(back.depth[t], clips[0].depth[8 - t])
        np.testing.assert_array_equal(back.cameras.c2w[t], clips[0].cameras.c2w[8 - t])
    np.testing.assert_array_equal(reversed_clip(back).rgb, clips[0].rgb)


def test_plans_split_by_input_and_name_by_content(tmp_path):
    """All seeds of an input are in one split, stems are unique and depend on what is made, shards are full in turn."""
    prompts = [f"kitchen {i}" for i in range(200)]
    options = {"per_shard": 150, "validation_share": 0.2}
    items = plan(prompts, [], [], (0, 1, 2), settings="a", **options)
    assert len({item.stem for item in items}) == 600
    assert [item.shard for item in items] == [i // 150 for i in range(600)]
    splits = {prompt: {item.split for item in items if item.prompt == prompt} for prompt in prompts}
    assert all(len(names) == 1 for names in splits.values())
    assert 0.1 < sum(names == {"validation"} for names in splits.values()) / 200 < 0.3
    assert items == plan(prompts, [], [], (0, 1, 2), settings="a", **options)
    other = plan(prompts, [], [], (0, 1, 2), settings="b", **options)
    assert not {item.stem for item in items} & {item.stem for item in other}
    with pytest.raises(LyraSimError, match="the same input"):
        plan(["kitchen", "kitchen"], [], [], (0,), settings="a", **options)
    (tmp_path / "prompts.txt").write_text("# rooms\n\nkitchen\n  living room  \n")
    assert read_prompts(tmp_path / "prompts.txt") == ["kitchen", "living room"]


def test_files_are_told_apart_by_what_they_hold(tmp_path):
    """A renamed picture is the same scene's input, a folder is what all its files hold, and copies are refused."""
    picture, folder = tmp_path / "a.jpg", tmp_path / "video"
    picture.write_bytes(b"one")
    (folder / "rgb").mkdir(parents=True)
    (folder / "rgb" / "clip.mp4").write_bytes(b"frames")
    options = {"settings": "a", "per_shard": 9, "validation_share": 0.5}

    def identities(images, videos):
        items = plan([], images, videos, (0,), **options)
        return [(item.stem[-8:], item.split) for item in items], items

    before, items = identities([picture], [folder])
    assert [(item.image, item.video) for item in items] == [(picture, None), (None, folder)]
    renamed, moved = picture.rename(tmp_path / "b.jpg"), folder.rename(tmp_path / "other")
    assert identities([renamed], [moved])[0] == before
    (moved / "rgb" / "clip.mp4").write_bytes(b"other frames")
    after, _ = identities([renamed], [moved])
    assert after[0] == before[0]
    assert after[1] != before[1]
    (tmp_path / "copy.jpg").write_bytes(b"one")
    with pytest.raises(LyraSimError, match="the same input"):
        identities([renamed, tmp_path / "copy.jpg"], [])


def test_a_video_is_filmed_around_and_its_depth_is_kept(tmp_path, clips, quiet):
    """A folder with video, depth and cameras becomes a scene that starts with its first frame and depth."""
    clip = clips[0]
    lens, c2w = clip.cameras.intrinsics[0], np.linalg.inv(clip.cameras.c2w[0]) @ clip.cameras.c2w
    depth = np.where(clip.depth > 0, clip.depth, 5.0).astype(np.float32)
    folder = write_plain(tmp_path / "posed", clip.rgb, depth, c2w, lens)
    settings = DataSettings(teacher="warp", trajectories=("left",))
    items = plan([], [], [folder], (0,), settings="x", per_shard=1, validation_share=0)
    assert make_data(items, tmp_path / "out", SIZE, settings, quiet)["made"] == 1
    (entry,) = read_manifest(tmp_path / "out").values()
    view = read_view(tmp_path / "out" / entry["shard"] / "0", entry["stem"])
    assert np.abs(view.rgb[0].astype(int) - clip.rgb[0]).mean() < 6
    # In the decoder's unit, one factor away from that of the folder.
    ratio = view.depth[0] / depth[0]
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=2e-3)


def test_a_run_that_was_stopped_goes_on_and_gives_the_same_files(tmp_path, quiet, filmed, monkeypatch):
    """After a stop in mid-scene and a torn manifest line, the same command makes the rest, equal to a whole run."""
    items = plan(["kitchen"], [], [], (0, 1), settings=SETTINGS.words(SIZE), per_shard=1, validation_share=0)
    assert make_data(items, tmp_path / "whole", SIZE, SETTINGS, quiet) == {
        "made": 2,
        "present": 0,
        "failed": 0,
    }
    real = module.write_scene

    def stops(folder: Path, stem: str, clips, encode, **facts):
        if stem == items[1].stem:
            real(folder, stem, {0: clips[0]}, encode, **facts)
            raise KeyboardInterrupt
        return real(folder, stem, clips, encode, **facts)

    monkeypatch.setattr(module, "write_scene", stops)
    with pytest.raises(KeyboardInterrupt):
        make_data(items, tmp_path / "cut", SIZE, SETTINGS, quiet)
    monkeypatch.setattr(module, "write_scene", real)
    assert list(read_manifest(tmp_path / "cut")) == [items[0].stem]
    with (tmp_path / "cut" / "manifest.jsonl").open("a") as file:
        file.write('{"stem": "tor')
    assert make_data(items, tmp_path / "cut", SIZE, SETTINGS, quiet) == {"made": 1, "present": 1, "failed": 0}
    assert list(read_manifest(tmp_path / "cut")) == [item.stem for item in items]
    files = {
        p.relative_to(tmp_path / "whole")
        for p in (tmp_path / "whole").rglob("*.*")
        if p.parent.name != "whole"
    }
    assert {str(f.parent) for f in files} >= {f"shard_0000{s}/{v}/rgb" for s in (0, 1) for v in (0, 2, 6, 8)}
    for name in files:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    entry = read_manifest(tmp_path / "whole")[items[0].stem]
    assert (entry["views"], entry["split"], entry["size"]) == ([0, 2, 6, 8], "train", "mini")


def test_the_folder_belongs_to_one_run(tmp_path, quiet):
    """A second run on the folder is refused while the first one holds it."""
    import fcntl

    items = plan(["kitchen"], [], [], (0,), settings="x", per_shard=1, validation_share=0)
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LyraSimError, match="another run"):
            make_data(items, tmp_path, SIZE, SETTINGS, quiet)


def test_damaged_files_are_named(tmp_path, clips):
    """A cut video, a zip that is none, files of unequal length and a damaged manifest line are one clear error each."""
    write_scene(tmp_path, "a", {0: clips[0]}, lambda rgb: np.zeros((16, 2, 6, 8), np.float32))
    view = tmp_path / "0"
    np.savez(view / "pose" / "a.npz", data=np.tile(np.eye(4), (5, 1, 1)), inds=np.arange(5))
    with pytest.raises(LyraSimError, match="pose 5"):
        read_view(view, "a")
    (view / "depth" / "a.zip").write_bytes(b"no zip")
    with pytest.raises(LyraSimError, match=r"a\.zip: cannot be read as a zip"):
        read_depth(view / "depth" / "a.zip")
    os.truncate(view / "rgb" / "a.mp4", 100)
    with pytest.raises(LyraSimError, match=r"a\.mp4: cannot be read as a video"):
        read_view(view, "a")
    (tmp_path / "manifest.jsonl").write_text('{"stem": 1\n{"stem": "b"}\n')
    with pytest.raises(LyraSimError, match=r"manifest\.jsonl, line 1"):
        read_manifest(tmp_path)


def test_bad_options_are_one_line(tmp_path, capsys):
    """Nothing to film, a glob without files, an empty prompt file and absurd numbers say so and make no folder."""
    (tmp_path / "empty.txt").write_text("\n# nothing\n")
    out = ["--out", str(tmp_path / "out")]
    cases = {
        "nothing to film": [],
        "--images": ["--images", str(tmp_path / "*.jpg")],
        "--videos": ["--videos", str(tmp_path / "*.mp4")],
        "holds no prompt": ["--prompts", str(tmp_path / "empty.txt")],
        "must be 1 or more": ["--prompts", "p.txt", "--per-shard", "0"],
        "must be from 0": ["--prompts", "p.txt", "--validation", "1.5"],
    }
    for reason, options in cases.items():
        assert main(["sdg", *options, *out]) != 0
        assert reason in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_the_reader_needs_no_depth(tmp_path, clips):
    """A view of a set without depth, as the demo layout is, reads with None in its place."""
    write_scene(tmp_path, "a", {0: clips[0]}, lambda rgb: np.zeros((16, 2, 6, 8), np.float32))
    (tmp_path / "0" / "depth" / "a.zip").unlink()
    assert read_view(tmp_path / "0", "a").depth is None
    assert read_view(tmp_path / "0", "a").rgb.shape == (9, 48, 64, 3)
