"""The full size from a sentence to a scene, on the CPU: every network is tiny, every file layout the published one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from full_size_files import fill_store
from PIL import Image

import generator.generate as chain
from generator import sizes, text_to_image
from generator.depth import depth_anything
from generator.networks import Networks
from generator.pictures.lens import usual_lens
from generator.request import Request
from generator.sizes import Size
from generator.teachers.conditioning import Picture
from generator.teachers.gen3c import teacher as gen3c
from generator.teachers.safety import Guardrail
from generator.text_to_image import ImageSettings
from generator.trajectories import SDG_TRAJECTORIES
from generator.weights import checkpoint
from lyra_sim.cli import main
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress
from lyra_sim.stages import STAGE_WEIGHTS

pytestmark = pytest.mark.filterwarnings("ignore:the published weights were trained at")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_store(tmp_path_factory.mktemp("published"))


@pytest.fixture(autouse=True)
def size(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Size:
    """Shrink frames and steps, and move the networks to the CPU; everything else is the full size."""
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(weights))
    monkeypatch.setenv("LYRA_SIM_TRAJECTORIES", str(tmp_path / "jobs"))
    monkeypatch.setattr(gen3c, "STEPS", 2)
    monkeypatch.setattr(
        ImageSettings.__init__, "__defaults__", (*ImageSettings.__init__.__defaults__[:2], 2, None)
    )
    small = dataclasses.replace(
        sizes.full(), height=64, width=112, frames=9, device="cpu", precision="float32"
    )
    monkeypatch.setattr(chain, "resolve", lambda *_: small)
    return small


def gen(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """Run `lyra-sim gen --size full` and return its report."""
    options = ["--size", "full", "--out", str(tmp_path / "scene.usdz"), "--keep", str(tmp_path / "keep")]
    options += ["--no-preview", "--progress", "none", "--trajectories", "left,zoom_in"]
    assert main(["gen", *arguments, *options]) == 0
    assert (tmp_path / "scene.usdz").stat().st_size > 0
    return json.loads((tmp_path / "keep" / "report.json").read_text())


def test_a_sentence_goes_through_every_published_network(tmp_path: Path) -> None:
    """Text-to-image, depth, T5, GEN3C, tokenizer and decoder leave their names and checksums in the scene."""
    report = gen(tmp_path, "a hall with shelves", "--seed", "3")
    inputs = report["inputs"]
    assert inputs["size"] == "full"
    teacher = inputs["teacher"]
    assert teacher["teacher"] == "gen3c"
    assert teacher["prompt"] == "a hall with shelves"
    assert set(teacher["weights"]) == {"denoiser", "tokenizer", "text_encoder"}
    assert teacher["picture"]["text_to_image"] == "z-image"
    assert teacher["picture"]["depth_from"] == "depth-anything-v2"
    assert teacher["safety_checker"].startswith("Safety checker: off (")
    assert set(inputs["checkpoints"]) >= {"tokenizer", "decoder"}
    licences = {name: c["licence"] for name, c in inputs["checkpoints"].items()}
    assert licences["decoder"] == "NVIDIA Open Model License"
    assert report["gaussians"]["kept"] > 0


def test_a_worker_keeps_every_published_network(
    size: Size, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second sentence of a worker opens no file of weights, and its scene is that of a process of its own."""
    opened: list[str] = []

    def count(module: object, name: str) -> None:
        load = getattr(module, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            opened.append(name)
            return load(*arguments, **options)

        monkeypatch.setattr(module, name, counted)

    count(checkpoint, "load")
    count(text_to_image, "load_text_to_image")
    count(depth_anything, "load_network")
    kept = Networks(keep=True)

    def scene(name: str, seed: int, networks: Networks) -> bytes:
        out = tmp_path / f"{name}.usdz"
        chosen = {"trajectories": ("left",), "collider": "none", "preview": False}
        request = Request("a hall with shelves", out, seed=seed, size="full", **chosen)
        chain.generate(request, Progress("none", STAGE_WEIGHTS), networks=networks)
        return out.read_bytes()

    scene("first", 1, kept)
    assert sorted(opened) == ["load"] * 5 + ["load_network", "load_text_to_image"]
    second = scene("second", 2, kept)
    assert len(opened) == 7
    monkeypatch.setenv("LYRA_SIM_TRAJECTORIES", str(tmp_path / "other jobs"))
    assert scene("alone", 2, Networks()) == second
    assert len(opened) == 14


def test_an_interrupted_run_samples_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that breaks off in its second path samples one path when it is started again."""
    image = tmp_path / "picture.png"
    rgb = np.random.default_rng(0).integers(0, 256, (64, 112, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(image)
    complete, sampled = gen3c.Gen3CTeacher.complete, []

    def count(self: gen3c.Gen3CTeacher, *arguments: Any, **options: Any) -> Any:
        sampled.append(options["seed"])
        if len(sampled) == 2:
            raise LyraSimError("power cut")
        return complete(self, *arguments, **options)

    monkeypatch.setattr(gen3c.Gen3CTeacher, "complete", count)
    command = ["gen", "--image", str(image), "--size", "full", "--out", str(tmp_path / "cut.usdz")]
    command += ["--progress", "none", "--no-preview", "--trajectories", "left,zoom_in"]
    assert main(command) == 2
    assert not (tmp_path / "cut.usdz").exists()
    gen(tmp_path, "--image", str(image))
    assert len(sampled) == 3
    assert sampled[1] == sampled[2]


def test_paths_of_several_chunks_give_a_clip_each(size: Size) -> None:
    """Two chunks per path make twice the clips, joined by one camera, each with latents of its own."""
    teacher = gen3c.Gen3CTeacher.for_size(size, trajectories=SDG_TRAJECTORIES[:1])
    teacher.chunks = 2
    rows = np.linspace(0.8, 1.25, 64, dtype=np.float32)[:, None]
    depth = np.repeat(rows, 112, axis=1)
    rgb = np.random.default_rng(0).integers(0, 256, (64, 112, 3), dtype=np.uint8)
    picture = Picture(rgb, depth, usual_lens(64, 112))
    video = teacher.imagine(picture, seed=0)
    assert [clip.name for clip in video.clips] == ["left", "left-2"]
    first, second = video.clips
    np.testing.assert_array_equal(first.cameras.c2w[-1], second.cameras.c2w[0])
    assert first.latents is not None
    assert second.latents is not None
    assert first.latents.shape == second.latents.shape == (16, 2, 8, 14)
    assert not np.array_equal(first.latents, second.latents)
    again = teacher.imagine(picture, seed=0)
    np.testing.assert_array_equal(again.clips[1].latents, second.latents)


def test_the_full_size_says_exactly_what_it_lacks(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all weights only GPU and packages are missing; without, every entry is named, and no teacher is."""
    assert not [phrase for phrase in sizes.missing_for_full(has_gpu=True) if "weights" in phrase]
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(tmp_path))
    missing = "; ".join(sizes.missing_for_full(has_gpu=False))
    for name in ("no CUDA GPU", "gen3c", "cosmos-tokenizer", "lyra-static", "depth-anything-v2", "z-image"):
        assert name in missing
    assert "teacher" not in missing


class Guard:
    """Blur everything to grey, and refuse the word "bad"."""

    def to(self, device: object) -> None:
        """Move nothing."""

    def check_text_safety(self, prompt: str) -> bool:
        return "bad" not in prompt

    def check_video_safety(self, video: np.ndarray) -> np.ndarray:
        return np.full_like(video, 128)


def test_what_the_safety_checker_changes_reaches_the_scene(
    size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips hold the checked frames and no latents that would go around the check; a refused prompt ends the run."""
    monkeypatch.setattr(gen3c, "load_guardrail", lambda mode: Guardrail(Guard(), "Safety checker: on"))
    teacher = gen3c.Gen3CTeacher.for_size(size, trajectories=SDG_TRAJECTORIES[:1])
    depth = np.full((64, 112), 1.0, np.float32)
    picture = Picture(np.zeros((64, 112, 3), np.uint8), depth, usual_lens(64, 112), prompt="a hall")
    video = teacher.imagine(picture, seed=0)
    assert video.clips[0].latents is None
    assert (np.abs(video.clips[0].rgb[1:].astype(int) - 128) <= 1).all()
    assert video.source["safety_checker"] == "Safety checker: on"
    with pytest.raises(LyraSimError, match="refuses the prompt"):
        teacher.imagine(dataclasses.replace(picture, prompt="a bad hall"), seed=0)
