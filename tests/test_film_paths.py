"""Films start where a scene was made from, and their cameras keep clear of what stands there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from film_scenes import EYE, SIZE, cameras, room

from generator.film.obstacles import Obstacles
from generator.film.paths import CLEARANCE, CameraPath, Stage, lay_path
from generator.film.stage import find_opening
from generator.film.start import describe_start, recorded_start
from lyra_sim.errors import LyraSimError
from lyra_sim.scene import Scene
from lyra_sim.transform import Similarity


def test_start_survives_the_provenance() -> None:
    """The camera that a scene records is the one that is read back."""
    path = cameras(np.array([EYE, np.add(EYE, [0.0, 0.3, 0.4])]))
    start = recorded_start({"camera": describe_start([path, path.select(slice(0, 1))])})
    assert start is not None
    np.testing.assert_allclose(start.c2w, path.c2w[0])
    assert start.travel == pytest.approx(0.5)
    assert np.degrees(start.horizontal_fov) == pytest.approx(70.0)


@pytest.mark.parametrize(
    "options",
    [{"scale": 2.0}, {"level": True}, {"up_axis": ["-y", "z"]}, {"camera_height": 1.5}, "unreadable"],
)
def test_start_of_a_moved_scene_is_forgotten(options: object) -> None:
    """A conversion that moved the scene leaves no start, while one that did not keeps it."""
    record = dict(room().provenance)
    kept = {"options": {"scale": 1.0, "level": False, "up_axis": None, "camera_height": None}}
    assert recorded_start(record | {"conversions": [kept]}) is not None
    assert recorded_start(record | {"conversions": [kept, {"options": options}]}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"c2w": [[1, 2], [3, 4]]},
        {"c2w": (2 * np.eye(4)).tolist()},
        {"c2w": np.full((4, 4), np.nan).tolist()},
        {"intrinsics_px": []},
        {"size_px": ["wide"]},
        {"travel_m": -1.0},
        {"travel_m": None},
    ],
)
def test_start_that_makes_no_sense_is_ignored(change: dict[str, object]) -> None:
    """A file that others wrote or damaged cannot put the camera anywhere odd."""
    entry = room().provenance["camera"]
    assert isinstance(entry, dict)
    assert recorded_start({"camera": entry | change}) is None


def test_clearance_is_the_distance_to_the_collider() -> None:
    """In a room of known size the distance to the nearest wall is right to within the sampling."""
    obstacles = Obstacles(room())
    points = np.random.default_rng(0).uniform(0.1, 1.0, (50, 3)) * (SIZE - 0.2)
    expected = np.minimum(points, SIZE - points).min(axis=1)
    np.testing.assert_allclose(obstacles.clearance(points), expected, atol=0.05)


def test_inside_tells_the_room_from_its_walls() -> None:
    """Cameras in the room stand free; those beyond its walls stand inside something."""
    obstacles = Obstacles(room())
    free, walled = (
        [EYE, [0.2, 0.2, 0.2], [5.5, 4.8, 2.8]],
        [[-0.5, 2.0, 1.0], [3.0, 2.0, 3.3], [9.0, 9.0, 9.0]],
    )
    assert not obstacles.inside(np.array(free)).any()
    assert obstacles.inside(np.array(walled)).all()
    assert not Obstacles(room(collider=False)).inside(np.array(walled)).any()


@pytest.mark.parametrize("collider", [True, False], ids=["collider", "splats"])
@pytest.mark.parametrize("kind", ["flythrough", "orbit"])
def test_paths_start_at_the_camera_and_keep_clear(kind: str, collider: bool) -> None:
    """A path moves, begins with the recorded camera, is rigid and never comes near a wall."""
    opening = find_opening(room(collider=collider), up="z")
    path = lay_path(kind, opening.stage, 40).c2w  # type: ignore[arg-type]
    np.testing.assert_allclose(path[0], cameras(EYE[None]).c2w[0], atol=1e-9)
    positions = path[:, :3, 3]
    assert np.ptp(positions, axis=0).max() > 0.1
    assert np.minimum(positions, SIZE - positions).min() > CLEARANCE - 0.05
    rotations = path[:, :3, :3]
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (40, 1, 1)), atol=1e-9
    )
    # A level start keeps the horizon level: the camera's x axis stays horizontal.
    assert np.abs(path[:, 2, 0]).max() < 1e-6


def _stage(obstacle: float, *, covered: float = 1.0) -> Stage:
    """Return a stage at the origin looking along x, with a surface `obstacle` metres away at the closest."""

    class Sphere:
        def clearance(self, positions: np.ndarray) -> np.ndarray:
            return obstacle - np.linalg.norm(positions, axis=1)

    def coverage(poses: np.ndarray) -> np.ndarray:
        return np.where(poses[:, 0, 3] > 1.0, covered, 1.0)

    pose = cameras(np.zeros((1, 3))).c2w[0]
    up = np.array([0.0, 0.0, 1.0])
    return Stage(pose, 2.0, 1.0, up, CLEARANCE, Sphere(), coverage)  # type: ignore[arg-type]


def _length(path: CameraPath) -> float:
    return float(np.linalg.norm(path.c2w[:, :3, 3], axis=1).max())


def test_paths_shrink_to_the_room_they_have() -> None:
    """The less room, the smaller the path, down to none at all."""
    lengths = [_length(lay_path("flythrough", _stage(room), 24)) for room in (5.0, 0.6, 0.3, 0.1)]
    assert lengths[0] > lengths[1] > lengths[2] > lengths[3] == 0.0
    assert lengths[1] < 0.6 - CLEARANCE + 1e-6


def test_orbit_is_full_only_where_it_shows_the_scene() -> None:
    """With room a full circle is laid; where part of it shows holes, a swing that does not reach them."""
    full = lay_path("orbit", _stage(10.0), 24)
    assert "full circle" in full.description
    np.testing.assert_allclose(np.linalg.norm(full.c2w[:, :3, 3] - [2.0, 0.0, 0.0], axis=1), 2.0)
    swing = lay_path("orbit", _stage(10.0, covered=0.5), 24)
    assert "swing" in swing.description
    assert swing.c2w[:, 0, 3].max() <= 1.0


def test_scene_without_a_record_starts_at_a_free_place() -> None:
    """Without a recorded camera the film starts upright, inside the room, looking at what is there."""
    opening = find_opening(room(recorded=False), up="z")
    position = opening.stage.c2w[:3, 3]
    assert np.minimum(position, SIZE - position).min() > 0.3
    assert opening.stage.c2w[2, 1] < -0.9
    assert opening.stage.coverage(opening.stage.c2w[None])[0] > 0.9


def _in_camera_frame(scene: Scene) -> Scene:
    pose = cameras(EYE[None]).c2w[0]
    move = Similarity(pose[:3, :3], pose[:3, 3]).inverse
    return Scene(move.gaussians(scene.gaussians))


def test_captured_file_starts_at_its_first_camera() -> None:
    """A file in the frame of its first camera (y down) is recognised; the same scene with Z up is not taken for one."""
    captured = find_opening(_in_camera_frame(room()), up=None)
    np.testing.assert_array_equal(captured.stage.c2w, np.eye(4))
    np.testing.assert_array_equal(captured.stage.up, [0.0, -1.0, 0.0])
    upright = find_opening(replace(room(collider=False, recorded=False)), up=None)
    np.testing.assert_array_equal(upright.stage.up, [0.0, 0.0, 1.0])


def test_up_axis_turns_the_search() -> None:
    """Told which axis is up, the film of a y-down scene is as upright as that of a Z-up one."""
    opening = find_opening(_in_camera_frame(room()), up="-y")
    assert opening.stage.c2w[1, 1] > 0.9
    with pytest.raises(LyraSimError, match="--up w"):
        find_opening(room(), up="w")
