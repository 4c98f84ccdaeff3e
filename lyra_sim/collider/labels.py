"""Carry class labels from images onto a mesh."""

from __future__ import annotations

import numpy as np

from lyra_sim.collider.tsdf import DepthViews
from lyra_sim.errors import LyraSimError
from lyra_sim.scene import LabelledMesh, TriangleMesh

_BARYCENTRIC = np.array(
    [[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4], [2, 2, 1], [2, 1, 2], [1, 2, 2]], np.float32
)
"""Where a face is sampled; several places, because a floor tile may lie half under a shelf."""


def label_mesh(
    mesh: TriangleMesh,
    label_images: np.ndarray,
    views: DepthViews,
    classes: tuple[str, ...],
    *,
    tolerance: float = 0.1,
    reach: float = 1.0,
) -> LabelledMesh:
    """Give every face the class that most views show there.

    Points on the face are projected into every view and vote for the label of their pixel where their depth
    agrees with the view's, nearer views more. A face that no view shows takes the class of the nearest
    labelled face within `reach`, else class 0.

    Args:
        mesh: Mesh in the world frame [m].
        label_images: Index into `classes` per pixel, (V, H, W).
        views: Depth [m] and cameras of the same V views.
        classes: Class names; index 0 means unlabelled and gets no votes.
        tolerance: Largest distance [m] between a sample and the view's depth, plus 2% of that depth.
        reach: Largest distance [m] over which an unseen face borrows a label.
    """
    if label_images.shape != views.depth.shape:
        raise LyraSimError(f"labels {label_images.shape} and depth {views.depth.shape} differ in shape")
    weights = _BARYCENTRIC / _BARYCENTRIC.sum(axis=1, keepdims=True)
    corners = mesh.vertices[mesh.faces]
    samples = np.einsum("sk,mkc->msc", weights, corners).reshape(-1, 3).astype(np.float64)
    face = np.repeat(np.arange(len(mesh.faces)), len(weights))
    votes = np.zeros((len(mesh.faces), len(classes)))
    for labels, depth, pose, intrinsics in zip(
        label_images, views.depth, views.c2w, views.intrinsics, strict=True
    ):
        index, row, column, z = _visible(samples, depth, pose, intrinsics, tolerance=tolerance)
        np.add.at(votes, (face[index], labels[row, column]), 1.0 / np.maximum(z, 0.5) ** 2)
    votes[:, 0] = 0.0
    label = np.where(votes.any(axis=1), votes.argmax(axis=1), 0).astype(np.int32)
    _borrow(label, corners.mean(axis=1), reach=reach)
    return LabelledMesh(mesh.vertices, mesh.faces, label, classes)


def _visible(
    points: np.ndarray, depth: np.ndarray, pose: np.ndarray, intrinsics: np.ndarray, *, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return index, pixel row, pixel column and z-depth of the points that the view sees."""
    w2c = np.linalg.inv(pose)
    x, y, z = (points @ w2c[:3, :3].T + w2c[:3, 3]).T
    fx, fy, cx, cy = intrinsics
    height, width = depth.shape
    front = np.flatnonzero(z > 1e-3)
    u, v = x[front] / z[front] * fx + cx, y[front] / z[front] * fy + cy
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    index, column, row = front[inside], u[inside].astype(int), v[inside].astype(int)
    measured = depth[row, column]
    seen = (measured > 0) & (np.abs(measured - z[index]) < tolerance + 0.02 * measured)
    return index[seen], row[seen], column[seen], z[index[seen]]


def _borrow(label: np.ndarray, centroids: np.ndarray, *, reach: float) -> None:
    """Give unlabelled faces the label of the nearest labelled one, in place."""
    from scipy.spatial import cKDTree

    known, unknown = np.flatnonzero(label > 0), np.flatnonzero(label == 0)
    if not len(known) or not len(unknown):
        return
    distance, nearest = cKDTree(centroids[known]).query(centroids[unknown], distance_upper_bound=reach)
    near = np.isfinite(distance)
    label[unknown[near]] = label[known[nearest[near]]]
