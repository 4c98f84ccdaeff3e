"""`lyra-sim gen --image` from end to end, with the shipped decoder, at a size that takes seconds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pxr import Usd, UsdGeom

import generator.generate as chain
import generator.start as start
from generator.depth import DepthEstimate
from generator.sizes import MINI
from lyra_sim.cli import main
from lyra_sim.files.ply import read_ply
from lyra_sim.inspect import inspect_file
from tests.picture_files import room_picture, write_depth_png

TINY = dataclasses.replace(MINI, height=64, width=112, frames=9)
LENS = "89.6,89.6,55.5,31.5"
WARP = ["--teacher", "warp", "--trajectories", "left,clockwise", "--progress", "none"]
BARE = [*WARP, "--no-collider", "--no-preview"]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the very same chain on smaller frames."""
    monkeypatch.setattr(chain, "resolve", lambda *of: TINY)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Write a photograph and its depth, as a depth camera over a floor gives them, and return their folder."""
    folder = tmp_path / "camera"
    folder.mkdir()
    picture = room_picture(wall=6.0, pitch=10.0)
    Image.fromarray(picture.rgb).save(folder / "rgb.png")
    write_depth_png(folder / "depth.png", picture.require_depth())
    np.save(folder / "depth.npy", picture.require_depth())
    return folder


def _gen(folder: Path, out: Path, *options: str) -> int:
    return main(["gen", "--image", str(folder / "rgb.png"), "--out", str(out), *options])


def test_a_depth_camera_makes_a_metric_scene(room: Path, tmp_path: Path) -> None:
    """Show that picture and depth give an upright metric scene that says where it is from and claims no labels."""
    out, keep = tmp_path / "s.usdz", tmp_path / "keep"
    options = ["--depth", str(room / "depth.png"), "--intrinsics", LENS, "--keep", str(keep)]
    assert _gen(room, out, *options, *WARP) == 0
    stage = Usd.Stage.Open(str(out))
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    inspected = inspect_file(out)
    assert inspected.collider == "fused"
    assert set(inspected.labels) == {"unlabelled"}
    report = json.loads((keep / "report.json").read_text())
    inputs = report["inputs"]
    assert (inputs["size"], inputs["metric"], inputs["prompt"]) == ("mini", True, "")
    assert inputs["teacher"]["teacher"] == "warp"
    picture = inputs["teacher"]["picture"]
    assert len(picture["sha256"]) == len(picture["depth_sha256"]) == 64
    assert (picture["depth_from"], picture["depth_unit"], picture["intrinsics_from"]) == (
        "file",
        "mm",
        "given",
    )
    assert report["world_frame"]["camera_height"] == pytest.approx(1.2, abs=0.02)
    assert report["world_frame"]["camera_tilt_degrees"] == pytest.approx(10.0, abs=0.5)
    frames = json.loads((keep / "transforms.json").read_text())["frames"]
    assert frames[0]["transform_matrix"][2][3] == pytest.approx(1.2, abs=0.02)
    np.testing.assert_allclose(
        np.load(keep / frames[0]["depth_file_path"]), np.load(room / "depth.npy"), rtol=0.002, atol=0.002
    )
    assert (keep / "cameras.png").is_file()
    assert (keep / "conditioning_depth.png").is_file()
    gaussians = read_ply(keep / "gaussians.ply")
    # The wall of the room stands 6 m ahead of the camera, level after standing up.
    assert np.percentile(gaussians.means[:, 1], 95) == pytest.approx(6.0, rel=0.1)
    assert abs(np.percentile(gaussians.means[:, 2], 2)) < 0.3


def test_a_toy_and_a_hall_are_the_same_scene_in_other_units(room: Path, tmp_path: Path) -> None:
    """Show that depth a twentieth or twenty times as large gives the same Gaussians, that much smaller or larger."""
    depth = np.load(room / "depth.npy")
    means = {}
    for factor in (0.05, 1.0, 20.0):
        np.save(room / "d.npy", depth * np.float32(factor))
        ply = tmp_path / f"{factor}.ply"
        options = ["--depth", str(room / "d.npy"), "--intrinsics", LENS, "--ply", str(ply)]
        assert _gen(room, tmp_path / "s.usdz", *options, *BARE) == 0
        means[factor] = read_ply(ply).means
    assert len(means[0.05]) == pytest.approx(len(means[1.0]), rel=0.01)
    for factor in (0.05, 20.0):
        for share in (5, 50, 95):
            np.testing.assert_allclose(
                np.percentile(means[factor], share, axis=0) / factor,
                np.percentile(means[1.0], share, axis=0),
                rtol=0.02,
                atol=0.02,
            )


def test_a_prompt_goes_to_a_picture_teacher_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Show that `gen PROMPT --teacher warp` starts from frame 0 of the procedural world, upright and metric."""
    keep = tmp_path / "keep"
    options = ["--out", str(tmp_path / "s.usdz"), "--keep", str(keep), *BARE]
    assert main(["gen", "warehouse aisle", *options]) == 0
    report = json.loads((keep / "report.json").read_text())
    assert report["inputs"]["teacher"]["picture"]["depth_from"] == "procedural world"
    assert report["inputs"]["world_frame"] == {"from": "procedural world"}
    assert report["inputs"]["metric"]
    assert "metrics" not in report
    pose = np.array(json.loads((keep / "transforms.json").read_text())["frames"][0]["transform_matrix"])
    assert 0.5 < pose[2, 3] < 3.0


def test_a_white_wall_works_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Show that a blank picture of constant depth makes a scene with a collider, and is called what it is."""
    Image.new("RGB", (160, 90), "white").save(tmp_path / "rgb.png")
    np.save(tmp_path / "d.npy", np.full((90, 160), 2.0, np.float32))
    out = tmp_path / "s.usdz"
    assert _gen(tmp_path, out, "--depth", str(tmp_path / "d.npy"), *WARP[:-1], "auto", "--no-preview") == 0
    said = capsys.readouterr().err
    assert "flat wall" in said
    assert "No floor" in said
    assert "65 degrees" in said
    assert inspect_file(out).collider == "fused"


def test_a_path_of_ones_own_films_the_scene(room: Path, tmp_path: Path) -> None:
    """Show that --cameras replaces the six paths, in metres, and a procedural world refuses it."""
    (tmp_path / "walk.txt").write_text("0 0 0 0 0 0 0 1\n1 0.1 0 0.2 0 0 0 1\n")
    keep = tmp_path / "keep"
    options = [
        "--depth",
        str(room / "depth.png"),
        "--cameras",
        str(tmp_path / "walk.txt"),
        "--keep",
        str(keep),
    ]
    assert _gen(room, tmp_path / "s.usdz", *options, *BARE) == 0
    frames = json.loads((keep / "transforms.json").read_text())["frames"]
    assert [frame["file_path"] for frame in frames[::8]] == [
        "images/cameras_000.png",
        "images/cameras_008.png",
    ]
    ends = np.array([frame["transform_matrix"] for frame in (frames[0], frames[-1])])[:, :3, 3]
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(np.hypot(0.1, 0.2), rel=1e-5)
    walk = ["--cameras", str(tmp_path / "walk.txt"), "--progress", "none"]
    assert main(["gen", "kitchen", "--out", str(tmp_path / "t.usdz"), *walk]) == 2


def test_without_weights_the_warp_stands_in(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that a picture still becomes a scene where the size's own teacher has no weights, and that it is said."""
    monkeypatch.setattr(
        chain, "resolve", lambda *of: dataclasses.replace(TINY, denoiser=tmp_path / "teacher.json")
    )
    options = ["--depth", str(room / "depth.png"), "--trajectories", "left", "--progress", "json", *BARE[-2:]]
    assert _gen(room, tmp_path / "s.usdz", *options) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out.splitlines()[-1])["report"]
    assert report["inputs"]["teacher"]["teacher"] == "warp"
    assert "stands in" in captured.err
    assert any("stands in" in note for note in report["notes"])


class _Estimator:
    """Claims the depth of a room that it cannot know."""

    name = "fake"
    metric = False

    def estimate(self, rgb: np.ndarray, *, intrinsics: np.ndarray | None = None) -> DepthEstimate:
        depth = room_picture(wall=6.0).require_depth()
        return DepthEstimate(depth, depth < 5.9, None)


def test_depth_is_estimated_where_there_is_none(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that a bare photograph goes through the estimator, and that the camera's height makes it metric."""
    monkeypatch.setattr(start, "load_estimator", lambda name, size: _Estimator())
    for option, metric in (([], False), (["--height-of-camera", "2.4"], True)):
        keep = tmp_path / f"keep{metric}"
        assert (
            _gen(room, tmp_path / "s.usdz", "--keep", str(keep), *option, *WARP[:-1], "auto", *BARE[-2:]) == 0
        )
        report = json.loads((keep / "report.json").read_text())
        assert report["inputs"]["metric"] is metric
        assert report["inputs"]["teacher"]["picture"]["depth_from"] == "fake"
        assert report["world_frame"]["camera_height"] == pytest.approx(2.4 if metric else 1.2, rel=0.05)
        said = capsys.readouterr().err
        assert ("no known unit" in said) is not metric
        assert "65 degrees" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "PROMPT is empty"),
        (["kitchen", "--depth", "d.png"], "give --image"),
        (["kitchen", "--intrinsics", "1,2,3,4"], "give --image"),
        (["kitchen", "--height-of-camera", "1"], "is for pictures"),
        (["kitchen", "--teacher", "warp", "--depth-model", "mini"], "is for pictures"),
        (["--image", "a.png", "--depth-unit", "mm"], "belongs to --depth"),
        (["--image", "a.png", "--depth", "d.png", "--depth-model", "mini"], "exclude"),
        (["--image", "a.png", "--collider", "world"], "no exact mesh"),
        (["--image", "a.png", "--movement", "0"], "--movement 0"),
        (["--image", "a.png", "--movement", "nan"], "--movement nan"),
        (["--image", "a.png", "--height-of-camera", "-1"], "--height-of-camera -1"),
        (["--image", "a.png", "--teacher", "procedural"], "takes no --image"),
        (["--image", "a.png", "--teacher", "gen3c"], "does not run at --size mini"),
        (["--image", "missing.png", "--teacher", "warp"], "cannot be read"),
        (["--image", "a.png", "--server", "http://127.0.0.1:1", "--intrinsics", "a.yaml"], "four numbers"),
        (["--image", "a.png", "--server", "http://127.0.0.1:1", "--cameras", "a.txt"], "with --server"),
        (["kitchen", "--server", "http://127.0.0.1:1", "--collider", "world"], "with --server"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    options: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Show that options without their picture, and those that contradict each other, end with one clear line."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save("a.png")
    assert main(["gen", *options, "--out", "s.usdz", "--progress", "none"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not Path("s.usdz").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--image", "s.png"], "its preview s.png would replace the file of --image"),
        (["--image", "a.png", "--depth", "s.png"], "would replace the file of --depth"),
        (["--image", "kept/a.png", "--keep", "kept"], "holds the file of --image"),
    ],
)
def test_no_input_is_replaced(
    options: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Show that a run whose preview or --keep would take the place of what it starts from is refused in one line."""
    monkeypatch.chdir(tmp_path)
    Path("kept").mkdir()
    Path("kept/report.json").write_text("{}")
    pictures = [Path(name) for name in ("a.png", "s.png", "kept/a.png")]
    for picture in pictures:
        Image.new("RGB", (64, 64)).save(picture)
    before = [picture.read_bytes() for picture in pictures]
    assert main(["gen", *options, "--out", "s.usdz", "--progress", "none"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert [picture.read_bytes() for picture in pictures] == before
