"""The procedural teacher: six clips that share a frame, clear rigid paths, held-out cameras between them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from box_room import box_faces, box_room, look_along_x

from generator.cameras import invert_rigid, relative_to_first
from generator.teachers.paths import APART, CLEARANCE
from generator.teachers.procedural import ProceduralTeacher
from generator.teachers.quads import QuadScene
from generator.teachers.teacher import Teacher, TeacherVideo
from generator.trajectories import SDG_TRAJECTORIES
from generator.worlds import parse_prompt
from generator.worlds.world import World
from lyra_sim.errors import LyraSimError

TEACHER = ProceduralTeacher(height=24, width=40, frames=9)


@pytest.fixture(scope="module")
def video() -> TeacherVideo:
    return TEACHER.film(box_room(), seed=5)


def poses(video: TeacherVideo) -> np.ndarray:
    assert video.held_out is not None
    return np.concatenate([clip.cameras.c2w for clip in (*video.clips, video.held_out)])


def test_clips_follow_the_six_paths_and_share_the_conditioning_frame(video: TeacherVideo) -> None:
    """Frame 0 of every clip is the same picture, depth, labels and pose."""
    first = video.clips[0]
    assert [clip.name for clip in video.clips] == [trajectory.name for trajectory in SDG_TRAJECTORIES]
    assert first.labels is not None
    for clip in video.clips:
        assert clip.rgb.shape == (9, 24, 40, 3)
        assert clip.depth.shape == (9, 24, 40)
        assert clip.labels is not None
        np.testing.assert_array_equal(clip.rgb[0], first.rgb[0])
        np.testing.assert_array_equal(clip.depth[0], first.depth[0])
        np.testing.assert_array_equal(clip.labels[0], first.labels[0])
        np.testing.assert_array_equal(clip.cameras.c2w[0], box_room().c2w)
        assert np.abs(clip.rgb[-1].astype(int) - clip.rgb[0]).max() > 0 or clip.name == "clockwise"


def test_paths_are_those_of_the_fact_sheet(video: TeacherVideo) -> None:
    """With the recorded distance and centre depth the trajectory formula gives the clips' poses back."""
    for clip, trajectory in zip(video.clips, SDG_TRAJECTORIES, strict=True):
        distance = video.source["distances"][clip.name]  # type: ignore[index]
        assert trajectory.min_distance <= distance["drawn"] <= trajectory.max_distance
        w2c = trajectory.w2c(
            frames=9,
            distance=distance["used"],
            center_depth=video.source["center_depth_m"],  # type: ignore[arg-type]
            start_w2c=invert_rigid(box_room().c2w),
        )
        np.testing.assert_allclose(clip.cameras.w2c, w2c, atol=1e-9)


def test_all_poses_are_rigid(video: TeacherVideo) -> None:
    """Every pose is a rotation and a translation, also where the official look-at matrix is odd."""
    rotation = poses(video)[:, :3, :3]
    np.testing.assert_allclose(
        rotation @ rotation.transpose(0, 2, 1), np.tile(np.eye(3), (len(rotation), 1, 1)), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0, atol=1e-9)


def test_held_out_cameras_are_no_input_cameras_but_face_what_they_face(video: TeacherVideo) -> None:
    """Held-out positions keep away from all input positions and from each other; all look at the centre."""
    assert video.held_out is not None
    depth = float(video.source["center_depth_m"])  # type: ignore[arg-type]
    held = video.held_out.cameras.c2w
    assert len(held) == 12
    inputs = np.concatenate([clip.cameras.c2w for clip in video.clips])
    gap = np.linalg.norm(held[:, None, :3, 3] - inputs[None, :, :3, 3], axis=-1)
    assert gap.min() > APART * depth
    assert gap.min(axis=1).max() < 0.3 * depth
    between = np.linalg.norm(held[:, None, :3, 3] - held[None, :, :3, 3], axis=-1) + np.eye(12)
    assert between.min() > APART * depth
    centre = relative_to_first(np.concatenate([inputs[:1], held]))[1:]
    target = np.array([0, 0, depth, 1.0])
    seen = invert_rigid(centre) @ target
    np.testing.assert_allclose(seen[:, :2], 0.0, atol=1e-9)
    assert (seen[:, 2] > 0).all()


def test_every_camera_keeps_its_clearance() -> None:
    """Where a wall stands close behind the camera, the zoom out is shortened and the record says so."""
    world = box_room()
    world = replace(world, c2w=look_along_x(np.array([0.45, 2.5, 1.5])))
    video = TEACHER.film(world, seed=5)
    assert QuadScene(world).distance(poses(video)[:, :3, 3]).min() >= CLEARANCE
    distance = video.source["distances"]["zoom_out"]  # type: ignore[index]
    assert distance["used"] < distance["drawn"]


def test_path_through_a_thin_wall_is_shortened() -> None:
    """A path must not jump over a surface between two frames, even with long steps."""
    world = box_room()
    sheet = box_faces(np.array([1.9, 1.0, 0.0]), np.array([1.92, 4.0, 3.0]))
    thin = replace(
        world,
        corners=np.concatenate([world.corners, sheet]).astype(np.float32),
        uv_offset=np.concatenate([world.uv_offset, np.zeros((6, 2), np.float32)]),
        material=np.concatenate([world.material, np.ones(6, np.int32)]),
        instance=np.concatenate([world.instance, np.full(6, 6, np.int32)]),
        c2w=look_along_x(np.array([1.3, 2.5, 1.5])),
    )
    teacher = ProceduralTeacher(height=24, width=40, frames=2, movement=5.0, held_out=0)
    video = teacher.film(thin, seed=1)
    assert video.held_out is None
    assert poses_of(video, "zoom_in")[:, 0].max() < 1.9 - CLEARANCE + 1e-6


def poses_of(video: TeacherVideo, name: str) -> np.ndarray:
    """Return the positions of one clip's cameras, (T, 3)."""
    return next(clip for clip in video.clips if clip.name == name).cameras.c2w[:, :3, 3]


def test_camera_inside_a_surface_is_refused() -> None:
    """A start pose without clearance gives one clear line."""
    world = replace(box_room(), c2w=look_along_x(np.array([0.1, 2.5, 1.5])))
    with pytest.raises(LyraSimError, match="no room"):
        TEACHER.film(world, seed=1)


def test_camera_that_sees_nothing_is_refused() -> None:
    """A world whose camera looks into the void gives one clear line."""
    room = box_room()
    world: World = replace(room, corners=room.corners + np.float32([-20, 0, 0]))
    with pytest.raises(LyraSimError, match="sees nothing"):
        TEACHER.film(world, seed=1)


def test_prompt_becomes_a_video_whose_record_says_what_was_understood() -> None:
    """The teacher builds the world that the words name, and keeps the words in the provenance."""
    teacher: Teacher = TEACHER
    steps: list[float] = []
    spec = parse_prompt("dim warehouse aisle of wonders")
    video = teacher.imagine(spec, seed=4, progress=lambda fraction, message: steps.append(fraction))
    assert video.source["kind"] == "warehouse_aisle"
    assert video.source["prompt"] == "dim warehouse aisle of wonders"
    assert video.source["exact"] is True
    assert video.source["ignored"] == ["wonders"]
    assert len(video.clips) == 6
    assert steps == sorted(steps)
    assert steps[-1] <= 1.0
    json.dumps(video.source)


def test_anything_but_a_specification_is_refused() -> None:
    """A bare string is not a WorldSpec, and the message says what to do."""
    with pytest.raises(LyraSimError, match="parse_prompt"):
        TEACHER.imagine("warehouse aisle", seed=1)


def test_same_seed_same_bytes_and_another_seed_another_path(video: TeacherVideo) -> None:
    """The seed alone decides distances and held-out cameras."""
    again = TEACHER.film(box_room(), seed=5)
    other = TEACHER.film(box_room(), seed=6)
    for one, two in zip(video.clips, again.clips, strict=True):
        assert one.rgb.tobytes() == two.rgb.tobytes()
        np.testing.assert_array_equal(one.cameras.c2w, two.cameras.c2w)
    assert video.source == again.source
    assert video.source["distances"] != other.source["distances"]


def test_classes_and_provenance(video: TeacherVideo) -> None:
    """Label 0 means unlabelled, and the record names teacher, kind, seed and the scale of the paths."""
    assert video.classes == ("unlabelled", "cabinet", "cardboard_box", "ceiling", "floor", "lamp", "wall")
    assert video.metric
    assert {"teacher": "procedural", "kind": "box_room", "seed": 5}.items() <= video.source.items()
