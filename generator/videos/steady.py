"""Whether the camera of a video stands still, and what such a video shows of the things that stand still too."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_gradient_magnitude

from generator.pictures.fit import middle_depth

_BLOCKS = (8, 8)
"""Rows and columns of blocks that outlines are compared in."""
_LEAST_LIKENESS = 0.5
"""Correlation of the outlines of two frames below which a block shows something else."""
_PROBES = 8
"""Frames that are compared with the first."""
_STRONG = 0.5
"""Share of the blocks, those with the strongest outlines, that are asked."""


def share_that_moves(rgb: np.ndarray) -> float:
    """Return the share of a video's outlines that lie elsewhere in most other frames than in the first, 0 to 1.

    Outlines are compared, because they stay where they are when the light changes. Above a half, the camera itself
    must have moved, or nearly everything in its view.

    Args:
        rgb: Frames, (T, H, W, 3) uint8.
    """
    probes = np.unique(np.linspace(0, len(rgb) - 1, _PROBES + 1).round().astype(int))[1:]
    if not len(probes):
        return 0.0
    first = _outlines(rgb[0])
    strength = _blocks(first).std(axis=-1)
    asked = strength >= np.quantile(strength, 1 - _STRONG)
    alike = np.stack([_likeness(first, _outlines(rgb[probe])) for probe in probes])
    return float((np.median(alike, axis=0) < _LEAST_LIKENESS)[asked].mean())


def median_frame(rgb: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return colours (H, W, 3) uint8 and depth (H, W), 0 where unknown, of what is seen most of the time.

    Args:
        rgb: Frames of a camera that stands still, (T, H, W, 3) uint8.
        depth: Their z-depth, (T, H, W), 0 where unknown.
    """
    colours = np.median(rgb, axis=0).round().astype(np.uint8)
    return colours, middle_depth(depth, axis=0)


def _outlines(rgb: np.ndarray) -> np.ndarray:
    return gaussian_gradient_magnitude(
        rgb.astype(np.float32).mean(axis=-1), sigma=max(1.0, rgb.shape[0] / 176)
    )


def _blocks(values: np.ndarray) -> np.ndarray:
    """Cut (H, W) into blocks, (rows * columns, pixels)."""
    rows, columns = _BLOCKS
    height, width = values.shape[0] // rows * rows, values.shape[1] // columns * columns
    cut = values[:height, :width].reshape(rows, height // rows, columns, width // columns)
    return cut.transpose(0, 2, 1, 3).reshape(rows * columns, -1)


def _likeness(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the correlation of each block of two maps."""
    a, b = (blocks - blocks.mean(axis=-1, keepdims=True) for blocks in (_blocks(one), _blocks(other)))
    size = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return (a * b).sum(axis=-1) / np.maximum(size, 1e-6)
