"""The activations between the numbers in files and those of `Gaussians`.

They compute in float64 and round once to float32: what one direction gives, the other direction and back
gives again, bit for bit.
"""

from __future__ import annotations

import numpy as np

from lyra_sim.gaussians import squared_lengths

_SMALLEST_SCALE = np.float32(np.exp(-87.0))
"""About the smallest normal float32."""

_UNIT_TOLERANCE = 1e-6
"""A squared length this near to 1 is a rounded unit quaternion, which must keep its bits."""


def sigmoid(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return 1 / (1 + exp(-x)) as float32, in `out` when given."""
    wide = x.astype(np.float64)
    np.negative(wide, out=wide)
    with np.errstate(over="ignore", under="ignore"):
        np.exp(wide, out=wide)
        wide += 1.0
        np.divide(1.0, wide, out=wide)
    return _rounded(wide, out)


def logit(p: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return the float32 that `sigmoid` maps to `p`, finite also for 0 and 1, in `out` when given."""
    wide = p.astype(np.float64)
    np.clip(wide, 1e-45, 1.0 - 2.0**-26, out=wide)
    wide /= 1.0 - wide
    return _rounded(np.log(wide, out=wide), out)


def exp_scale(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return exp(x) of (N, 3) as float32, in `out` when given: never 0, and infinite where float32 ends, which the
    caller's check reports."""
    wide = np.empty(x.shape, np.float64)
    copy_columns(x, wide)
    with np.errstate(over="ignore", under="ignore"):
        scales = _rounded(np.exp(wide, out=wide), out)
    return np.maximum(scales, _SMALLEST_SCALE, out=scales)


def log_scale(s: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return the natural logarithm of positive `s` as float32, in `out` when given."""
    wide = s.astype(np.float64)
    return _rounded(np.log(wide, out=wide), out)


def unit_quaternions(q: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return quaternions (N, 4) at unit length as float32, in `out` when given.

    A zero quaternion becomes the identity wxyz; those that have unit length up to rounding keep their bits.
    """
    out = np.empty(q.shape, np.float32) if out is None else out
    copy_columns(q, out)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        squared = squared_lengths(out)
        if squared.min(initial=1) > 1 - _UNIT_TOLERANCE and squared.max(initial=1) < 1 + _UNIT_TOLERANCE:
            return out
        off = ~(np.abs(squared - 1.0) < _UNIT_TOLERANCE)
        factor = np.where(off, 1.0 / np.sqrt(squared), np.float32(1.0))
        zero = squared < 1e-30
        out[zero], factor[zero] = (1.0, 0.0, 0.0, 0.0), 1.0
        for i in range(4):
            out[:, i] *= factor
    return out


def copy_columns(source: np.ndarray, target: np.ndarray) -> None:
    """Copy (N, K) or (N,) values into `target`: by columns, several times faster than along rows of three or four."""
    whole = source.dtype == target.dtype == np.float32 and source.shape[1:] == (4,)
    if whole and source.strides[1] == target.strides[1] == 4:
        # Four floats are as long as one complex number, so that a row is copied at once.
        np.copyto(target.view(np.complex128), source.view(np.complex128))
        return
    for column in np.ndindex(source.shape[1:]):
        target[:, *column] = source[:, *column]


def _rounded(wide: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """Return float64 values as float32, in `out` when given."""
    if out is None:
        return wide.astype(np.float32)
    if wide.ndim == 2 and not out.flags.c_contiguous:
        copy_columns(wide, out)
    else:
        np.copyto(out, wide, casting="same_kind")
    return out
