"""Videos at the full size, on the CPU: every network is tiny, every file layout the published one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from full_size_files import DECODER, fill_store
from pxr import Usd

import generator.generate as chain
from generator import sizes
from generator.decoder import DecoderConfig, LyraDecoder
from generator.teachers.gen3c import teacher as gen3c
from generator.weights.pull import import_file
from generator.weights.registry import find_entry
from generator.weights.store import Store
from lyra_sim.cli import main
from lyra_sim.files.ply import read_ply
from tests.video_files import write_plain

pytestmark = pytest.mark.filterwarnings("ignore:the published weights were trained at")

FRAMES = 9
DYNAMIC = {**DECODER, "use_time_embedding": True, "time_embedding_vae": True}


def import_dynamic(folder: Path, store: Store) -> None:
    """Import a dynamic decoder that puts opaque Gaussians near distance 1."""
    torch.manual_seed(3)
    decoder = LyraDecoder(DecoderConfig.from_dict(DYNAMIC))
    with torch.no_grad():
        for parameter in decoder.parameters():
            # A trained decoder's branches are not the zeros that they start from.
            parameter.copy_(parameter if parameter.any() else 0.1 * torch.randn(parameter.shape))
        decoder.deconv.weight.mul_(0.05)
        decoder.deconv.bias.copy_(torch.tensor([-4.6, 0, 0, 0, -1, -1, -1, 1, 0, 0, 0, 6]))
    torch.save({"module": decoder.to(torch.bfloat16).state_dict()}, folder / "lyra_dynamic.pt")
    entry = find_entry("lyra-dynamic")
    import_file(entry, folder / "lyra_dynamic.pt", store, configuration=DYNAMIC, any_version=True)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_store(tmp_path_factory.mktemp("published"))


@pytest.fixture
def clip(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shrink the size, and write a video with depth and poses whose camera moves."""
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(weights))
    monkeypatch.setenv("LYRA_SIM_TRAJECTORIES", str(tmp_path / "jobs"))
    monkeypatch.setattr(gen3c, "STEPS", 2)
    small = dataclasses.replace(
        sizes.full(), height=64, width=112, frames=FRAMES, device="cpu", precision="float32"
    )
    monkeypatch.setattr(chain, "resolve", lambda *_: small)
    rgb = np.random.default_rng(0).integers(0, 256, (17, 8, 14, 3), dtype=np.uint8)
    rgb = rgb.repeat(8, axis=1).repeat(8, axis=2)
    rows = np.linspace(0.8, 1.25, 64, dtype=np.float32)[None, :, None]
    c2w = np.tile(np.eye(4), (17, 1, 1))
    c2w[:, 0, 3] = np.linspace(0, 0.2, 17)
    lens = np.array([90.0, 90.0, 56.0, 32.0])
    return write_plain(tmp_path / "video", rgb, np.broadcast_to(rows, (17, 64, 112)).copy(), c2w, lens)


def gen(clip: Path, *options: str) -> int:
    out = clip.parent / "scene.usdz"
    words = ["--size", "full", "--out", str(out), "--ply", str(out.with_suffix(".ply")), "--no-preview"]
    words += ["--no-collider", "--progress", "none", "--trajectories", "left,right"]
    return main(["gen", "--video", str(clip), *words, *options])


def test_a_scene_that_moves_is_a_file_per_time(
    clip: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without dynamic weights --time says what to pull; with them each has its Gaussians, and a stage plays them."""
    assert gen(clip, "--time", "0,6,16") == 2
    assert "weights pull lyra-dynamic" in capsys.readouterr().err
    import_dynamic(clip.parent, Store(weights))
    keep = clip.parent / "keep"
    assert gen(clip, "--time", "0,6,16", "--keep", str(keep)) == 0
    scenes = [clip.parent / f"scene_t{time:03d}.usdz" for time in (0, 6, 16)]
    assert all(scene.is_file() for scene in scenes)
    assert not (clip.parent / "scene.usdz").exists()
    sets = [read_ply(clip.parent / f"scene_t{time:03d}.ply").means for time in (0, 6, 16)]
    assert not np.array_equal(sets[0], sets[1])
    stage = Usd.Stage.Open(str(clip.parent / "scene.usda"))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, 16)
    report = json.loads((keep / "report.json").read_text())
    assert report["inputs"]["time"] == 0
    assert set(report["inputs"]["checkpoints"]) >= {"tokenizer", "decoder"}
    # All paths follow the video: its last camera stands 0.2 units right of its first.
    frames = json.loads((keep / "transforms.json").read_text())["frames"]
    ends = {f["file_path"][7:-8]: np.array(f["transform_matrix"])[0, 3] for f in frames}
    middle = (ends["left"] + ends["right"]) / 2 - frames[0]["transform_matrix"][0][3]
    assert middle == pytest.approx(0.2, abs=0.02)
    assert gen(clip, "--time", "17") == 2
    assert "frames 0 to 16 are taken" in capsys.readouterr().err


def test_a_still_scene_takes_the_static_weights_and_chunks(clip: Path) -> None:
    """Without --time the static decoder makes one scene, and chunks make longer paths along the same video."""
    keep = clip.parent / "keep"
    assert gen(clip, "--chunks", "2", "--keep", str(keep)) == 0
    assert (clip.parent / "scene.usdz").is_file()
    inputs = json.loads((keep / "report.json").read_text())["inputs"]
    assert inputs["teacher"]["chunks"] == 2
    assert inputs["teacher"]["picture"]["picked"] == list(range(17))
    assert "time" not in inputs
    frames = json.loads((keep / "transforms.json").read_text())["frames"]
    assert {f["file_path"][7:-8] for f in frames} == {"left", "left-2", "right", "right-2"}
