"""Cover a collision mesh with convex pieces, for engines and bodies that cannot use a triangle mesh."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from lyra_sim.collider.floor import drop_unused
from lyra_sim.collider.fuse import decimate
from lyra_sim.errors import LyraSimError
from lyra_sim.scene import TriangleMesh

THICKNESS = 0.03
"""Depth behind the surface to which pieces reach [m], so that flat parts have a volume."""
SLAB = 0.2
"""Thickness of the piece below a flat floor [m]; what falls fast must not pass through it in one step."""
GRID = 2.0**-10
"""Corners of hulls lie on multiples of this [m], which float32 holds exactly: rounded later, faces that are as thin as
a rounding error would turn, and the hull would no longer be convex."""
BUDGET = 12_000
"""Most faces that pieces are made from."""


@dataclass(frozen=True)
class Pieces:
    """Hold the convex pieces of a mesh."""

    meshes: tuple[TriangleMesh, ...]
    """Closed convex meshes in the frame of the mesh they cover."""
    p95_cm: float
    """95th percentile of how far the pieces' surfaces reach in front of the mesh, into free space [cm]."""
    worst_cm: float
    """Largest such distance [cm]."""


@dataclass(frozen=True)
class _Part:
    faces: np.ndarray
    hull: TriangleMesh
    bulge: np.ndarray
    """How far samples of the hull lie in front of the mesh [m], (N,)."""
    samples: np.ndarray
    """Where those samples are [m], (N, 3)."""


def convex_pieces(mesh: TriangleMesh, *, most: int, tolerance: float = 0.03) -> Pieces:
    """Cover a mesh with at most `most` convex hulls that reach as little into free space as they can.

    The part whose hull reaches farthest in front of the surface is cut in two, again and again. A flat floor at
    z = 0 becomes one slab, whose top is exact.

    Args:
        mesh: Mesh [m] whose faces look at free space; it need not be closed.
        most: Most pieces.
        tolerance: Distance [m] in front of the surface below which nothing is cut any more.

    Raises:
        LyraSimError: The mesh has no faces with an area.
    """
    on_floor = (mesh.vertices[mesh.faces][:, :, 2] == 0.0).all(axis=1)
    slabs = (_slab(drop_unused(TriangleMesh(mesh.vertices, mesh.faces[on_floor]))),) if on_floor.any() else ()
    rest = drop_unused(TriangleMesh(mesh.vertices, mesh.faces[~on_floor]))
    if not len(rest.faces):
        return Pieces(slabs, 0.0, 0.0)
    surface = _Surface(decimate(rest, BUDGET))
    start = surface.part(np.arange(len(surface.mesh.faces)))
    if start is None:
        raise LyraSimError("the collider has no surface to make convex pieces of")
    parts = [(-float(start.bulge.max()), 0, start)]
    made = 1
    while len(parts) + len(slabs) < most and -parts[0][0] > tolerance:
        _, _, worst = heapq.heappop(parts)
        for part in surface.cut(worst) or (worst,):
            # A part that cannot be cut goes to the end of the queue.
            priority = 0.0 if part is worst else -float(part.bulge.max())
            heapq.heappush(parts, (priority, made, part))
            made += 1
    bulge = np.concatenate([part.bulge for _, _, part in parts]) * 100
    hulls = tuple(part.hull for _, _, part in parts)
    return Pieces((*slabs, *hulls), float(np.percentile(bulge, 95)), float(bulge.max()))


class _Surface:
    """Make hulls of parts of a mesh and say how far they reach in front of it."""

    def __init__(self, mesh: TriangleMesh) -> None:
        from scipy.spatial import cKDTree

        a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
        normals = np.cross(b - a, c - a)
        area = np.linalg.norm(normals, axis=1)
        solid = area > 1e-10
        self.mesh = TriangleMesh(mesh.vertices.astype(np.float64), mesh.faces[solid])
        self._normals = normals[solid] / area[solid, None]
        self._centroids = ((a + b + c) / 3)[solid]
        self._tree = cKDTree(_sample(self.mesh))

    def part(self, faces: np.ndarray) -> _Part | None:
        """Return the hull of some faces and of points behind them; None for too few to have a volume."""
        from scipy.spatial import ConvexHull, QhullError

        corners = self.mesh.vertices[self.mesh.faces[faces]]
        behind = corners - THICKNESS * self._normals[faces][:, None]
        points = np.concatenate([corners.reshape(-1, 3), behind.reshape(-1, 3)])
        points = np.unique(np.rint(points / GRID), axis=0) * GRID
        try:
            hull = ConvexHull(points)
        except (QhullError, ValueError):
            return None
        mesh = _closed(points, hull.simplices, hull.equations[:, :3])
        samples = _sample(mesh)
        distance, nearest = self._tree.query(samples)
        index = nearest % len(self._centroids)
        height = np.einsum("ij,ij->i", samples - self._tree.data[nearest], self._normals[index])
        # A sample behind the surface is inside what is solid, which costs nothing.
        return _Part(faces, mesh, np.where(height > 0, np.minimum(distance, height), 0.0), samples)

    def cut(self, part: _Part) -> tuple[_Part, _Part] | None:
        """Return the two halves of a part along the axis that leaves the least in front of the surface."""
        centroids = self._centroids[part.faces]
        worst = part.samples[int(np.argmax(part.bulge))]
        best: tuple[_Part, _Part] | None = None
        least = np.inf
        for axis in range(3):
            for position in (np.median(centroids[:, axis]), worst[axis]):
                low = centroids[:, axis] < position
                if not low.any() or low.all():
                    continue
                halves = (self.part(part.faces[low]), self.part(part.faces[~low]))
                if halves[0] is None or halves[1] is None:
                    continue
                cost = sum(float((half.bulge**2).sum() / len(half.bulge)) for half in halves if half)
                if cost < least:
                    least, best = cost, (halves[0], halves[1])
        return best


_SPREAD = ((1 / 3, 1 / 3), (0.8, 0.1), (0.1, 0.8), (0.1, 0.1))
"""Barycentric coordinates of the samples on a face; the first is the centroid."""


def _sample(mesh: TriangleMesh) -> np.ndarray:
    """Return points on the faces, of each as many, for one coordinate of `_SPREAD` after the other, (N, 3)."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return np.concatenate([a * i + b * j + c * (1 - i - j) for i, j in _SPREAD])


def _closed(points: np.ndarray, simplices: np.ndarray, outward: np.ndarray) -> TriangleMesh:
    """Return a hull as a mesh whose faces look outwards."""
    a, b, c = (points[simplices[:, i]] for i in range(3))
    turned = np.einsum("ij,ij->i", np.cross(b - a, c - a), outward) < 0
    faces = np.where(turned[:, None], simplices[:, [0, 2, 1]], simplices)
    mesh = drop_unused(TriangleMesh(points, faces))
    return TriangleMesh(mesh.vertices.astype(np.float32), mesh.faces)


def _slab(floor: TriangleMesh) -> TriangleMesh:
    """Return a box below a flat floor at z = 0."""
    import trimesh

    low, high = floor.vertices.min(axis=0), floor.vertices.max(axis=0)
    bounds = np.array([[low[0], low[1], -SLAB], [high[0], high[1], 0.0]])
    box = trimesh.creation.box(bounds=bounds)
    return TriangleMesh(np.asarray(box.vertices, np.float32), np.asarray(box.faces, np.int32))
