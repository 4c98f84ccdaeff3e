"""Where a ray meets a mesh or splats."""

from __future__ import annotations

import numpy as np

from lyra_sim.gaussians import Gaussians

REACH = 3.33
"""Standard deviations at which an opaque Gaussian falls below 1/255."""


def mesh_depth(
    vertices: np.ndarray, faces: np.ndarray, origin: np.ndarray, direction: np.ndarray
) -> float | None:
    """Return the distance at which a ray first meets a triangle mesh, from either side, or None.

    Möller and Trumbore (1997), over all triangles at once.

    Args:
        vertices: Vertices [m], (N, 3).
        faces: Vertex indices, (M, 3).
        origin: Start of the ray [m], (3,).
        direction: Direction of the ray, of any length, (3,).
    """
    ray = _unit(direction)
    corner = vertices[faces[:, 0]].astype(np.float64)
    first, second = vertices[faces[:, 1]] - corner, vertices[faces[:, 2]] - corner
    normal = np.cross(ray, second)
    determinant = np.einsum("ij,ij->i", first, normal)
    with np.errstate(divide="ignore", invalid="ignore"):
        start = np.asarray(origin, np.float64) - corner
        u = np.einsum("ij,ij->i", start, normal) / determinant
        across = np.cross(start, first)
        v = across @ ray / determinant
        distance = np.einsum("ij,ij->i", second, across) / determinant
        hit = (np.abs(determinant) > 1e-14) & (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 1e-6)
    return float(distance[hit].min()) if hit.any() else None


def splat_depth(gaussians: Gaussians, origin: np.ndarray, direction: np.ndarray) -> float | None:
    """Return the distance at which half of a ray's light is stopped by splats, or None where less is [m].

    Each Gaussian counts with its greatest response along the ray, at the place where that is (3DGUT, Wu et al.
    2025, section 4).

    Args:
        gaussians: The scene.
        origin: Start of the ray [m], (3,).
        direction: Direction of the ray, of any length, (3,).
    """
    ray = _unit(direction)
    offset = gaussians.means.astype(np.float64) - np.asarray(origin, np.float64)
    along = offset @ ray
    aside = np.einsum("ij,ij->i", offset, offset) - along**2
    near = (along > 0) & (aside < (REACH * gaussians.scales.max(axis=1)) ** 2)
    if not near.any():
        return None
    picked = gaussians.select(near)
    axes = _axes(picked.rotations)
    start = np.einsum("nji,nj->ni", axes, -offset[near]) / picked.scales
    slope = np.einsum("nji,j->ni", axes, ray) / picked.scales
    depth = -np.einsum("ni,ni->n", start, slope) / np.einsum("ni,ni->n", slope, slope)
    closest = start + depth[:, None] * slope
    alpha = picked.opacities * np.exp(-0.5 * np.einsum("ni,ni->n", closest, closest))
    counted = (alpha > 1 / 255) & (depth > 0)
    order = np.argsort(depth[counted], kind="stable")
    passed = np.cumprod(1 - np.minimum(alpha[counted][order], 0.999))
    stopped = np.flatnonzero(passed < 0.5)
    return float(depth[counted][order][stopped[0]]) if len(stopped) else None


def _axes(wxyz: np.ndarray) -> np.ndarray:
    """Return rotation matrices, local axes in the columns, (N, 3, 3) float64."""
    w, x, y, z = wxyz.astype(np.float64).T
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)


def covariances(gaussians: Gaussians) -> np.ndarray:
    """Return the covariances in the frame of the means [m^2], (N, 3, 3) float32."""
    factor = _axes(gaussians.rotations) * gaussians.scales[:, None, :]
    return (factor @ factor.transpose(0, 2, 1)).astype(np.float32)


def _unit(direction: np.ndarray) -> np.ndarray:
    vector = np.asarray(direction, np.float64)
    return vector / np.linalg.norm(vector)
