"""`lyra-sim gen` from end to end, with the shipped weights, at a size that takes seconds."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interrupts import heed_interrupts
from pxr import Usd, UsdGeom, UsdPhysics

import generator.generate as chain
from generator import metrics, outputs
from generator.clock import StageClock
from generator.render import render_views
from generator.sizes import MINI
from generator.teachers.teacher import TeacherVideo
from lyra_sim.cli import main
from lyra_sim.files.ply import read_ply

TINY = dataclasses.replace(MINI, height=64, width=112)
STAGES = ("load", "world", "teacher", "tokenizer", "cache", "decoder", "scene", "collider", "usd", "preview")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the very same chain on smaller frames."""
    monkeypatch.setattr(chain, "resolve", lambda *of: TINY)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate one scene with everything that can be asked for."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "resolve", lambda *of: TINY)
        options = ["--keep", str(folder / "keep"), "--ply", str(folder / "scene.ply"), "--progress", "json"]
        assert (
            main(["gen", "warehouse aisle", "--seed", "5", "--out", str(folder / "scene.usdz"), *options])
            == 0
        )
    return folder


def test_everything_that_was_asked_for_is_there(made: Path) -> None:
    """Show that a run leaves scene, picture, PLY and the kept folder, and nothing else."""
    assert sorted(p.name for p in made.iterdir()) == ["keep", "scene.ply", "scene.png", "scene.usdz"]
    kept = sorted(p.name for p in (made / "keep").iterdir())
    written = ["cameras.png", "conditioning_depth.png", "depth", "gaussians.ply", "images"]
    assert kept == [*written, "report.json", "transforms.json"]


def test_the_scene_is_ready_for_simulation(made: Path) -> None:
    """Show that the package is metric, Z up, with splats, a collider with physics, and honest provenance."""
    stage = Usd.Stage.Open(str(made / "scene.usdz"))
    assert stage.GetDefaultPrim()
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    prims = list(stage.Traverse(Usd.TraverseInstanceProxies(Usd.PrimAllPrimsPredicate)))
    assert any(p.GetTypeName() == "ParticleField3DGaussianSplat" for p in prims)
    assert any(p.HasAPI(UsdPhysics.MeshCollisionAPI) for p in prims)
    report = json.loads((made / "keep" / "report.json").read_text())
    assert report["inputs"]["size"] == "mini"
    assert report["inputs"]["prompt"] == "warehouse aisle"
    assert set(report["inputs"]["checkpoints"]) == {"tokenizer", "decoder"}


def test_kept_cameras_depth_and_gaussians_share_one_frame(made: Path) -> None:
    """Show that rendering the kept PLY from a kept input camera gives the kept depth, nearly."""
    keep = made / "keep"
    transforms = json.loads((keep / "transforms.json").read_text())
    assert {f["split"] for f in transforms["frames"]} == {"input", "held_out"}
    frame = transforms["frames"][0]
    truth = np.load(keep / frame["depth_file_path"])
    assert truth.dtype == np.float32
    assert (keep / frame["file_path"]).is_file()
    c2w = np.array(frame["transform_matrix"]) @ np.diag([1, -1, -1, 1])
    intrinsics = np.array([[frame[k] for k in ("fl_x", "fl_y", "cx", "cy")]])
    gaussians = read_ply(keep / "gaussians.ply")
    views = render_views(gaussians, c2w[None], intrinsics, height=transforms["h"], width=transforms["w"])
    assert metrics.relative_depth_error(views.depth[0].numpy(), truth) < 0.2


def test_equal_runs_give_equal_bytes(made: Path, tmp_path: Path) -> None:
    """Show that prompt and seed decide every byte of the scene, and that another seed gives another."""
    for seed, same in (("5", True), ("6", False)):
        out = tmp_path / f"{seed}.usdz"
        assert main(["gen", "warehouse aisle", "--seed", seed, "--out", str(out), "--progress", "none"]) == 0
        assert (out.read_bytes() == (made / "scene.usdz").read_bytes()) is same


def test_options_leave_parts_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Show that --no-preview and --no-collider leave picture and collider out, and how an unknown place is told."""
    out = tmp_path / "scene.usdz"
    assert main(["gen", "spaceship bridge", "--out", str(out), "--no-preview", "--no-collider"]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["scene.usdz"]
    stage = Usd.Stage.Open(str(out))
    colliders = [UsdPhysics.CollisionAPI(p) for p in stage.TraverseAll() if p.HasAPI(UsdPhysics.CollisionAPI)]
    assert not any(c.GetCollisionEnabledAttr().Get() for c in colliders)
    error = capsys.readouterr().err
    assert "nearest" in error
    assert "size mini" in error


@pytest.fixture(scope="module")
def video() -> TeacherVideo:
    """Film one world once for the tests that break later stages."""
    from generator.teachers.procedural import ProceduralTeacher
    from generator.worlds import parse_prompt

    teacher = ProceduralTeacher(height=TINY.height, width=TINY.width, frames=TINY.frames, supersample=1)
    return teacher.imagine(parse_prompt("office corridor"), seed=1)


@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupt_in_any_stage_leaves_nothing(
    stage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    video: TeacherVideo,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Show that Ctrl-C in each stage ends with status 130, one line, and an empty folder."""
    original = StageClock.stage

    def interrupted(clock: StageClock, name: str) -> Any:
        if name == stage:
            raise KeyboardInterrupt
        return original(clock, name)

    monkeypatch.setattr(StageClock, "stage", interrupted)
    if stage != "teacher":
        monkeypatch.setattr(chain, "imagine", lambda *args: video)
    options = ["--keep", str(tmp_path / "keep"), "--ply", str(tmp_path / "s.ply"), "--progress", "none"]
    assert main(["gen", "office corridor", "--out", str(tmp_path / "s.usdz"), *options]) == 130
    assert capsys.readouterr().err == "lyra-sim: error: interrupted; nothing was written\n"
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video: TeacherVideo, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that running out of space while writing names the file, and leaves nothing."""

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(chain, "imagine", lambda *args: video)
    monkeypatch.setattr(outputs, "write_usdz", full)
    out = str(tmp_path / "s.usdz")
    assert main(["gen", "office corridor", "--out", out, "--no-collider", "--progress", "none"]) == 2
    assert "the disk is full" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["tokenizer", "decoder"])
def test_a_damaged_checkpoint_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that one flipped byte in the weights is found before anything is generated."""
    folder = tmp_path / "weights"
    shutil.copytree(MINI.tokenizer.parent, folder)
    weights = folder / f"{name}.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    damaged = dataclasses.replace(TINY, tokenizer=folder / "tokenizer.json", decoder=folder / "decoder.json")
    monkeypatch.setattr(chain, "resolve", lambda *of: damaged)
    assert main(["gen", "kitchen", "--out", str(tmp_path / "s.usdz"), "--progress", "none"]) == 2
    assert f"{name}.safetensors have SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "s.usdz").exists()


def test_a_real_interrupt_ends_the_process_cleanly(tmp_path: Path) -> None:
    """Show that SIGINT to the real command gives status 130, an error as last JSON line, and an empty folder."""
    command = [sys.executable, "-m", "lyra_sim", "gen", "kitchen", "--out", str(tmp_path / "s.usdz")]
    with subprocess.Popen(
        [*command, "--progress", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=heed_interrupts,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["stage"] == "teacher":
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read().splitlines()
    assert process.returncode == 130
    assert json.loads(rest[-1])["type"] == "error"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("paths", ["clockwise", "left,zoom_in"])
def test_fewer_paths_make_a_scene_too(paths: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Show that one path or two are enough, and that the report says which were used."""
    out = tmp_path / "s.usdz"
    options = ["--trajectories", paths, "--no-labels", "--progress", "json"]
    assert main(["gen", "kitchen", "--out", str(out), *options]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])["report"]
    assert sorted(report["inputs"]["teacher"]["distances"]) == sorted(paths.split(","))
    assert report["collider"]["faces"] > 0


def test_the_exact_collider_comes_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video: TeacherVideo
) -> None:
    """Show that --collider world takes the procedural world's own mesh, floor at exactly z = 0, and says so."""
    from lyra_sim.inspect import inspect_file

    monkeypatch.setattr(chain, "imagine", lambda *args: video)
    out = tmp_path / "s.usdz"
    assert (
        main(["gen", "office corridor", "--out", str(out), "--collider", "world", "--progress", "none"]) == 0
    )
    assert video.surface is not None
    stage = Usd.Stage.Open(str(out))
    collider = next(p for p in stage.TraverseAll() if p.HasAPI(UsdPhysics.CollisionAPI))
    points = np.array(UsdGeom.Mesh(collider).GetPointsAttr().Get())
    assert points[:, 2].min() == pytest.approx(video.surface.vertices[:, 2].min(), abs=1e-6)
    assert inspect_file(out).collider == "world"
