"""Laws of cameras and of the teacher's camera paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from scipy.spatial.transform import Rotation

from generator.cameras import Cameras, invert_rigid, relative_to_first
from generator.trajectories import SDG_TRAJECTORIES, CameraRotation, TrajectoryKind, trajectory_w2c
from lyra_sim.errors import LyraSimError

GOLDEN = Path(__file__).parent / "data" / "gen3c"
KINDS = get_args(TrajectoryKind)
FRAMES_KEPT = slice(None, None, 10)
"""The golden paths of 121 frames are stored thinned out."""


def random_poses(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng).as_matrix()
    poses[:, :3, 3] = rng.normal(size=(count, 3))
    return poses


def some_cameras(count: int = 3) -> Cameras:
    return Cameras(random_poses(count, 1), np.tile([50.0, 52.0, 31.0, 22.0], (count, 1)), 48, 64)


def project(cameras: Cameras, points: np.ndarray) -> np.ndarray:
    seen = points @ cameras.w2c[0, :3, :3].T + cameras.w2c[0, :3, 3]
    return seen[:, :2] / seen[:, 2:] * cameras.intrinsics[0, :2] + cameras.intrinsics[0, 2:]


@given(st.integers(0, 10_000))
def test_inverting_a_pose_twice_gives_the_pose(seed: int) -> None:
    """The inverse of a rigid transform undoes it, and is its own inverse."""
    poses = random_poses(4, seed)
    np.testing.assert_allclose(invert_rigid(poses) @ poses, np.tile(np.eye(4), (4, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(invert_rigid(invert_rigid(poses)), poses, atol=1e-12)


@given(st.integers(0, 10_000))
def test_canonical_poses_do_not_depend_on_the_world_frame(seed: int) -> None:
    """Moving the whole world changes no pose relative to the first camera, which becomes the identity."""
    poses, world = random_poses(5, seed), random_poses(1, seed + 1)
    canonical = relative_to_first(poses)
    np.testing.assert_allclose(canonical[0], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(relative_to_first(world @ poses), canonical, atol=1e-9)


def test_resizing_moves_projections_with_the_pixels() -> None:
    """A point lands on the same share of the picture at every size."""
    cameras, points = some_cameras(), random_points()
    expected = project(cameras, points) * [96 / 64, 12 / 48]
    np.testing.assert_allclose(project(cameras.resized(12, 96), points), expected)


def test_cropping_moves_projections_by_the_corner() -> None:
    """A point lands where it did, counted from the window's corner."""
    cameras, points = some_cameras(), random_points()
    cropped = cameras.cropped(5, 7, 20, 30)
    np.testing.assert_allclose(project(cropped, points), project(cameras, points) - [7, 5])
    assert (cropped.height, cropped.width) == (20, 30)


def random_points() -> np.ndarray:
    seen = np.random.default_rng(3).normal(size=(10, 3)) + np.array([0, 0, 6])
    pose = some_cameras().c2w[0]
    return seen @ pose[:3, :3].T + pose[:3, 3]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rotation", get_args(CameraRotation))
def test_paths_are_rigid_and_start_at_the_start(kind: TrajectoryKind, rotation: CameraRotation) -> None:
    """Every path starts with the start pose and consists of rotations and translations."""
    start = random_poses(1, 7)[0]
    poses = trajectory_w2c(kind, frames=9, distance=0.4, center_depth=2.0, rotation=rotation, start_w2c=start)
    np.testing.assert_allclose(poses[0], start, atol=1e-12)
    turns = poses[:, :3, :3]
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (9, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_paths_scale_with_the_depth_of_their_centre(kind: TrajectoryKind) -> None:
    """Twice the centre depth gives twice the movement and the same turns."""
    near = trajectory_w2c(kind, frames=7, distance=0.3, center_depth=1.5)
    far = trajectory_w2c(kind, frames=7, distance=0.3, center_depth=3.0)
    np.testing.assert_allclose(far[:, :3, :3], near[:, :3, :3], atol=1e-12)
    np.testing.assert_allclose(far[:, :3, 3], 2 * near[:, :3, 3], atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "mirrored"), [("left", "right"), ("up", "down"), ("clockwise", "counterclockwise")]
)
def test_opposite_paths_mirror_each_other(kind: TrajectoryKind, mirrored: TrajectoryKind) -> None:
    """Left is right in a mirror, up is down, and the spirals differ in the sign of x."""
    flip = np.diag([1.0, -1.0, 1.0, 1.0] if kind == "up" else [-1.0, 1.0, 1.0, 1.0])
    path, other = (trajectory_w2c(k, frames=6, distance=0.2) for k in (kind, mirrored))
    np.testing.assert_allclose(flip @ path @ flip, other, atol=1e-12)


def test_pose_per_frame_is_moved_relative_to_itself() -> None:
    """A path over a moving camera composes the path's step with that frame's own pose."""
    starts = random_poses(5, 3)
    path = trajectory_w2c("right", frames=5, distance=0.3)
    np.testing.assert_allclose(
        trajectory_w2c("right", frames=5, distance=0.3, start_w2c=starts), path @ starts
    )


def test_data_generator_has_the_six_paths_in_lyras_order() -> None:
    """The index of a path is the folder that Lyra's decoder looks for it in."""
    names = [t.name for t in SDG_TRAJECTORIES]
    assert names == ["left", "right", "up", "zoom_out", "zoom_in", "clockwise"]
    for trajectory in SDG_TRAJECTORIES:
        assert 0 < trajectory.min_distance < trajectory.max_distance
        assert trajectory.w2c(frames=5, distance=trajectory.max_distance).shape == (5, 4, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "sideways"}, "unknown trajectory 'sideways'"),
        ({"rotation": "spin"}, "unknown camera rotation 'spin'"),
        ({"frames": 0}, "at least one frame"),
        ({"distance": float("nan")}, "finite number"),
        ({"center_depth": 0.0}, "must be positive"),
        ({"start_w2c": np.zeros((2, 4, 4))}, "must be (4, 4)"),
        ({"kind": "zoom_in", "distance": 2.0, "frames": 4}, "runs through the point"),
    ],
)
def test_impossible_paths_are_refused_in_one_line(options: dict, message: str) -> None:
    """Each wrong argument is named together with its value."""
    with pytest.raises(LyraSimError) as error:
        trajectory_w2c(**{"kind": "left", "frames": 5, "distance": 0.2, **options})
    assert message in str(error.value)


def test_paths_equal_gen3c() -> None:
    """All kinds, rotations and presets of GEN3C's code come out to 1e-5."""
    tensors = load_file(GOLDEN / "trajectories.safetensors")
    cases = json.loads((GOLDEN / "trajectories.json").read_text())
    assert len(cases) == 30
    for name, case in cases.items():
        kind, rotation, _ = name.split(".")
        poses = trajectory_w2c(
            kind,
            frames=case["num_frames"],
            distance=case["movement_distance"],
            center_depth=case["center_depth"],
            start_w2c=None if case["initial_w2c"] == "identity" else tensors[case["initial_w2c"]],
            rotation=rotation,
            num_circles=case.get("num_circles", 1),
            radius_x_factor=case.get("radius_x_factor", 1.0),
            radius_y_factor=case.get("radius_y_factor", 1.0),
        )
        np.testing.assert_allclose(poses[FRAMES_KEPT], tensors[f"{name}.w2c"], atol=1e-5, err_msg=name)
