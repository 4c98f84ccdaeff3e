"""The exact mesh of a world that is made of labelled quads."""

from __future__ import annotations

import numpy as np

from lyra_sim.scene import LabelledMesh

WELD = 1e-4
"""Corners nearer than this are one vertex [m]."""


def mesh_of_quads(corners: np.ndarray, label: np.ndarray, classes: tuple[str, ...]) -> LabelledMesh:
    """Return the triangles of planar quads, equal corners welded.

    Args:
        corners: Quad corners [m], counter-clockwise from outside, (Q, 4, 3); the last two may coincide.
        label: Index into `classes` per quad, (Q,).
        classes: Semantic class names.
    """
    triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]]).astype(np.float64)
    labels = np.concatenate([label, label]).astype(np.int32)
    edges = triangles[:, 1:] - triangles[:, :1]
    proper = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) > WELD**2
    triangles, labels = triangles[proper], labels[proper]
    cells = np.rint(triangles.reshape(-1, 3) / WELD).astype(np.int64)
    _, first, faces = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    vertices = triangles.reshape(-1, 3)[first].astype(np.float32)
    return LabelledMesh(vertices, faces.reshape(-1, 3).astype(np.int32), labels, classes)
