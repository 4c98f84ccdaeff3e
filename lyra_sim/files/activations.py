"""The activations between the numbers in files and those of `Gaussians`.

They compute in float64 and round once to float32: what one direction gives, the other direction and back
gives again, bit for bit.
"""

from __future__ import annotations

import numpy as np

_LOGIT_LIMIT = 104.0
"""Beyond it the sigmoid rounds to 0 or 1 in float32, so larger values carry nothing."""

_SMALLEST_LOG = -87.0
"""Logarithm of about the smallest normal float32."""

_UNIT_TOLERANCE = 1e-6
"""A squared length this near to 1 is a rounded unit quaternion, which must keep its bits."""


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)) as float32."""
    x = np.clip(x.astype(np.float64), -_LOGIT_LIMIT, _LOGIT_LIMIT)
    return (1.0 / (1.0 + np.exp(-x))).astype(np.float32)


def logit(p: np.ndarray) -> np.ndarray:
    """Return the float32 that `sigmoid` maps to `p`, finite also for 0 and 1."""
    p = np.clip(p.astype(np.float64), 1e-45, 1.0 - 2.0**-26)
    return np.log(p / (1.0 - p)).astype(np.float32)


def exp_scale(x: np.ndarray) -> np.ndarray:
    """Return exp(x) as float32: never 0, and infinite where float32 ends, which the caller's check reports."""
    with np.errstate(over="ignore"):
        return np.exp(np.maximum(x.astype(np.float64), _SMALLEST_LOG)).astype(np.float32)


def log_scale(s: np.ndarray) -> np.ndarray:
    """Return the natural logarithm of positive `s` as float32."""
    return np.log(s.astype(np.float64)).astype(np.float32)


def unit_quaternions(q: np.ndarray) -> np.ndarray:
    """Return quaternions (N, 4) at unit length as float32; a zero quaternion becomes the identity wxyz.

    Those that have unit length up to rounding keep their bits.
    """
    q = q.astype(np.float32)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        squared = q[:, 0] ** 2
        for i in (1, 2, 3):
            squared += q[:, i] ** 2
        factor = 1.0 / np.sqrt(squared)
        factor[np.abs(squared - 1.0) < _UNIT_TOLERANCE] = 1.0
        zero = squared < 1e-30
        if zero.any():
            q[zero], factor[zero] = (1.0, 0.0, 0.0, 0.0), 1.0
        q *= factor[:, None]
    return q
