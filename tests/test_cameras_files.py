"""Camera poses read from and written to nerfstudio and TUM files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from test_cameras import random_poses, some_cameras

from generator.camera_files import PosedFrames, read_transforms, read_tum, transforms_dict, write_transforms
from lyra_sim.errors import LyraSimError


def write_json(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_transforms_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Cameras, file names and splits survive the file."""
    frames = PosedFrames(some_cameras(2), ("a.png", "b.png"), ("a.npy", "b.npy"), ("input", "held_out"))
    write_transforms(tmp_path / "transforms.json", frames, extra={"units": "metres"})
    back = read_transforms(tmp_path / "transforms.json")
    np.testing.assert_allclose(back.cameras.c2w, frames.cameras.c2w, atol=1e-12)
    np.testing.assert_array_equal(back.cameras.intrinsics, frames.cameras.intrinsics)
    assert (back.cameras.height, back.cameras.width) == (48, 64)
    assert (back.file_paths, back.depth_file_paths, back.splits) == (
        frames.file_paths,
        frames.depth_file_paths,
        frames.splits,
    )
    assert json.loads((tmp_path / "transforms.json").read_text())["units"] == "metres"
    assert [p.name for p in tmp_path.iterdir()] == ["transforms.json"]


def test_written_matrices_have_opengl_axes() -> None:
    """The file's camera looks along its own -z and has +y up, whereas ours looks along +z with +y down."""
    matrix = np.array(transforms_dict(PosedFrames(some_cameras(1)))["frames"][0]["transform_matrix"])
    pose = some_cameras(1).c2w[0]
    np.testing.assert_allclose(matrix[:3, 2], -pose[:3, 2])
    np.testing.assert_allclose(matrix[:3, 1], -pose[:3, 1])
    np.testing.assert_allclose(matrix[:3, [0, 3]], pose[:3, [0, 3]])


def test_shared_intrinsics_and_field_of_view_are_understood(tmp_path: Path) -> None:
    """Blender's camera_angle_x at the top of the file stands for the focal length; the centre is the default."""
    document = {
        "w": 200,
        "h": 100,
        "camera_angle_x": np.pi / 2,
        "frames": [{"transform_matrix": np.eye(4).tolist()}],
    }
    cameras = read_transforms(write_json(tmp_path / "t.json", document)).cameras
    np.testing.assert_allclose(cameras.intrinsics[0], [100, 100, 100, 50])


GOOD = {"w": 8, "h": 6, "fl_x": 5.0, "frames": [{"transform_matrix": np.eye(4).tolist()}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": []}, "no list 'frames'"),
        ({"fl_x": None}, "fl_x must be a positive number, not None"),
        ({"fl_x": float("inf")}, "fl_x must be a positive number, not inf"),
        ({"w": -8}, "w must be a positive number, not -8"),
        ({"k1": 0.1}, "distortion k1 is not supported"),
        ({"camera_model": "OPENCV_FISHEYE"}, "OPENCV_FISHEYE is not supported"),
        ({"frames": [{"transform_matrix": [[1, 2], [3, 4]]}]}, "frame 0 is not a 4x4 matrix"),
        ({"frames": [{"transform_matrix": (2 * np.eye(4)).tolist()}]}, "frame 0 is not rigid"),
        ({"frames": [{"transform_matrix": np.eye(4).tolist(), "w": 8}, {"w": 9}]}, "differ in size"),
    ],
)
def test_wrong_transforms_are_refused_in_one_line(tmp_path: Path, change: dict, message: str) -> None:
    """The message names the file, the entry and its value."""
    path = write_json(tmp_path / "t.json", {**GOOD, **change})
    with pytest.raises(LyraSimError) as error:
        read_transforms(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    """A file that is not there, or not JSON, gives one line instead of a traceback."""
    (tmp_path / "t.json").write_text("{")
    for name in ("t.json", "absent.json"):
        with pytest.raises(LyraSimError, match="cannot be read as JSON"):
            read_transforms(tmp_path / name)
    with pytest.raises(LyraSimError, match="cannot be read as text"):
        read_tum(tmp_path / "absent.txt")


def test_tum_poses_are_camera_to_world(tmp_path: Path) -> None:
    """Positions and xyzw quaternions of the file become matrices; comments and empty lines are skipped."""
    poses = random_poses(3, 5)
    rows = np.column_stack(
        [np.arange(3) / 30, poses[:, :3, 3], Rotation.from_matrix(poses[:, :3, :3]).as_quat()]
    )
    text = "\n".join(" ".join(f"{v:.12f}" for v in row) for row in rows)
    (tmp_path / "path.txt").write_text(f"# timestamp tx ty tz qx qy qz qw\n\n{text}\n")
    times, c2w = read_tum(tmp_path / "path.txt")
    np.testing.assert_allclose(times, np.arange(3) / 30)
    np.testing.assert_allclose(c2w, poses, atol=1e-9)


@pytest.mark.parametrize("line", ["0 1 2 3", "0 0 0 0 0 0 0 0", "0 0 0 nan 0 0 0 1", "a b c d e f g h"])
def test_wrong_tum_lines_are_named(tmp_path: Path, line: str) -> None:
    """The message gives the number of the line, also for a quaternion of length zero."""
    (tmp_path / "path.txt").write_text(f"# header\n{line}\n")
    with pytest.raises(LyraSimError, match="line 2"):
        read_tum(tmp_path / "path.txt")


def test_empty_tum_file_is_refused(tmp_path: Path) -> None:
    """A file of comments holds no pose."""
    (tmp_path / "path.txt").write_text("# nothing\n")
    with pytest.raises(LyraSimError, match="holds no pose"):
        read_tum(tmp_path / "path.txt")
