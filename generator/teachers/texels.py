"""The texel grids of lightmaps: where texels lie, how covered ones are filled in, how all are smoothed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from generator.teachers.quads import QuadScene
from generator.teachers.shading import compiled

INSET = 0.01
"""Distance that the outermost texels keep from the edge of their quad, which often touches a wall [m]."""
LIFT = 1e-3
"""Distance of texels from their own surface, so that their rays do not meet it [m]."""


@dataclass(frozen=True)
class Texels:
    """Hold the texels of all quads, quad after quad, row-major over (v, u); the outermost lie on the edges."""

    first: np.ndarray
    """First texel of each quad, (Q,) int64."""
    shape: np.ndarray
    """Texel columns (along u) and rows (along v) of each quad, both at least 2, (Q, 2) int64."""
    quad: np.ndarray
    """Quad of each texel, (N,) int32."""
    phase: np.ndarray
    """Column parity plus twice the row parity: which of four interleaved ray patterns to use, (N,) int32."""
    position: np.ndarray
    """Origin of the texel's rays [m], (N, 3) float32."""

    def __len__(self) -> int:
        return len(self.quad)

    def fill(self, values: np.ndarray, valid: np.ndarray) -> None:
        """Replace `values` (N, C) of texels that are not `valid` by the mean of the nearest valid ones."""
        _fill(self.first, self.shape, np.where(valid, 0, -1).astype(np.int32), values)

    def smoothed(self, values: np.ndarray) -> np.ndarray:
        """Return `values` (N, C) averaged with weights 1 2 1 along u and v.

        Any such neighbourhood holds the four phases in equal shares, so the average sees all of their rays.
        """
        along_u, out = np.empty_like(values), np.empty_like(values)
        _smooth(self.first, self.shape, values, along_u, out)
        return out


def place_texels(scene: QuadScene, *, spacing: float, limit: int) -> Texels:
    """Lay a grid over every quad.

    Args:
        scene: Quads with their frames.
        spacing: Wanted distance between texels [m].
        limit: Bound on the number of texels; the spacing grows to keep it. Four per quad are the least.
    """
    shape = grid_shapes(scene.bounds[:, 1], spacing=spacing, limit=limit)
    counts = shape.prod(axis=1)
    first = np.cumsum(counts) - counts
    quad = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    phase = np.empty(len(quad), np.int32)
    position = np.empty((len(quad), 3), np.float32)
    planar = np.einsum("qcx,qax->qca", scene.corners - scene.frames[:, None, 0], scene.frames[:, 1:3])
    _place(scene.frames, scene.bounds, planar, first, shape, phase, position)
    return Texels(first, shape, quad, phase, position)


def grid_shapes(size: np.ndarray, *, spacing: float, limit: int) -> np.ndarray:
    """Return texel columns and rows for rectangles of `size` (Q, 2) [m]; see `place_texels`."""
    while True:
        # The small term keeps a side of exactly n spacings from rounding up to n + 1.
        shape = np.maximum(np.ceil(size / spacing - 1e-6).astype(np.int64) + 1, 2)
        if shape.prod(axis=1).sum() <= limit or (shape == 2).all():
            return shape
        spacing *= 1.1


@compiled
def _place(frames, bounds, planar, first, shape, phase, position):
    """Fill in phase and position; positions are lifted off the surface and kept inside the polygon."""
    for q in range(len(frames)):
        columns, rows = shape[q]
        inset = min(INSET, 0.25 * min(bounds[q, 1, 0], bounds[q, 1, 1]))
        for row in range(rows):
            for column in range(columns):
                k = first[q] + row * columns + column
                phase[k] = (column & 1) + 2 * (row & 1)
                u = bounds[q, 0, 0] + bounds[q, 1, 0] * column / (columns - 1)
                v = bounds[q, 0, 1] + bounds[q, 1, 1] * row / (rows - 1)
                # Two rounds, because moving in from one edge can move a point across a slanted neighbour.
                for edge in range(8):
                    u, v = _moved_inside(planar[q], edge & 3, inset, u, v)
                for c in range(3):
                    position[k, c] = (
                        frames[q, 0, c] + u * frames[q, 1, c] + v * frames[q, 2, c] + LIFT * frames[q, 3, c]
                    )


@compiled
def _moved_inside(polygon, edge, inset, u, v):
    """Return a point moved to at least `inset` inside one edge of a counter-clockwise polygon (4, 2)."""
    along_u = polygon[(edge + 1) & 3, 0] - polygon[edge, 0]
    along_v = polygon[(edge + 1) & 3, 1] - polygon[edge, 1]
    length = math.sqrt(along_u * along_u + along_v * along_v)
    if length < 1e-9:
        return u, v
    missing = inset - ((v - polygon[edge, 1]) * along_u - (u - polygon[edge, 0]) * along_v) / length
    if missing <= 0.0:
        return u, v
    return u - missing * along_v / length, v + missing * along_u / length


@compiled
def _fill(first, shape, age, values):
    """Fill in rounds; `age` is the round in which a texel became known, -1 while it is not."""
    channels = values.shape[1]
    for q in range(len(shape)):
        columns, rows = shape[q]
        start = first[q]
        now = 1
        filled = 1
        while filled > 0:
            filled = 0
            for row in range(rows):
                for column in range(columns):
                    k = start + row * columns + column
                    if age[k] >= 0:
                        continue
                    found = 0
                    for y in range(max(row - 1, 0), min(row + 2, rows)):
                        for x in range(max(column - 1, 0), min(column + 2, columns)):
                            other = start + y * columns + x
                            if age[other] < 0 or age[other] == now:
                                continue
                            found += 1
                            for c in range(channels):
                                values[k, c] = (
                                    values[other, c] if found == 1 else values[k, c] + values[other, c]
                                )
                    if found > 0:
                        age[k] = now
                        filled += 1
                        for c in range(channels):
                            values[k, c] /= found
            now += 1


@compiled
def _smooth(first, shape, values, along_u, out):
    """Average along u, then along v; beyond an edge the values are mirrored."""
    for q in range(len(shape)):
        columns, rows = shape[q]
        for row in range(rows):
            line = first[q] + row * columns
            for column in range(columns):
                left = line + abs(column - 1)
                right = line + columns - 1 - abs(columns - 2 - column)
                for c in range(values.shape[1]):
                    along_u[line + column, c] = (
                        0.25 * values[left, c] + 0.5 * values[line + column, c] + 0.25 * values[right, c]
                    )
        for row in range(rows):
            above = first[q] + abs(row - 1) * columns
            here = first[q] + row * columns
            below = first[q] + (rows - 1 - abs(rows - 2 - row)) * columns
            for x in range(columns):
                for c in range(values.shape[1]):
                    out[here + x, c] = (
                        0.25 * along_u[above + x, c]
                        + 0.5 * along_u[here + x, c]
                        + 0.25 * along_u[below + x, c]
                    )
