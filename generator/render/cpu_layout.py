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
    """Hold projected Gaussians in slots: those of one chunk of Gaussians are packed at the chunk's start."""

    splats: np.ndarray
    """(N, 7 + C)"""
    ellipses: np.ndarray
    """(N, 6)"""
    source: np.ndarray
    """Index of the Gaussian, int32, (N,)."""


class Bins(NamedTuple):
    """Hold every tile's splats, front to back, and which pairs belong to which splat."""

    starts: np.ndarray
    """Where each tile's list starts, int64, (tiles + 1,)."""
    lists: np.ndarray
    """Slot of the splat, tile rows that it covers (first | end << 8), and number of the pair, int32, (P, 3)."""
    spans: np.ndarray
    """Number of a slot's first pair, and how many it has, int32, (N, 2)."""
    slots: np.ndarray
    """The slots that are in use, ascending, int32, (M,)."""
    numbers: int
    """One more than the largest number of a pair; not every number is given."""


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
