"""What passes between the kernels of the CPU renderer.

Everything is float32 unless said otherwise. N Gaussians, of which M are visible; P pairs of a splat and a
tile that it covers; C colour channels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from generator.render.request import ALPHA_MIN, EPS2D, SCALE_MIN

F32 = np.float32
ZERO, HALF, ONE, TWO = F32(0), F32(0.5), F32(1), F32(2)
BLUR, ALPHA_LIMIT, SCALE_LIMIT = F32(EPS2D), F32(ALPHA_MIN), F32(SCALE_MIN)

TILE_WIDTH = 8
"""Pixels; one row of a tile is one vector."""
TILE_HEIGHT = 16
"""Pixels; divides 16, to which 3DGUT rounds its supports."""

X, Y, XX, XY, YY, LOG_OPACITY, DEPTH, COLOR = range(8)
"""Columns of `splats`: image point [px], conic [1/px^2], log2 of opacity, camera z [m], then the colours."""
CENTER_X, CENTER_Y, HALF_X, HALF_Y, SLOPE, RISE = range(6)
"""Columns of `ellipses`, the outline of what a splat may cover.

Its centre, half width and half height [px]; how far its middle rises per pixel to the right; and the
squared half height above its centre [px^2].
"""
ELLIPSE_COLUMNS = 6


class Shapes(NamedTuple):
    """Hold the Gaussians without their colours, in the world frame."""

    means: np.ndarray
    """[m], (N, 3)."""
    scales: np.ndarray
    """Standard deviations [m], (N, 3)."""
    rotations: np.ndarray
    """Quaternions wxyz, not necessarily of unit length, (N, 4)."""
    opacities: np.ndarray
    """(N,)"""


class View(NamedTuple):
    """Hold one camera as float32 scalars."""

    r00: float
    """World-to-camera rotation, row and column; then the translation [m]."""
    r01: float
    r02: float
    r10: float
    r11: float
    r12: float
    r20: float
    r21: float
    r22: float
    tx: float
    ty: float
    tz: float
    fx: float
    """Focal lengths and principal point [px]."""
    fy: float
    cx: float
    cy: float
    left: float
    """Range of x / z and y / z in which the pinhole's Jacobian is taken."""
    right: float
    top: float
    bottom: float
    near: float
    """Range of camera z [m] that is drawn."""
    far: float
    width: float
    """Image size [px]."""
    height: float


class Screen(NamedTuple):
    """Hold projected Gaussians."""

    splats: np.ndarray
    """(slots, 7), or (M, 7 + C) once sorted by depth."""
    ellipses: np.ndarray
    """(slots, 6) or (M, 6)."""
    source: np.ndarray
    """Index of the Gaussian, int32, (slots,) or (M,)."""


class TileLists(NamedTuple):
    """Hold every tile's splats, front to back."""

    starts: np.ndarray
    """Where each tile's list starts, int64, (tiles + 1,)."""
    splat: np.ndarray
    """Row of `splats` of each pair, int32, (P,)."""
    rows: np.ndarray
    """Tile rows that each pair covers, first | end << 8, int32, (P,)."""


class PairSlots(NamedTuple):
    """Say which pairs belong to which splat."""

    starts: np.ndarray
    """First slot of each splat, int64, (M + 1,)."""
    used: np.ndarray
    """Number of pairs of each splat, int32, (M,)."""
    positions: np.ndarray
    """Position in the tiles' lists of the pair in each slot, int32, (slots,)."""


class Images(NamedTuple):
    """Hold the images of one view, or the gradients that arrive at them."""

    rgb: np.ndarray
    """(H, W, C)"""
    depth: np.ndarray
    """Expected camera z [m], (H, W)."""
    median: np.ndarray
    """(H, W); its gradient is not looked at."""
    alpha: np.ndarray
    """(H, W)"""
