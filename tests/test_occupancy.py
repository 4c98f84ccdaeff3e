"""Occupancy grids and spawn poses, against shapes whose free floor is known."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from batch_fakes import box
from PIL import Image

from lyra_sim.collider.floor import floor_tiles
from lyra_sim.collider.fuse import merge
from lyra_sim.collider.occupancy import (
    FREE,
    OCCUPIED,
    UNKNOWN,
    OccupancyGrid,
    Robot,
    clearance,
    occupancy_grid,
    reachable_area,
    spawn_poses,
)
from lyra_sim.collider.report import RayCaster
from lyra_sim.errors import LyraSimError
from lyra_sim.scene import TriangleMesh


def floor(side: float = 4.0) -> TriangleMesh:
    """Return a square floor about the origin."""
    return floor_tiles(np.full(2, -side / 2), np.full(2, side / 2), margin=0.0)


def value(grid: OccupancyGrid, x: float, y: float) -> int:
    """Return the cell at a place."""
    column, row = (int(np.floor((v - o) / grid.resolution)) for v, o in zip((x, y), grid.origin, strict=True))
    return int(grid.cells[row, column])


def test_what_stands_in_the_way_is_occupied() -> None:
    """Show a box, a step to drive over, a shelf overhead and the end of the floor, each as the robot meets it."""
    parts = [
        floor(),
        box((1.0, 0.5, 0.0), (1.5, 1.0, 0.5)),
        box((-1.5, 0.5, 0.0), (-1.0, 1.0, 0.04)),
        box((-1.5, -1.0, 1.2), (-1.0, -0.5, 1.3)),
        box((1.0, -1.0, 0.7), (1.5, -0.5, 0.8)),
    ]
    mesh = parts[0]
    for part in parts[1:]:
        mesh = merge(mesh, part)
    grid = occupancy_grid(mesh, Robot(height=1.0, step=0.05))
    assert value(grid, 1.25, 0.75) == OCCUPIED
    assert value(grid, -1.25, 0.75) == FREE
    assert value(grid, -1.25, -0.75) == FREE
    assert value(grid, 1.25, -0.75) == OCCUPIED
    assert value(grid, 0.0, 0.0) == FREE
    tall = occupancy_grid(mesh, Robot(height=1.5, step=0.01))
    assert value(tall, -1.25, 0.75) == value(tall, -1.25, -0.75) == OCCUPIED
    # Two solid boxes of a quarter square metre each; their rims may fill one more cell on every side.
    area = np.count_nonzero(grid.cells == OCCUPIED) * grid.resolution**2
    assert 2 * 0.25 <= area <= 2 * 0.6**2


def test_thin_walls_have_no_holes() -> None:
    """Show that a wall without thickness, of two triangles, slanting across the grid, parts the floor."""
    wall = TriangleMesh(
        np.array([[-2, -1.3, 0], [2, 1.1, 0], [2, 1.1, 2], [-2, -1.3, 2]], np.float32),
        np.array([[0, 1, 2], [0, 2, 3]], np.int32),
    )
    grid = occupancy_grid(merge(floor(), wall), Robot())
    from scipy.ndimage import label

    assert label(grid.cells == FREE)[1] == 2


def test_floor_that_nothing_shows_is_unknown() -> None:
    """Show that splats on one half of the floor make that half free, gaps between them closed, and no more."""
    x, y = np.meshgrid(np.arange(-2, 0, 0.3), np.arange(-2, 2, 0.3))
    seen = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
    grid = occupancy_grid(floor(), Robot(), seen=seen)
    assert value(grid, -1.05, 0.4) == FREE
    assert value(grid, 0.2, 0.0) == UNKNOWN
    assert grid.free_area == pytest.approx(np.ptp(x) * np.ptp(y), rel=0.1)
    above = occupancy_grid(floor(), Robot(), seen=seen + np.array([0, 0, 1]))
    assert above.free_area == 0


def test_the_map_is_read_by_the_rules_of_ros(tmp_path: Path) -> None:
    """Show that a map server's rules give back every cell, with +y up and the origin at the lower left corner."""
    cells = np.full((3, 4), FREE, np.uint8)
    cells[0, 1], cells[2, 3] = OCCUPIED, UNKNOWN
    grid = OccupancyGrid(cells, 0.05, (-1.5, 2.25))
    (tmp_path / "map.pgm").write_bytes(grid.pgm())
    facts = dict(re.findall(r"^(\w+): (.*)$", grid.yaml("map.pgm"), flags=re.M))
    assert facts["origin"] == "[-1.5, 2.25, 0.0]"
    assert facts["image"] == "map.pgm"
    with Image.open(tmp_path / "map.pgm") as picture:
        read = np.asarray(picture)[::-1]
    shade = (255 - read.astype(float)) / 255
    occupied, free = shade > float(facts["occupied_thresh"]), shade <= float(facts["free_thresh"])
    assert np.array_equal(occupied, cells == OCCUPIED)
    assert np.array_equal(free, cells == FREE)
    assert facts["negate"] == "0"
    assert float(facts["resolution"]) == 0.05


def _collides(mesh: TriangleMesh, x: float, y: float, robot: Robot) -> bool:
    """Say whether the upright cylinder touches the mesh, by rays along its inside from all sides."""
    rng = np.random.default_rng(1)
    turns = rng.uniform(0, 2 * np.pi, 4000)
    heights = rng.uniform(robot.step + 1e-3, robot.height - 1e-3, 4000)
    origins = np.stack([np.full(4000, x), np.full(4000, y), heights], axis=1)
    directions = np.stack([np.cos(turns), np.sin(turns), np.zeros(4000)], axis=1) * robot.radius
    distance, _ = RayCaster(mesh).cast(origins, directions)
    return bool((distance < 1.0).any())


@pytest.mark.parametrize("seed", range(4))
def test_no_pose_touches_anything(seed: int) -> None:
    """Show by casting rays from every pose that the whole cylinder is free, in rooms full of random boxes."""
    rng = np.random.default_rng(seed)
    mesh = floor(6.0)
    for _ in range(12):
        x, y = rng.uniform(-2.8, 2.3, 2)
        mesh = merge(mesh, box((x, y, 0.0), (x + rng.uniform(0.05, 0.6), y + rng.uniform(0.05, 0.6), 0.9)))
    robot = Robot(radius=0.25, height=1.0)
    poses = spawn_poses(occupancy_grid(mesh, robot), robot, count=24, seed=seed)
    assert len(poses) == 24
    assert not any(_collides(mesh, x, y, robot) for x, y, _ in poses)
    assert np.abs(poses[:, :2]).max() <= 3.0 - robot.radius
    assert np.abs(poses[:, 2]).max() <= np.pi


def test_poses_are_spread_and_repeatable() -> None:
    """Show that poses keep apart, that a seed decides them, and that fewer are the beginning of more."""
    grid, robot = occupancy_grid(floor(6.0), Robot()), Robot()
    poses = spawn_poses(grid, robot, count=9, seed=3)
    distance = np.linalg.norm(poses[:, None, :2] - poses[None, :, :2], axis=-1) + 9 * np.eye(9)
    assert distance.min() > 1.5
    assert np.array_equal(poses, spawn_poses(grid, robot, count=9, seed=3))
    assert np.array_equal(poses[:4, :2], spawn_poses(grid, robot, count=4, seed=3)[:, :2])
    assert not np.array_equal(poses, spawn_poses(grid, robot, count=9, seed=4))


def test_poses_lie_in_one_piece_of_floor() -> None:
    """Show that a room which a wall parts has its poses in the larger part, and its area counts alone."""
    mesh = merge(floor(6.0), box((1.0, -3.0, 0.0), (1.1, 3.0, 2.0)))
    grid, robot = occupancy_grid(mesh, Robot()), Robot()
    poses = spawn_poses(grid, robot, count=50)
    assert (poses[:, 0] < 1.0).all()
    assert reachable_area(grid, robot) == pytest.approx(4.0 * 6.0, rel=0.1)


def test_a_robot_that_fits_nowhere_has_no_pose() -> None:
    """Show that a robot wider than the floor gets no poses and no area."""
    grid, robot = occupancy_grid(floor(2.0), Robot(radius=1.5)), Robot(radius=1.5)
    assert spawn_poses(grid, robot, count=5).shape == (0, 3)
    assert reachable_area(grid, robot) == 0.0
    assert clearance(grid).max() < 1.5


def test_a_map_that_is_too_large_is_refused() -> None:
    """Show that a scene of kilometres is not rasterised in centimetres."""
    with pytest.raises(LyraSimError, match="coarser resolution"):
        occupancy_grid(box((0, 0, 0), (2000, 2000, 1)), Robot(), resolution=0.05)
