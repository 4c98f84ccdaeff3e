"""Find a free place over the floor of a scene, from its collision meshes. Needs `pxr` and numpy, no Kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pxr import Usd

GRID = 9
"""Places tried along each side."""

FLOOR_TOLERANCE_M = 0.05
"""Height within which a surface counts as the floor [m]."""

_RING = np.array([(0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)])


def collision_triangles(root: Usd.Prim) -> np.ndarray:
    """Return the triangles of all collision meshes under a prim, in the stage's world frame, (T, 3, 3)."""
    from pxr import Usd, UsdGeom, UsdPhysics

    cache = UsdGeom.XformCache()
    pieces = [np.empty((0, 3, 3))]
    for prim in Usd.PrimRange(root):
        mesh = UsdGeom.Mesh(prim)
        if not mesh or not prim.HasAPI(UsdPhysics.CollisionAPI):
            continue
        points = np.array(mesh.GetPointsAttr().Get() or [], dtype=np.float64).reshape(-1, 3)
        counts = np.array(mesh.GetFaceVertexCountsAttr().Get() or [], dtype=np.int64)
        indices = np.array(mesh.GetFaceVertexIndicesAttr().Get() or [], dtype=np.int64)
        if len(points) and len(indices):
            matrix = np.array(cache.GetLocalToWorldTransform(prim))
            world = points @ matrix[:3, :3] + matrix[3, :3]
            pieces.append(world[_fan(counts, indices)])
    return np.concatenate(pieces)


class Surface:
    """Triangles that can be asked for their heights quickly."""

    def __init__(self, triangles: np.ndarray) -> None:
        """Take triangles in a frame with Z up [m], (T, 3, 3)."""
        self._triangles = triangles
        self._low, self._high = triangles[..., :2].min(1).T, triangles[..., :2].max(1).T
        self.low, self.high = self._low.min(1), self._high.max(1)

    def heights_at(self, place: np.ndarray) -> np.ndarray:
        """Return where the vertical line through a place (x, y) meets the triangles, lowest first [m]."""
        (x, y), (low_x, low_y), (high_x, high_y) = place, self._low, self._high
        near = np.flatnonzero((low_x <= x) & (high_x >= x) & (low_y <= y) & (high_y >= y))
        a, b, c = np.moveaxis(self._triangles[near], 1, 0)
        ab, ac, ap = b - a, c - a, place - a[:, :2]
        area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            v = (ap[:, 0] * ac[:, 1] - ap[:, 1] * ac[:, 0]) / area
            w = (ab[:, 0] * ap[:, 1] - ab[:, 1] * ap[:, 0]) / area
        inside = (v >= 0) & (w >= 0) & (v + w <= 1)  # False for vertical triangles, whose area is zero
        return np.sort(a[inside, 2] + v[inside] * ab[inside, 2] + w[inside] * ac[inside, 2])


def free_spot(triangles: np.ndarray, *, radius: float, height: float) -> np.ndarray | None:
    """Return a point on the floor over which a ball can fall freely, nearest to the middle; None if there is none.

    Args:
        triangles: Surfaces in a frame with Z up [m], (T, 3, 3).
        radius: Radius of the ball [m].
        height: Height of its centre over the floor at the start [m].
    """
    if not len(triangles):
        return None
    surface = Surface(triangles)
    steps = (np.arange(GRID) + 0.5) / GRID
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    grid = grid[np.argsort(np.linalg.norm(grid - 0.5, axis=1), kind="stable")]
    places = surface.low + grid * (surface.high - surface.low)
    columns = [surface.heights_at(place) for place in places]
    lowest = [column[0] for column in columns if len(column)]
    if not lowest:
        return None
    floor = float(np.median(lowest))
    for place, column in zip(places, columns, strict=True):
        if len(column) and _is_free(surface, place, floor, radius=radius, height=height):
            return np.array([*place, column[0]])
    return None


def _is_free(surface: Surface, place: np.ndarray, floor: float, *, radius: float, height: float) -> bool:
    for offset in _RING * radius:
        column = surface.heights_at(place + offset) - floor
        if not len(column) or abs(column[0]) > FLOOR_TOLERANCE_M:
            return False
        if ((column > FLOOR_TOLERANCE_M) & (column < height + radius)).any():
            return False
    return True


def _fan(counts: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return the vertex indices of the triangles that polygons fall into, (T, 3)."""
    starts = np.cumsum(counts) - counts
    triangles = np.maximum(counts - 2, 0)
    face = np.repeat(np.arange(len(counts)), triangles)
    step = np.arange(triangles.sum()) - np.repeat(np.cumsum(triangles) - triangles, triangles)
    return indices[starts[face, None] + np.stack([np.zeros_like(step), step + 1, step + 2], -1)]
