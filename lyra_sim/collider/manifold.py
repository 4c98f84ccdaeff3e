"""Make a triangle mesh manifold by giving every sheet its own vertices."""

from __future__ import annotations

import numpy as np

from lyra_sim.scene import TriangleMesh

GAP = 2e-5
"""Least distance that doubled vertices are parted by [m]; equal ones would be called weldable."""


def split_vertices(mesh: TriangleMesh) -> TriangleMesh:
    """Return the mesh with vertices doubled where sheets merely touch; no face moves by more than 0.2 mm.

    Two faces stay connected across an edge that exactly they share, once in each direction. Every other contact
    (three faces at an edge, two fans at a vertex, turned neighbours) is cut, after which no edge has more than two
    faces and each vertex has one fan. Faces without area, and repeated ones, are left out.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    faces = _proper_faces(mesh)
    count = len(faces)
    corner = np.arange(3 * count).reshape(count, 3)
    # Each directed edge runs from corner i to corner i + 1 of its face.
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    start_corner, end_corner = corner.ravel(), np.roll(corner, -1, axis=1).ravel()
    key = np.minimum(start, end).astype(np.int64) * len(mesh.vertices) + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    _, first, uses = np.unique(key[order], return_index=True, return_counts=True)
    pair = first[uses == 2]
    one, two = order[pair], order[pair + 1]
    opposed = start[one] == end[two]
    one, two = one[opposed], two[opposed]
    links = np.concatenate(
        [
            np.stack([start_corner[one], end_corner[two]], axis=1),
            np.stack([end_corner[one], start_corner[two]], axis=1),
        ]
    )
    graph = coo_matrix((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(3 * count, 3 * count))
    vertices, label = connected_components(graph, directed=False)
    origin = np.empty(vertices, np.int64)
    origin[label] = faces.ravel()
    split = TriangleMesh(mesh.vertices[origin], label.reshape(count, 3).astype(np.int32))
    return _part_doubles(split, origin)


def _part_doubles(mesh: TriangleMesh, origin: np.ndarray) -> TriangleMesh:
    """Move all but one of the vertices that came from the same one into their faces, so that none coincide."""
    _, first = np.unique(origin, return_index=True)
    double = np.ones(len(origin), bool)
    double[first] = False
    inwards = np.repeat(mesh.vertices[mesh.faces].mean(axis=1), 3, axis=0) - mesh.vertices[mesh.faces.ravel()]
    total = np.zeros_like(mesh.vertices)
    np.add.at(total, mesh.faces.ravel(), inwards)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    step = GAP * np.arange(1, len(origin) + 1)[:, None] % (8 * GAP) + GAP
    moved = mesh.vertices + (step * total / np.maximum(length, 1e-12)).astype(np.float32)
    return TriangleMesh(np.where(double[:, None], moved, mesh.vertices).astype(np.float32), mesh.faces)


def _proper_faces(mesh: TriangleMesh) -> np.ndarray:
    """Return the faces that have area, each once, in their order."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    faces = mesh.faces[area > 1e-10]
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    return faces[np.sort(first)]
