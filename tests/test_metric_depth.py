"""The scale of a capture from metric depth at known cameras."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from gaussian_scenes import random_gaussians, room_views

from generator.camera_files import PosedFrames, write_transforms
from generator.cameras import Cameras
from lyra_sim.cli import main
from lyra_sim.collider import DepthViews
from lyra_sim.commands.convert import render_depth
from lyra_sim.convert import ConvertConfig, convert
from lyra_sim.errors import LyraSimError
from lyra_sim.files import write_ply
from lyra_sim.gaussians import Gaussians
from lyra_sim.metric_depth import MetricViews, estimate_scale, read_metric_views, scale_from_depth
from lyra_sim.transform import AXES, Similarity, rotation_between
from lyra_sim.usd.reader import read_usd

UNIT = 0.037
"""Units of the capture per metre."""
CAPTURED = Similarity(rotation_between(AXES["z"], AXES["-y"]), np.array([1.0, -2.0, 0.5]), UNIT)
"""From the room's frame, in metres, to the capture's, with y down."""


@pytest.fixture(scope="module")
def seen() -> DepthViews:
    """True depth of the analytic room."""
    return room_views(3)


@pytest.fixture(scope="module")
def room() -> Gaussians:
    """Splats on the surfaces of the room, in metres."""
    means = room_views(12).points(stride=2)
    flat = np.full((len(means), 3), 0.03, np.float32)
    upright = np.tile(np.array([1, 0, 0, 0], np.float32), (len(means), 1))
    return Gaussians.from_rgb(means, flat, upright, np.full(len(means), 0.9, np.float32), means * 0 + 0.5)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory, room: Gaussians, seen: DepthViews) -> Path:
    """A folder with the capture, its cameras (all, and one alone), and their depth maps."""
    folder = tmp_path_factory.mktemp("capture")
    write_ply(folder / "capture.ply", CAPTURED.gaussians(room))
    names = [f"{i}.npy" for i in range(len(seen))]
    for name, depth in zip(names, seen.depth, strict=True):
        np.save(folder / name, depth)
    _, height, width = seen.depth.shape
    cameras = Cameras(moved(seen.c2w, CAPTURED), seen.intrinsics, height, width)
    write_transforms(folder / "all.json", PosedFrames(cameras, depth_file_paths=tuple(names)))
    write_transforms(folder / "one.json", PosedFrames(cameras.select([1])))
    write_transforms(folder / "bare.json", PosedFrames(cameras))
    return folder


def moved(c2w: np.ndarray, move: Similarity) -> np.ndarray:
    """Return poses in the target frame and unit."""
    poses = c2w.copy()
    poses[:, :3, :3] = move.rotation @ c2w[:, :3, :3]
    poses[:, :3, 3] = c2w[:, :3, 3] @ (move.scale * move.rotation.T) + move.translation
    return poses


def test_scale_between_two_depths() -> None:
    """The factor between rendered and metric depth is found with outliers about, and its uncertainty said."""
    rng = np.random.default_rng(0)
    metric = rng.uniform(1, 8, (4, 20, 30))
    rendered = metric / 2.5 * rng.normal(1, 0.02, metric.shape)
    rendered[:, :3] = rng.uniform(0, 10, (4, 3, 30))
    metric[:, -1] = 0
    found = estimate_scale(rendered, metric)
    assert abs(found.scale - 2.5) < 0.02
    assert 0 < found.uncertainty < 0.01
    assert 0.005 < found.spread < 0.03
    with pytest.raises(LyraSimError, match="pixels"):
        estimate_scale(rendered, metric * 0)


def test_uncertainty_shows_what_regions_disagree_about() -> None:
    """A depth map whose halves differ by 8% in scale has an uncertainty of that size, with a million pixels too."""
    rendered = np.full((1, 1000, 1000), 2.0)
    metric = rendered * np.where(np.arange(1000) < 500, 1.0, 1.08)
    found = estimate_scale(rendered, metric)
    assert found.uncertainty > 0.02


@pytest.mark.parametrize("unit", [0.01, 1.0, 300.0])
def test_wrong_scale_is_found_in_any_unit(room: Gaussians, seen: DepthViews, unit: float) -> None:
    """A room in centimetre-like or kilometre-like units gets its true scale from one depth map, within 1%."""
    move = Similarity(scale=unit)
    views = MetricViews(seen.depth[:1], moved(seen.c2w, move)[:1], seen.intrinsics[:1])
    found = scale_from_depth(move.gaussians(room), views, render_depth)
    assert abs(found.scale * unit - 1) < max(0.01, 2 * found.uncertainty)
    assert found.uncertainty < 0.03
    assert found.views == 1


def test_convert_takes_the_scale_and_says_so(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The scene comes out in metres; stderr, JSON and provenance state the scale and its uncertainty."""
    arguments = ["convert", str(capture / "capture.ply"), str(capture / "scene.usdz"), "--up-axis=-y:z"]
    arguments += [
        "--collider",
        "none",
        "--camera",
        str(capture / "one.json"),
        "--depth",
        str(capture / "1.npy"),
    ]
    assert main(arguments) == 0
    assert "from the depth of 1 view" in capsys.readouterr().err
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["metric"]
    assert abs(told["scale"] * UNIT - 1) < 0.02
    scene = read_usd(capture / "scene.usdz")
    size = np.ptp(np.percentile(scene.gaussians.means, [1, 99], axis=0), axis=0)
    np.testing.assert_allclose(size[1:], [6.0, 2.8], rtol=0.05)
    steps = scene.provenance["conversions"]
    assert isinstance(steps, list)
    assert steps[-1]["scale_from_depth"] == told


def test_cameras_name_their_own_depth(capture: Path) -> None:
    """Without `--depth` the frames' own maps count; with it, that of the frame which names the map."""
    every = read_metric_views(capture / "all.json")
    assert every.depth.shape[0] == 3
    one = read_metric_views(capture / "all.json", capture / "2.npy")
    np.testing.assert_array_equal(one.depth[0], every.depth[2])
    np.testing.assert_array_equal(one.c2w[0], every.c2w[2])


def test_wrong_camera_is_noted_or_refused(capture: Path, tmp_path: Path) -> None:
    """Depth of another camera leaves a note that the scale is rough, or is refused, but is not taken as sure."""
    config = ConvertConfig(camera=str(capture / "one.json"), depth=str(capture / "0.npy"), collider="none")
    try:
        report = convert(capture / "capture.ply", tmp_path / "a.usdz", config=config, render=render_depth)
    except LyraSimError as error:
        assert "do not show the same view" in str(error)  # noqa: PT017
    else:
        assert "rough" in " ".join(report.notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--depth", "1.npy"], "needs --camera"),
        (["--camera", "one.json", "--depth", "1.npy", "--scale", "2"], "leave out --scale"),
        (["--camera", "one.json", "--depth", "1.npy", "--height-of-camera", "2"], "leave out --scale"),
        (["--camera", "one.json"], "name no depth maps"),
        (["--camera", "bare.json", "--depth", "1.npy"], "holds 3 cameras"),
        (["--camera", "one.json", "--depth", "absent.npy"], "cannot be read"),
        (["--camera", "absent.json", "--depth", "1.npy"], "cannot be read"),
        (["--camera", "one.json", "--depth", "wide.npy"], "another shape"),
        (["--camera", "away.json", "--depth", "1.npy"], "sees 0 splats"),
    ],
)
def test_what_cannot_give_a_scale_is_named(
    capture: Path, tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options that contradict, maps that fit no camera and cameras that see nothing give one line and no file."""
    np.save(capture / "wide.npy", np.ones((50, 300), np.float32))
    pose = np.eye(4)
    pose[:3, 3] = 1e4
    away = Cameras(pose[None], np.array([[80.0, 80, 64, 36]]), 72, 128)
    write_transforms(capture / "away.json", PosedFrames(away))
    paths = [o if o.startswith("--") or o == "2" else str(capture / o) for o in options]
    assert main(["convert", str(capture / "capture.ply"), str(tmp_path / "a.usdz"), *paths]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error
    assert list(tmp_path.iterdir()) == []


def test_scene_that_shows_nothing_is_refused(seen: DepthViews) -> None:
    """Splats that are all behind the camera leave no pixel to compare, which is said."""
    cloud = random_gaussians(2000)
    views = MetricViews(seen.depth[:1], np.eye(4)[None], seen.intrinsics[:1])
    views.c2w[0, 2, 3] = 100.0
    with pytest.raises(LyraSimError, match="sees 0 splats"):
        scale_from_depth(cloud, views, render_depth)
