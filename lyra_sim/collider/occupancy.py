"""Occupancy grids of colliders for a given robot, and free places on them, in the map format of ROS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lyra_sim.errors import LyraSimError
from lyra_sim.scene import TriangleMesh

FREE, UNKNOWN, OCCUPIED = 254, 205, 0
"""Grey values of the map server of ROS."""

MAX_CELLS = 64_000_000
"""Most cells of a grid; a larger scene needs a coarser one."""

_ON_FLOOR = 0.15
"""Height [m] within which a splat or a piece of collider counts as showing the floor."""
_SPLAT_REACH = 0.25
"""Half the width [m] of gaps between splats on the floor in which the floor counts as seen."""


@dataclass(frozen=True)
class Robot:
    """Describe the upright cylinder that a robot needs."""

    radius: float = 0.3
    """Radius of the robot's footprint [m]."""
    height: float = 1.0
    """Height of the robot [m]; what hangs higher is no obstacle."""
    step: float = 0.05
    """Height [m] up to which the robot drives over things."""


@dataclass(frozen=True)
class OccupancyGrid:
    """Hold what stands where, in cells of the world's x-y plane (metres, Z up, floor at z = 0)."""

    cells: np.ndarray
    """`FREE`, `UNKNOWN` or `OCCUPIED`, (rows along y, columns along x) uint8; row 0 has the least y."""
    resolution: float
    """Side of a cell [m]."""
    origin: tuple[float, float]
    """x and y of the corner of cell (0, 0) with the least of both [m]."""

    @property
    def free_area(self) -> float:
        """Area of the free cells [m2]."""
        return float(np.count_nonzero(self.cells == FREE)) * self.resolution**2

    def pgm(self) -> bytes:
        """Return the grid as a binary PGM picture, north (+y) up."""
        rows, columns = self.cells.shape
        return f"P5\n{columns} {rows}\n255\n".encode() + np.ascontiguousarray(self.cells[::-1]).tobytes()

    def yaml(self, image: str) -> str:
        """Return the map file of ROS that belongs to the picture named `image`."""
        # 205 is 0.19608 of the way from white to black: above this threshold in every reader, so unknown.
        return (
            f"image: {image}\nmode: trinary\nresolution: {self.resolution:.9g}\n"
            f"origin: [{self.origin[0]:.9g}, {self.origin[1]:.9g}, 0.0]\n"
            "negate: 0\noccupied_thresh: 0.65\nfree_thresh: 0.196\n"
        )


def occupancy_grid(
    mesh: TriangleMesh, robot: Robot, *, seen: np.ndarray | None = None, resolution: float = 0.05
) -> OccupancyGrid:
    """Rasterise a collider: occupied where something stands between a robot's step and its height.

    A collider's floor is closed and reaches beyond what the cameras saw; a robot put there may stand behind a
    wall. So floor counts as free only where `seen` shows it; elsewhere it is unknown.

    Args:
        mesh: Collider [m], Z up, floor at z = 0.
        robot: The robot that the map is for.
        seen: Points on what was seen [m], such as centres of Gaussians, (N, 3); None: all floor was seen.
        resolution: Side of a cell [m].

    Raises:
        LyraSimError: The grid would have more than `MAX_CELLS` cells.
    """
    low = np.floor(mesh.vertices[:, :2].min(axis=0).astype(np.float64) / resolution) * resolution
    high = mesh.vertices[:, :2].max(axis=0)
    columns, rows = (int(n) for n in np.ceil((high - low) / resolution) + 1)
    if rows * columns > MAX_CELLS:
        raise LyraSimError(
            f"a map of {columns} x {rows} cells of {resolution:g} m is too large; use a coarser resolution"
        )
    points = _samples(mesh, spacing=resolution / 2)
    z = points[:, 2]
    in_way = points[(z > robot.step) & (z < robot.height)]
    body = _mark(in_way, low, resolution, (rows, columns))
    floor = _mark(points[np.abs(z) <= robot.step], low, resolution, (rows, columns))
    if seen is not None:
        floor &= _shown_floor(seen, low, resolution, (rows, columns))
    cells = np.where(body, OCCUPIED, np.where(floor, FREE, UNKNOWN)).astype(np.uint8)
    return OccupancyGrid(cells, resolution, (float(low[0]), float(low[1])))


def spawn_poses(grid: OccupancyGrid, robot: Robot, *, count: int, seed: int = 0) -> np.ndarray:
    """Choose poses whose whole cylinder is free, far from each other, on the largest connected free floor.

    Args:
        grid: A map made for the same robot.
        robot: Its footprint.
        count: Most poses; fewer are returned where there is no room for so many.
        seed: Chooses the first place and the directions.

    Returns:
        x, y [m] and yaw [rad, counter-clockwise from +x], (N, 3) float64; N is 0 where the robot fits nowhere.
    """
    room = _reachable(clearance(grid) >= robot.radius)
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(room)
    if not len(rows):
        return np.zeros((0, 3))
    places = np.stack([columns, rows], axis=1) + 0.5
    places = places * grid.resolution + np.array(grid.origin)
    chosen = [int(rng.integers(len(places)))]
    spread = np.full(len(places), np.inf)
    while len(chosen) < min(count, len(places)):
        spread = np.minimum(spread, np.linalg.norm(places - places[chosen[-1]], axis=1))
        chosen.append(int(spread.argmax()))
    yaw = rng.uniform(-np.pi, np.pi, len(chosen))
    return np.column_stack([places[chosen], yaw])[:count]


def reachable_area(grid: OccupancyGrid, robot: Robot) -> float:
    """Return the area [m2] of the largest piece of free floor that the robot's footprint can sweep."""
    from scipy.ndimage import distance_transform_edt

    room = _reachable(clearance(grid) >= robot.radius)
    if not room.any():
        return 0.0
    swept = distance_transform_edt(~room) * grid.resolution <= robot.radius
    return float(np.count_nonzero(swept & (grid.cells == FREE))) * grid.resolution**2


def clearance(grid: OccupancyGrid) -> np.ndarray:
    """Return the distance [m] from the middle of each cell that is surely free of obstacles and unknown floor.

    The cell distance is shortened by half a diagonal, because an obstacle may lie anywhere in its cell, and by
    half a cell, because a surface may reach so far past the samples that marked the cell.
    """
    from scipy.ndimage import distance_transform_edt

    # Beyond the grid nothing is known.
    free = np.pad(grid.cells == FREE, 1)
    distance = distance_transform_edt(free)[1:-1, 1:-1] - (np.sqrt(0.5) + 0.5)
    return np.maximum(distance, 0.0) * grid.resolution


def _reachable(room: np.ndarray) -> np.ndarray:
    """Keep the largest connected part of the places where the robot fits."""
    from scipy.ndimage import label

    parts, count = label(room)
    if count < 2:
        return room
    return parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))


def _samples(mesh: TriangleMesh, *, spacing: float) -> np.ndarray:
    """Return points on all faces, corners included, no two neighbours further apart than `spacing`, (N, 3)."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    steps = np.maximum(1, np.ceil(edges / spacing)).astype(int)
    # Few distinct step counts: faces are small, and those of the floor alike.
    parts = []
    for n in np.unique(steps):
        i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
        inside = i + j <= n
        weights = np.stack([i[inside], j[inside], n - i[inside] - j[inside]], axis=1) / n
        parts.append(np.einsum("kc,fcx->fkx", weights, corners[steps == n]).reshape(-1, 3))
    return np.concatenate(parts)


def _mark(points: np.ndarray, low: np.ndarray, resolution: float, shape: tuple[int, int]) -> np.ndarray:
    """Return which cells hold a point, (rows, columns) bool; points outside are left out."""
    index = np.floor((points[:, :2] - low) / resolution).astype(int)
    inside = ((index >= 0) & (index < np.array(shape[::-1]))).all(axis=1)
    marked = np.zeros(shape, bool)
    marked[index[inside, 1], index[inside, 0]] = True
    return marked


def _shown_floor(seen: np.ndarray, low: np.ndarray, resolution: float, shape: tuple[int, int]) -> np.ndarray:
    """Return the cells that splats on the floor show, gaps between them closed, (rows, columns) bool."""
    from scipy.ndimage import distance_transform_edt

    shown = _mark(seen[np.abs(seen[:, 2]) < _ON_FLOOR], low, resolution, shape)
    if not shown.any():
        return shown
    # Grown and shrunk again: so gaps close, but nothing grows past a wall.
    margin = 1 + int(_SPLAT_REACH / resolution)
    grown = distance_transform_edt(~np.pad(shown, margin)) * resolution <= _SPLAT_REACH
    closed = distance_transform_edt(grown) * resolution > _SPLAT_REACH
    return closed[margin:-margin, margin:-margin] | shown
