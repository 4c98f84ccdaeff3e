"""Geometry of the shapes that worlds are built of, as corners of quads, counter-clockwise from outside."""

from __future__ import annotations

from functools import cache

import numpy as np

_FACES = {
    "x": ((0, 1, 0), (0, 0, 0), (0, 0, 1), (0, 1, 1)),
    "X": ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)),
    "y": ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)),
    "Y": ((1, 1, 0), (0, 1, 0), (0, 1, 1), (1, 1, 1)),
    "z": ((0, 1, 0), (1, 1, 0), (1, 0, 0), (0, 0, 0)),
    "Z": ((0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)),
}


@cache
def unit_cube(faces: str) -> np.ndarray:
    """Return the named faces of the unit cube, (F, 4, 3); small letters face the negative axis."""
    return np.array([_FACES[name] for name in faces], np.float64)


def yaw_matrix(yaw: float) -> np.ndarray:
    """Return the rotation about +z by `yaw` [rad], (3, 3)."""
    if yaw == 0.0:
        return np.eye(3)
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def polygon_quads(polygon: np.ndarray) -> np.ndarray:
    """Split a convex polygon (N, 3) into a fan of quads, the last one a triangle if N is odd."""
    count = len(polygon)
    fan = [(0, i, i + 1, min(i + 2, count - 1)) for i in range(1, count - 1, 2)]
    return polygon[np.array(fan)]


def bar_axes(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return right-handed unit axes (along, side, up) of a bar, `up` as vertical as it can be."""
    along = direction / np.linalg.norm(direction)
    reference = np.array([0.0, 0.0, 1.0]) if abs(along[2]) < 0.95 else np.array([0.0, 1.0, 0.0])
    side = np.cross(reference, along)
    side /= np.linalg.norm(side)
    return along, side, np.cross(along, side)


def along_grain(corners: np.ndarray) -> np.ndarray:
    """Start every quad at the corner that makes u run along its longer side."""
    u = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
    v = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1)
    turn = (v > 1.05 * u) & np.any(corners[:, 2] != corners[:, 3], axis=1)
    return np.where(turn[:, None, None], np.roll(corners, -1, axis=1), corners)


@cache
def chamfer_pattern() -> tuple[np.ndarray, np.ndarray]:
    """Return, for the 26 facets of a chamfered box, corner signs and which axes are inset, (26, 4, 3) each."""
    signs, insets = [], []
    for direction in np.ndindex(3, 3, 3):
        normal = np.array(direction) - 1.0
        used, free = np.flatnonzero(normal), np.flatnonzero(normal == 0)
        if len(used) == 0:
            continue
        corners = []
        for outer in used:
            for bits in np.ndindex(*(2,) * len(free)):
                corner = normal.copy()
                corner[free] = 2.0 * np.array(bits) - 1.0
                corners.append((corner, np.arange(3) != outer))
        sign = np.array([corner for corner, _ in corners])
        inset = np.array([axes for _, axes in corners], np.float64)
        order = _around(sign * (1.0 - 0.3 * inset), normal)
        signs.append(sign[order])
        insets.append(inset[order])
    return np.array(signs), np.array(insets)


def _around(corners: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the order of a convex facet's corners, counter-clockwise from outside; a triangle repeats its last."""
    _, side, up = bar_axes(normal)
    offset = corners - corners.mean(axis=0)
    order = np.argsort(np.arctan2(offset @ up, offset @ side), kind="stable")
    return order if len(order) == 4 else order[[0, 1, 2, 2]]
