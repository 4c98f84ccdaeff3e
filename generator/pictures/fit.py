"""Bring pictures, depth maps and intrinsics to the shape of the frames: by cropping, or by squeezing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from generator.cache.fill import fill_holes
from generator.request import Fit

_MOST_SAMPLES = 5
"""Samples along each axis of the footprint of one pixel of a depth map that is made smaller."""
_COLOUR_SPREAD = 0.08
"""Difference of colour (0..1) that makes two pixels unlike when measured depth is carried into a hole."""


@dataclass(frozen=True)
class Window:
    """Say which part of a picture of `source` size is shown at `target` size, (rows, columns) [px]."""

    source: tuple[int, int]
    target: tuple[int, int]
    box: tuple[float, float, float, float]
    """Left, top, right, bottom [px of the source]."""

    @classmethod
    def of(cls, source: tuple[int, int], target: tuple[int, int], fit: Fit) -> Window:
        """Return the whole picture (squeeze), or its largest centred part of the target's shape (crop)."""
        height, width = source
        if fit == "squeeze":
            return cls(source, target, (0.0, 0.0, float(width), float(height)))
        scale = min(height / target[0], width / target[1])
        # Rounding can leave the side that fits exactly a hair outside.
        left, top = (
            max(0.0, whole - scale * part) / 2 for whole, part in ((width, target[1]), (height, target[0]))
        )
        return cls(source, target, (left, top, width - left, height - top))

    @property
    def scale(self) -> tuple[float, float]:
        """Target pixels per source pixel, along columns and rows."""
        left, top, right, bottom = self.box
        return self.target[1] / (right - left), self.target[0] / (bottom - top)

    def intrinsics(self, values: np.ndarray) -> np.ndarray:
        """Return fx, fy, cx, cy [px] of the target from those of the source."""
        x, y = self.scale
        fx, fy, cx, cy = values
        return np.array([fx * x, fy * y, (cx - self.box[0]) * x, (cy - self.box[1]) * y])

    def depth(self, depth: np.ndarray) -> np.ndarray:
        """Return the window of a depth map with holes (0), at target size; every value is one that was measured.

        Of the samples in a pixel's footprint the median of the measured ones is taken, so that outlines stay sharp
        and single outliers do not come through.
        """
        rows = _positions(self.box[1], self.box[3], self.target[0], depth.shape[0], self.source[0])
        columns = _positions(self.box[0], self.box[2], self.target[1], depth.shape[1], self.source[1])
        samples = depth[rows[:, None, :, None], columns[None, :, None, :]]
        return middle_depth(samples.reshape(*self.target, -1), axis=-1)


def middle_depth(depth: np.ndarray, *, axis: int) -> np.ndarray:
    """Return the lower median along an axis of what is known, float32; 0 where nothing is.

    It is a value that was measured, not an average over an edge.
    """
    known = depth > 0
    ordered = np.sort(np.where(known, depth, np.inf), axis=axis)
    middle = np.maximum(known.sum(axis=axis, keepdims=True) - 1, 0) // 2
    picked = np.take_along_axis(ordered, middle, axis=axis).squeeze(axis)
    return np.where(np.isfinite(picked), picked, 0).astype(np.float32)


def _positions(start: float, end: float, count: int, available: int, nominal: int) -> np.ndarray:
    """Return source indices of the samples of each of `count` target pixels, (count, samples) int.

    `start` and `end` are pixels of a picture with `nominal` of them; the map itself has `available`.
    """
    start, end = start * available / nominal, end * available / nominal
    step = (end - start) / count
    samples = int(np.clip(math.floor(step), 1, _MOST_SAMPLES))
    inside = (np.arange(samples) + 0.5) / samples
    places = start + (np.arange(count)[:, None] + inside) * step
    return np.clip(places.astype(int), 0, available - 1)


def fill_depth(depth: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Return dense depth: holes (0) are filled from their surroundings, from the side that looks alike.

    Args:
        depth: z-depth [m], (H, W); 0 in holes.
        rgb: The picture, (H, W, 3) uint8. In small holes the neighbours of the same colour count; wide ones take
            the background beside them, because what a depth camera misses is mostly in the shadow of an edge.
    """
    holes = depth <= 0
    if not holes.any():
        return depth
    coarse = fill_holes(torch.from_numpy(depth)[None], torch.from_numpy(~holes)[None].float())[0].numpy()
    return np.where(holes, _by_colour(depth, coarse, rgb.astype(np.float32) / 255), depth).astype(np.float32)


def _by_colour(depth: np.ndarray, coarse: np.ndarray, rgb: np.ndarray, *, reach: int = 4) -> np.ndarray:
    """Average measured log-depth within `reach` pixels, weighted by likeness of colour; else `coarse`."""
    known = depth > 0
    log_depth = np.log(np.where(known, depth, 1))
    weight = np.full(depth.shape, 0.02, np.float32)
    total = weight * np.log(coarse)
    height, width = depth.shape
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            here = (slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx)))
            there = (slice(max(0, dy), height - max(0, -dy)), slice(max(0, dx), width - max(0, -dx)))
            unlike = ((rgb[there] - rgb[here]) ** 2).sum(axis=-1) / _COLOUR_SPREAD**2
            share = known[there] * np.exp(-0.5 * unlike - 0.5 * (dy * dy + dx * dx) / (0.5 * reach) ** 2)
            weight[here] += share
            total[here] += share * log_depth[there]
    return np.exp(total / weight)
