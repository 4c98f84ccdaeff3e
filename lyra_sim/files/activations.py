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
    with np.errstate(over="ignore", under="ignore"):
        wide = np.negative(x, dtype=np.float64)
        np.exp(wide, out=wide)
        wide += 1.0
        return np.divide(1.0, wide, out=_target(out, wide), casting="same_kind")


def logit(p: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return the float32 that `sigmoid` maps to `p`, finite also for 0 and 1, in `out` when given."""
    wide = p.astype(np.float64)
    np.clip(wide, 1e-45, 1.0 - 2.0**-26, out=wide)
    wide /= 1.0 - wide
    return np.log(wide, out=_target(out, wide), casting="same_kind")


def exp_scale(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return exp(x) as float32, in `out` when given: never 0, and infinite where float32 ends, which the caller's
    check reports."""
    with np.errstate(over="ignore", under="ignore"):
        scales = np.exp(x, dtype=np.float64, out=_target(out, x), casting="same_kind")
    return np.maximum(scales, _SMALLEST_SCALE, out=scales)


def log_scale(s: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return the natural logarithm of positive `s` as float32, in `out` when given."""
    return np.log(s, dtype=np.float64, out=_target(out, s), casting="same_kind")


def unit_quaternions(q: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return quaternions (N, 4) at unit length as float32, in `out` when given.

    A zero quaternion becomes the identity wxyz; those that have unit length up to rounding keep their bits.
    """
    out = _target(out, q)
    # Column by column, since numpy is slow along an axis of four.
    for i in range(4):
        out[:, i] = q[:, i]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        squared = squared_lengths(out)
        off = ~(np.abs(squared - 1.0) < _UNIT_TOLERANCE)
        if not off.any():
            return out
        factor = np.where(off, 1.0 / np.sqrt(squared), np.float32(1.0))
        zero = squared < 1e-30
        out[zero], factor[zero] = (1.0, 0.0, 0.0, 0.0), 1.0
        for i in range(4):
            out[:, i] *= factor
    return out


def _target(out: np.ndarray | None, like: np.ndarray) -> np.ndarray:
    return np.empty(like.shape, np.float32) if out is None else out
