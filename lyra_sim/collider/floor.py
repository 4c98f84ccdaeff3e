"""Find the floor among points, and put a flat one into a mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lyra_sim.scene import TriangleMesh

TILE = 1.0
"""Side of a floor tile [m]; physics engines lose precision on triangles far larger than what rests on them."""


@dataclass(frozen=True)
class Floor:
    """Describe a floor plane {p : normal . p = height}."""

    normal: np.ndarray
    """Unit normal, away from the ground, (3,)."""
    height: float
    """Distance of the plane from the origin along the normal [m]."""
    flatness: float
    """Median distance of the floor's points from the plane [m]."""
    share: float
    """Share of all points that lie on the plane."""


def find_floor(
    points: np.ndarray, *, up: np.ndarray | None = None, tolerance: float = 0.05, max_tilt: float = 15.0
) -> Floor | None:
    """Fit the lowest large plane whose normal is within `max_tilt` degrees of `up`.

    Args:
        points: Points [m] in a frame that is nearly upright, (N, 3).
        up: Rough up direction, (3,); +z when left out.
        tolerance: Distance [m] within which a point counts as on the plane.
        max_tilt: Largest angle [degrees] between `up` and the normal.

    Returns:
        The plane, or None when no plane holds clearly more points than chance would put there.
    """
    up = np.array([0.0, 0.0, 1.0]) if up is None else up / np.linalg.norm(up)
    points = points[:: max(1, len(points) // 60_000)].astype(np.float64)
    rng = np.random.default_rng(0)
    candidates = [
        plane
        for plane in (_sample_plane(points, up, rng) for _ in range(400))
        if plane[0] @ up > _cos(max_tilt)
    ]
    candidates.append((up, _lowest_mode(points @ up, tolerance)))
    scored = [(float((np.abs(points @ n - h) < tolerance).mean()), n, h) for n, h in candidates]
    best = max(s for s, _, _ in scored)
    low, high = np.percentile(points @ up, [1, 99])
    # Points that fill the space evenly put this share into any slab as thick as the tolerance.
    by_chance = 2 * tolerance / max(high - low, 1e-9)
    if best < max(0.02, min(1.8 * by_chance, 0.5)):
        return None
    # A table or a shelf may hold more points than the floor seen between them, but lies higher. Planes that are a
    # little lower only because they are tilted hold fewer points than the floor itself.
    centre = np.median(points, axis=0)
    planes = [(s, n, h, h - n @ centre) for s, n, h in scored if s > 0.4 * best]
    lowest = min(p[3] for p in planes)
    _, normal, height, _ = max((p for p in planes if p[3] < lowest + 6 * tolerance), key=lambda p: p[0])
    for scale in (1.0, 0.7, 0.5, 0.5):
        near = points[np.abs(points @ normal - height) < max(scale * tolerance, 0.01)]
        if len(near) < 16:
            break
        normal, height = _fit_plane(near, up)
    distance = np.abs(points @ normal - height)
    on = distance < tolerance
    return Floor(normal, height, float(np.median(distance[on])), float(on.mean()))


def flatten_floor(mesh: TriangleMesh, *, tolerance: float) -> TriangleMesh:
    """Take the faces that lie within `tolerance` of z = 0 or below out, and pull the rest down to z = 0.

    Objects that stand on the floor keep their sides, which then end on the floor plane.
    """
    low = mesh.vertices[:, 2] < tolerance
    faces = mesh.faces[~low[mesh.faces].all(axis=1)]
    vertices = mesh.vertices.copy()
    vertices[low, 2] = 0.0
    return drop_unused(TriangleMesh(vertices, faces))


def floor_tiles(low: np.ndarray, high: np.ndarray, *, margin: float = 1.0) -> TriangleMesh:
    """Return a flat floor at z = 0 over the box [m] plus a margin, facing up."""
    low, high = np.asarray(low[:2]) - margin, np.asarray(high[:2]) + margin
    nx, ny = (max(1, int(np.ceil(e / TILE))) for e in high - low)
    x, y = np.meshgrid(
        np.linspace(low[0], high[0], nx + 1), np.linspace(low[1], high[1], ny + 1), indexing="ij"
    )
    vertices = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1).astype(np.float32)
    corner = (np.arange(nx)[:, None] * (ny + 1) + np.arange(ny)).ravel()
    a, b, c, d = corner, corner + ny + 1, corner + ny + 2, corner + 1
    return TriangleMesh(
        vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    )


def drop_unused(mesh: TriangleMesh) -> TriangleMesh:
    """Return the mesh without vertices that no face uses."""
    kept, faces = np.unique(mesh.faces, return_inverse=True)
    return TriangleMesh(mesh.vertices[kept], faces.reshape(-1, 3).astype(np.int32))


def _cos(degrees: float) -> float:
    return float(np.cos(np.radians(degrees)))


def _sample_plane(points: np.ndarray, up: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    a, b, c = points[rng.integers(0, len(points), 3)]
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal)
    normal = normal / length if length > 1e-9 else -up
    normal = normal if normal @ up > 0 else -normal
    return normal, float(normal @ a)


def _lowest_mode(heights: np.ndarray, tolerance: float) -> float:
    """Return the lowest height at which a tenth of the fullest layer's points gather."""
    low, high = np.percentile(heights, [0.5, 99.5])
    bins = max(1, min(2000, int((high - low) / tolerance) + 1))
    counts, edges = np.histogram(heights, bins, (low, high + 1e-6))
    first = int(np.flatnonzero(counts > 0.3 * counts.max())[0])
    return float((edges[first] + edges[first + 1]) / 2)


def _fit_plane(points: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit a plane by total least squares."""
    centre = points.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((points - centre).T))
    normal = vectors[:, 0] if vectors[:, 0] @ up > 0 else -vectors[:, 0]
    return normal, float(normal @ centre)
