"""Evaluation: averages, readers of the field's layouts on tiny sets, and the command on scenes and videos."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from generator.camera_files import PosedFrames, write_transforms
from generator.cameras import Cameras
from generator.render import render_views
from lyra_sim.cli import main
from lyra_sim.errors import LyraSimError
from lyra_sim.files.ply import write_ply
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import Scene
from lyra_sim.usd.writer import write_usdz
from training.evaluation.pictures import cover, undistort
from training.evaluation.protocols import read_dl3dv, read_protocol
from training.evaluation.scores import SceneScores, average

HEIGHT, WIDTH, FRAMES = 48, 64, 4
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def gaussians() -> Gaussians:
    """A cloud of coloured Gaussians about 3 m in front of the origin."""
    rng = np.random.default_rng(5)
    count = 400
    means = rng.uniform([-1.5, -1.2, 2.0], [1.5, 1.2, 4.0], (count, 3)).astype(np.float32)
    rotations = np.tile(np.float32([1, 0, 0, 0]), (count, 1))
    scales = rng.uniform(0.05, 0.2, (count, 3)).astype(np.float32)
    rgb = rng.uniform(0, 1, (count, 3)).astype(np.float32)
    return Gaussians.from_rgb(means, scales, rotations, np.full(count, 0.9, np.float32), rgb)


@pytest.fixture(scope="module")
def cameras() -> Cameras:
    """Cameras that move to the right of the origin."""
    c2w = np.tile(np.eye(4), (FRAMES, 1, 1))
    c2w[:, 0, 3] = np.linspace(0, 0.6, FRAMES)
    return Cameras(c2w, np.tile([60.0, 60.0, WIDTH / 2, HEIGHT / 2], (FRAMES, 1)), HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def photographs(gaussians, cameras) -> np.ndarray:
    """What the cameras see, uint8, (F, H, W, 3)."""
    views = render_views(gaussians, cameras.c2w, cameras.intrinsics, height=HEIGHT, width=WIDTH)
    return (views.rgb.numpy().clip(0, 1) * 255).round().astype(np.uint8)


def save_pictures(folder: Path, photographs: np.ndarray, names: list[str]) -> None:
    """Write photographs as PNG."""
    folder.mkdir(parents=True)
    for name, picture in zip(names, photographs, strict=True):
        Image.fromarray(picture).save(folder / f"{name}.png")


def in_units(cameras: Cameras, unit: float) -> np.ndarray:
    """Return the poses with lengths in another unit [m], turned and moved as a data set's frame may be."""
    angle = 0.7
    frame = np.eye(4)
    frame[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    frame[:3, 3] = (3, -1, 2)
    c2w = cameras.c2w.copy()
    c2w[:, :3, 3] /= unit
    return frame @ c2w


def as_re10k(folder: Path, cameras: Cameras, photographs: np.ndarray) -> None:
    """Write a scene in RealEstate10K's layout."""
    names = [str(1000 * i) for i in range(FRAMES)]
    save_pictures(folder / "house", photographs, names)
    normalised = cameras.intrinsics / [WIDTH, HEIGHT, WIDTH, HEIGHT]
    rows = np.concatenate([normalised, np.zeros((FRAMES, 2)), cameras.w2c[:, :3].reshape(FRAMES, 12)], axis=1)
    lines = [" ".join([name, *map(repr, row)]) for name, row in zip(names, rows.tolist(), strict=True)]
    (folder / "house.txt").write_text("\n".join(["https://example.org/video", *lines]))


def as_dl3dv(folder: Path, cameras: Cameras, photographs: np.ndarray) -> None:
    """Write a scene in DL3DV's layout: pictures reduced by four beside cameras of the full size."""
    names = [f"frame_{i + 1:05d}" for i in range(FRAMES)]
    save_pictures(folder / "house" / "images_4", photographs, names)
    frames = [
        {"file_path": f"images/{name}.png", "transform_matrix": (pose @ OPENGL).tolist()}
        for name, pose in zip(names, cameras.c2w, strict=True)
    ]
    fx, fy, cx, cy = (cameras.intrinsics[0] * 4).tolist()
    head = {"w": WIDTH * 4, "h": HEIGHT * 4, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "k1": 0.0, "p1": 0.0}
    (folder / "house" / "transforms.json").write_text(json.dumps(head | {"frames": frames[::-1]}))


def as_tanks(folder: Path, cameras: Cameras, photographs: np.ndarray) -> None:
    """Write a scene in the layout of Tanks and Temples."""
    save_pictures(folder / "house", photographs, [f"{i + 1:06d}" for i in range(FRAMES)])
    lines = []
    for index, pose in enumerate(cameras.c2w):
        lines += [f"{index} {index} 0", *(" ".join(map(repr, row)) for row in pose.tolist())]
    (folder / "house" / "house_COLMAP_SfM.log").write_text("\n".join(lines))


LAYOUTS = {"re10k": as_re10k, "dl3dv": as_dl3dv, "tanks": as_tanks}


@pytest.mark.parametrize("protocol", LAYOUTS)
def test_readers_give_back_the_cameras_that_were_written(tmp_path, protocol, cameras, photographs):
    """Poses, the order of frames and pictures come back from every layout; intrinsics where the layout holds them."""
    moved = Cameras(in_units(cameras, 2.0), cameras.intrinsics, HEIGHT, WIDTH)
    LAYOUTS[protocol](tmp_path, moved, photographs)
    (shots,) = read_protocol(protocol, tmp_path)
    assert shots.name == "house"
    np.testing.assert_allclose(shots.cameras.c2w, moved.c2w, atol=1e-9)
    read = shots.cameras.resized(HEIGHT, WIDTH).intrinsics
    focal = 0.7 * WIDTH if protocol == "tanks" else 60.0
    np.testing.assert_allclose(read, np.tile([focal, focal, WIDTH / 2, HEIGHT / 2], (FRAMES, 1)))
    np.testing.assert_allclose(shots.picture(2), photographs[2] / 255, atol=1e-6)


@pytest.mark.parametrize("protocol", ["re10k", "dl3dv"])
def test_a_scene_is_laid_over_its_photograph_and_the_unit_found(
    tmp_path, capsys, monkeypatch, protocol, gaussians, cameras, photographs
):
    """A scene made from photograph 0 scores like itself in a data set of another frame and unit, fitted to 2%."""
    monkeypatch.setattr("training.evaluation.perceptual.load_vgg", lambda device: None)
    unit = 1.7
    moved = Cameras(in_units(cameras, unit), cameras.intrinsics, HEIGHT, WIDTH)
    LAYOUTS[protocol](tmp_path / "data", moved, photographs)
    camera = {
        "c2w": np.eye(4).tolist(),
        "intrinsics_px": cameras.intrinsics[0].tolist(),
        "size_px": [WIDTH, HEIGHT],
        "travel_m": 0.6,
    }
    (tmp_path / "scenes").mkdir()
    write_usdz(tmp_path / "scenes" / "house.usdz", Scene(gaussians, provenance={"camera": camera}))
    command = ["eval", str(tmp_path / "scenes"), "--protocol", protocol, str(tmp_path / "data")]
    assert (
        main([*command, "--resolution", "64x48", "--out", str(tmp_path / "out"), "--progress", "none"]) == 0
    )
    report = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert report["scenes"][0]["fitted_scale"] == pytest.approx(unit, rel=0.02)
    assert len(report["scenes"][0]["ssim"]) == FRAMES - 1
    assert report["average"]["psnr_db"] > 35
    assert report["average"]["lpips"] is None
    assert "not measured" in report["perceptual"]
    assert "| house | 3 |" in capsys.readouterr().out
    with Image.open(tmp_path / "out" / "eval.png") as picture:
        assert picture.width > 900


def test_a_ply_is_judged_against_transforms(tmp_path, gaussians, cameras, photographs):
    """Any tool's PLY, rendered at the cameras of a transforms.json, equals its own pictures to their rounding."""
    names = tuple(f"images/{i}.png" for i in range(FRAMES))
    save_pictures(tmp_path / "images", photographs, [str(i) for i in range(FRAMES)])
    splits = ("input", "held_out", "held_out", "input")
    write_transforms(tmp_path / "transforms.json", PosedFrames(cameras, names, splits=splits))
    write_ply(tmp_path / "scene.ply", gaussians)
    command = ["eval", str(tmp_path / "scene.ply"), "--cameras", str(tmp_path / "transforms.json")]
    assert main([*command, "--split", "held_out", "--out", str(tmp_path / "out"), "--progress", "none"]) == 0
    (scene,) = json.loads((tmp_path / "out" / "eval.json").read_text())["scenes"]
    assert len(scene["psnr_db"]) == 2
    assert min(scene["psnr_db"]) > 50


def test_videos_are_judged_frame_by_frame(tmp_path, capsys):
    """Two folders of videos: the same video is nearly perfect, an inverted one is not, sizes are brought together."""
    rng = np.random.default_rng(0)
    small = np.kron(rng.uniform(0, 255, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)

    def write(path: Path, frame: np.ndarray, count: int) -> None:
        path.parent.mkdir(exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=24)
            stream.height, stream.width, stream.bit_rate = *frame.shape[:2], 8_000_000
            stream.pix_fmt = "yuv420p"
            for _ in range(count):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())

    write(tmp_path / "ours" / "same.mp4", small, 3)
    write(tmp_path / "theirs" / "same.mp4", np.kron(small, np.ones((2, 2, 1), np.uint8)), 5)
    write(tmp_path / "ours" / "wrong.mp4", 255 - small, 3)
    write(tmp_path / "theirs" / "wrong.mp4", small, 3)
    out = tmp_path / "out"
    command = ["eval", str(tmp_path / "ours"), "--truth", str(tmp_path / "theirs"), "--out", str(out)]
    assert main([*command, "--progress", "none"]) == 0
    same, wrong = json.loads((out / "eval.json").read_text())["scenes"]
    assert (len(same["psnr_db"]), len(wrong["psnr_db"])) == (3, 3)
    assert min(same["psnr_db"]) > 20 > 12 > max(wrong["psnr_db"])
    assert "Published" in capsys.readouterr().out


def test_averages_are_taken_per_frame_index_first():
    """Scenes of unequal length: the mean over scenes per index, then over indices; equal frames have no PSNR."""
    nothing = (float("nan"),) * 2
    long = SceneScores("a", (10.0, float("inf")), (0.2, 0.4), nothing)
    short = SceneScores("b", (20.0,), (0.6,), nothing[:1])
    means = average([long, short])
    assert means["psnr_db"] == pytest.approx(15.0)
    assert means["ssim"] == pytest.approx((0.4 + 0.4) / 2)
    assert np.isnan(means["lpips"])


def test_undistorting_undoes_a_known_lens():
    """A picture bent by k1 and freed from it again equals the straight one inside."""
    y, x = np.mgrid[:120, :160] + 0.5
    intrinsics, distortion = np.array([100.0, 100.0, 80.0, 60.0]), np.array([-0.1, 0.02, 0.001, -0.002])

    def pattern(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(u * 5), np.cos(v * 4), np.sin(u * v)], axis=-1)

    u, v = (x - 80) / 100, (y - 60) / 100
    straight_u, straight_v = u.copy(), v.copy()
    for _ in range(30):
        r2 = straight_u**2 + straight_v**2
        radial = 1 - 0.1 * r2 + 0.02 * r2**2
        du = 2 * 0.001 * straight_u * straight_v - 0.002 * (r2 + 2 * straight_u**2)
        dv = 0.001 * (r2 + 2 * straight_v**2) - 2 * 0.002 * straight_u * straight_v
        straight_u, straight_v = (u - du) / radial, (v - dv) / radial
    seen = pattern(straight_u, straight_v)
    restored = undistort(seen, intrinsics, distortion)
    np.testing.assert_allclose(restored[20:-20, 20:-20], pattern(u, v)[20:-20, 20:-20], atol=2e-3)


def test_covering_crops_the_centre():
    """A wide picture brought to a square keeps its middle and its height."""
    image = np.zeros((10, 30, 3), np.float32)
    image[:, 10:20] = 1
    np.testing.assert_array_equal(cover(image, 10, 10), np.ones((10, 10, 3)))


def test_bad_input_is_one_line(tmp_path, capsys, cameras, photographs):
    """Missing files, options that do not go together, and damaged sets name what is wrong and leave nothing."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "scene.ply").write_text("x")
    folder, scene = str(tmp_path / "empty"), str(tmp_path / "scene.ply")
    out = ["--out", str(tmp_path / "out")]
    cases = {
        "does not exist": ["nowhere.usdz", "--cameras", "t.json"],
        "judges one scene": [folder, "--cameras", "t.json"],
        "judge a folder": [scene, "--truth", folder],
        "unknown; choose from": [folder, "--protocol", "kitti", folder],
        "holds no scene of re10k": [folder, "--protocol", "re10k", folder],
        "holds no videos": [folder, "--truth", folder],
        "--split goes with": [folder, "--truth", folder, "--split", "x"],
        "cannot be read as JSON": [scene, "--cameras", str(tmp_path / "none.json")],
    }
    for reason, arguments in cases.items():
        assert main(["eval", *arguments, *out]) != 0
        message = capsys.readouterr().err.strip().splitlines()
        assert reason in message[-1], (reason, message)
        assert not (tmp_path / "out").exists()
    as_re10k(tmp_path / "data", cameras, photographs)
    (tmp_path / "data" / "house.txt").write_text("link\n1 2 3\n")
    with pytest.raises(LyraSimError, match="lines of 19 numbers"):
        read_protocol("re10k", tmp_path / "data")
    as_dl3dv(tmp_path / "other", cameras, photographs)
    (tmp_path / "other" / "house" / "images_4" / "frame_00001.png").unlink()
    with pytest.raises(LyraSimError, match="is missing"):
        read_dl3dv(tmp_path / "other" / "house")


def test_a_bent_lens_of_dl3dv_is_read_and_damage_is_named(tmp_path, cameras, photographs):
    """k1 to p2 reach the pictures' undistortion; a transforms.json without poses or with a fisheye is one error."""
    as_dl3dv(tmp_path, cameras, photographs)
    path = tmp_path / "house" / "transforms.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"k1": -0.05, "k2": 0.01, "p2": 0.002}))
    np.testing.assert_array_equal(read_dl3dv(tmp_path / "house").distortion, [-0.05, 0.01, 0.0, 0.002])
    path.write_text(json.dumps(document | {"camera_model": "OPENCV_FISHEYE"}))
    with pytest.raises(LyraSimError, match="OPENCV_FISHEYE is not supported"):
        read_dl3dv(tmp_path / "house")
    path.write_text(json.dumps(document | {"frames": [{"file_path": "images/a.png"}]}))
    with pytest.raises(LyraSimError, match="transform_matrix of frame 0"):
        read_dl3dv(tmp_path / "house")
