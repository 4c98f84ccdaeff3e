"""From a conditioning picture to posed video: upright frame, camera paths, warp teacher, own paths."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from generator.cache.fill import fill_colours
from generator.camera_files import PosedFrames, write_transforms
from generator.cameras import Cameras, invert_rigid
from generator.generate import warn_of_unseen
from generator.own_path import read_own_path, resample
from generator.request import Request, Run
from generator.sizes import MINI, full
from generator.teachers.picture_paths import plan_paths
from generator.teachers.registry import TEACHERS, load_teacher, teacher_entry
from generator.teachers.warp import WarpTeacher
from generator.trajectories import SDG_TRAJECTORIES
from generator.upright import stand_up
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress
from tests.picture_files import room_picture

SMALL = {"height": 64, "width": 112, "frames": 9}


@pytest.mark.parametrize("pitch", [0.0, 12.0, 30.0])
def test_the_floor_says_what_is_up(pitch: float) -> None:
    """Show that height and tilt of a camera over a floor are found, also of one that looks down."""
    upright = stand_up(room_picture(pitch=pitch, camera_height=1.2, wall=7.0))
    assert upright.report["floor"] == "fitted"
    assert upright.report["camera_tilt_degrees"] == pytest.approx(pitch, abs=0.5)
    assert upright.c2w[2, 3] == pytest.approx(1.2, abs=0.02)
    np.testing.assert_allclose(upright.c2w[:3, :3] @ upright.c2w[:3, :3].T, np.eye(3), atol=1e-9)
    view = upright.c2w[:3, 2]
    assert view[2] == pytest.approx(-np.sin(np.radians(pitch)), abs=0.01)
    assert "1.2" in upright.message


def test_the_height_of_the_camera_sets_the_scale() -> None:
    """Show that depth that is half of the truth is doubled when the camera's true height is given."""
    picture = room_picture(camera_height=1.2, wall=7.0).scaled(0.5)
    upright = stand_up(picture, camera_height=1.2)
    assert upright.scale == pytest.approx(2.0, rel=0.01)
    assert upright.c2w[2, 3] == pytest.approx(1.2)


def test_without_a_floor_the_camera_is_level() -> None:
    """Show that a wall alone leaves the camera level over its lowest points, says so, and sets no scale."""
    wall = room_picture(wall=2.0, camera_height=50.0)
    upright = stand_up(wall)
    assert upright.report["floor"] == "assumed"
    assert "No floor" in upright.message
    np.testing.assert_allclose(upright.c2w[:3, 2], [0, 1, 0], atol=1e-9)
    with pytest.raises(LyraSimError, match="no floor is seen"):
        stand_up(wall, camera_height=1.5)


def test_paths_grow_with_the_scene_and_the_movement() -> None:
    """Show that a scene ten times as large is filmed along paths ten times as long, and --movement stretches."""
    small = room_picture()
    plan = {"frames": 9, "seed": 4}
    reach = [
        np.array(
            [
                np.linalg.norm(p.cameras.c2w[-1, :3, 3])
                for p in plan_paths(picture, SDG_TRAJECTORIES, movement=m, **plan)
            ]
        )  # type: ignore[arg-type]
        for picture, m in ((small, 1.0), (small.scaled(10.0), 1.0), (small, 0.5))
    ]
    np.testing.assert_allclose(reach[1], 10 * reach[0], rtol=1e-5)
    linear = slice(0, 3)
    np.testing.assert_allclose(reach[2][linear], 0.5 * reach[0][linear], rtol=1e-5)
    for path in plan_paths(small, SDG_TRAJECTORIES, movement=1.0, **plan):  # type: ignore[arg-type]
        np.testing.assert_allclose(path.cameras.c2w[0], np.eye(4), atol=1e-12)
        np.testing.assert_allclose(path.cameras.intrinsics, np.tile(small.intrinsics, (9, 1)))
    with pytest.raises(LyraSimError, match="--movement"):
        plan_paths(small, SDG_TRAJECTORIES, movement=0.0, **plan)  # type: ignore[arg-type]


def test_the_warp_shows_what_the_picture_saw() -> None:
    """Show that frame 0 is the picture itself, that later depth agrees with the room, and nothing is claimed."""
    picture = room_picture()
    video = WarpTeacher(**SMALL, trajectories=SDG_TRAJECTORIES[:2]).imagine(picture, seed=1)
    assert [clip.name for clip in video.clips] == ["left", "right"]
    assert video.held_out is None
    assert video.classes == ("unlabelled",)
    for clip in video.clips:
        np.testing.assert_array_equal(clip.rgb[0], picture.rgb)
        np.testing.assert_array_equal(clip.depth[0], picture.require_depth())
        assert clip.labels is None
        seen = clip.depth[-1] > 0
        assert 0.5 < seen.mean() < 1
        assert (clip.rgb[-1][~seen].std(axis=0) > 0).any()
        # The wall of the room stays where it is: its points lie at depth 4 of the first camera.
        points = _points(clip.depth[-1], clip.cameras, -1)
        wall = seen[8:16, 30:80].ravel()
        assert np.median(np.abs(points.reshape(64, 112, 3)[8:16, 30:80].reshape(-1, 3)[wall, 2] - 4.0)) < 0.02


def test_a_path_that_leaves_the_picture_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Show that a path along which the picture shows little is told, and one that stays in view is not."""
    for movement, told in ((1.0, False), (12.0, True)):
        teacher = WarpTeacher(**SMALL, trajectories=SDG_TRAJECTORIES[:1], movement=movement)
        run = Run(Request("", tmp_path / "s.usdz"), Progress("auto", {"teacher": 1.0}))
        warn_of_unseen(run, teacher.imagine(room_picture(), seed=0))
        assert ("notes" in run.report) is told
        assert ("Path left" in capsys.readouterr().err) is told


def _points(depth: np.ndarray, cameras: Cameras, index: int) -> np.ndarray:
    fx, fy, cx, cy = cameras.intrinsics[index]
    height, width = depth.shape
    x, y = np.meshgrid((np.arange(width) + 0.5 - cx) / fx, (np.arange(height) + 0.5 - cy) / fy)
    points = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3) * depth.reshape(-1, 1)
    return points @ cameras.c2w[index, :3, :3].T + cameras.c2w[index, :3, 3]


def test_warping_is_repeatable_and_scale_free() -> None:
    """Show that equal inputs give equal frames, and that the unit of the depth does not matter."""
    teacher = WarpTeacher(**SMALL, trajectories=SDG_TRAJECTORIES[3:4])
    first, again, larger = (
        teacher.imagine(picture, seed=2).clips[0].rgb
        for picture in (room_picture(), room_picture(), room_picture().scaled(8.0))
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - larger).mean() < 0.5


def test_holes_take_the_colour_of_the_background() -> None:
    """Show that a hole between a near red and a far blue area is filled blue, and known pixels stay."""
    colours = torch.zeros(1, 3, 32, 48)
    colours[:, 0, :, :20] = 1
    colours[:, 2, :, 28:] = 1
    depth = torch.full((1, 32, 48), 8.0)
    depth[..., :20] = 1.0
    known = torch.ones(1, 32, 48, dtype=torch.bool)
    known[..., 20:28] = False
    filled = fill_colours(colours, depth, known)
    np.testing.assert_allclose(filled[..., :20], colours[..., :20])
    np.testing.assert_allclose(filled[..., 28:], colours[..., 28:])
    assert float(filled[0, 2, 16, 24]) > 0.9
    assert float(filled[0, 0, 16, 24]) < 0.1


def _walk() -> np.ndarray:
    """Return nine poses that walk ahead and turn right, starting somewhere in a map."""
    turn = Rotation.from_rotvec(np.radians(np.linspace(0, 40, 9))[:, None] * [0.0, 1.0, 0.0]).as_matrix()
    c2w = np.tile(np.eye(4), (9, 1, 1))
    c2w[:, :3, :3] = turn
    c2w[:, 2, 3] = np.linspace(0, 0.8, 9)
    start = np.eye(4)
    start[:3, :3] = Rotation.from_euler("xyz", [20, 70, 5], degrees=True).as_matrix()
    start[:3, 3] = [3.0, -2.0, 7.0]
    return start @ c2w


def test_a_path_of_ones_own_is_read_and_resampled(tmp_path: Path) -> None:
    """Show that transforms.json and TUM give the same path, which starts at the picture and has any length."""
    poses = _walk()
    cameras = Cameras(poses, np.tile([50.0, 50.0, 32.0, 24.0], (9, 1)), 48, 64)
    write_transforms(tmp_path / "a.json", PosedFrames(cameras))
    quaternions = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    lines = [
        " ".join(f"{v:.9f}" for v in (0.1 * i, *pose[:3, 3], *quaternion))
        for i, (pose, quaternion) in enumerate(zip(poses, quaternions, strict=True))
    ]
    (tmp_path / "b.txt").write_text("# time x y z qx qy qz qw\n" + "\n".join(lines))
    for name in ("a.json", "b.txt"):
        path = read_own_path(tmp_path / name)
        c2w = invert_rigid(path.w2c(frames=17, distance=1.0))
        np.testing.assert_allclose(c2w[0], np.eye(4), atol=1e-7)
        np.testing.assert_allclose(c2w[::2], np.linalg.inv(poses[0]) @ poses, atol=1e-6)
        np.testing.assert_allclose(c2w[1, 2, 3], 0.05, atol=1e-6)
        np.testing.assert_allclose(invert_rigid(path.scaled(2).w2c(frames=17, distance=0.5)), c2w, atol=1e-9)


def test_resampling_keeps_poses_rigid_and_even() -> None:
    """Show that interpolated rotations are rotations and that equal steps of time turn equally."""
    poses = _walk()
    fine = resample(poses, np.arange(9.0), 33)
    np.testing.assert_allclose(fine[::4], poses, atol=1e-12)
    identity = fine[:, :3, :3] @ np.swapaxes(fine[:, :3, :3], 1, 2)
    np.testing.assert_allclose(identity, np.tile(np.eye(3), (33, 1, 1)), atol=1e-12)
    steps = (
        Rotation.from_matrix(fine[:-1, :3, :3]).inv() * Rotation.from_matrix(fine[1:, :3, :3])
    ).magnitude()
    np.testing.assert_allclose(steps, np.radians(40) / 32, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 0 0 0 0 0 0 1", "at least two"),
        ("0 0 0 0 0 0 0 1\n0 1 0 0 0 0 0 1", "rise"),
        ("0 0 0 0 0 0 0 1\n1 1 0 0 0 1 0 0", "give more poses"),
        ("0 0 0", "line 1"),
    ],
)
def test_unusable_paths_are_one_line(text: str, words: str, tmp_path: Path) -> None:
    """Show that single poses, times that fall, and half turns between two poses are refused."""
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(LyraSimError, match=words):
        read_own_path(tmp_path / "a.txt")


def test_the_warp_follows_a_path_of_ones_own(tmp_path: Path) -> None:
    """Show that such a path becomes the one clip, with the very poses of the file."""
    cameras = Cameras(_walk(), np.tile([50.0, 50.0, 32.0, 24.0], (9, 1)), 48, 64)
    write_transforms(tmp_path / "a.json", PosedFrames(cameras))
    video = WarpTeacher(**SMALL, trajectories=(read_own_path(tmp_path / "a.json"),)).imagine(
        room_picture(), seed=0
    )
    assert [clip.name for clip in video.clips] == ["cameras"]
    np.testing.assert_allclose(video.clips[0].cameras.c2w, np.linalg.inv(_walk()[0]) @ _walk(), atol=1e-6)
    json.dumps(video.source)


def test_teachers_are_found_by_name_and_size() -> None:
    """Show that every size has its teachers, that the warp loads at both, and what cannot be is said."""
    for size in (MINI, full()):
        assert teacher_entry(size.picture_teacher, size.name).start == "picture"
        teacher = load_teacher(teacher_entry("warp", size.name), size, trajectories=SDG_TRAJECTORIES[:1])
        assert (teacher.height, teacher.frames) == (size.height, size.frames)  # type: ignore[attr-defined]
    assert len({entry.name for entry in TEACHERS}) == len(TEACHERS)
    with pytest.raises(LyraSimError, match="does not run at --size mini"):
        teacher_entry("gen3c", "mini")
    with pytest.raises(LyraSimError, match="no such teacher"):
        teacher_entry("magic", "mini")


def test_a_teacher_refuses_what_it_cannot_start_from() -> None:
    """Show that words, a picture of another size and a picture without depth are named."""
    teacher = WarpTeacher(**SMALL)
    picture = room_picture()
    bare = type(picture)(picture.rgb, None, picture.intrinsics)
    for conditioning, words in (
        ("kitchen", "needs a Picture"),
        (room_picture(32, 56), "works at"),
        (bare, "no depth"),
    ):
        with pytest.raises(LyraSimError, match=words):
            teacher.imagine(conditioning, seed=0)
