"""The OpenCV fisheye lens: theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def largest_angle(distortion: Sequence[float]) -> float:
    """Return the largest angle from the axis [rad] up to which the lens maps angles one to one, at most pi."""
    k1, k2, k3, k4 = distortion
    slope = np.polynomial.Polynomial([1.0, 0.0, 3 * k1, 0.0, 5 * k2, 0.0, 7 * k3, 0.0, 9 * k4]).trim()
    roots = slope.roots() if slope.degree() > 0 else np.empty(0)
    turning = [
        complex(root).real for root in roots if abs(complex(root).imag) < 1e-9 and complex(root).real > 1e-6
    ]
    return min([math.pi, *turning])


def distorted_radius(theta: np.ndarray, distortion: Sequence[float]) -> np.ndarray:
    """Return theta_d for the angles `theta` [rad]; the image point lies at f theta_d from the centre."""
    k1, k2, k3, k4 = distortion
    t2 = theta * theta
    return theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))


def pixel_rays(height: int, width: int, intrinsics: np.ndarray, distortion: Sequence[float]) -> np.ndarray:
    """Return the unit viewing direction of every pixel centre in the camera frame.

    Args:
        height: image height [px].
        width: image width [px].
        intrinsics: fx, fy, cx, cy [px], (4,).
        distortion: k1..k4.

    Returns:
        Directions, (H, W, 3) float64; zero where the lens sends no ray.
    """
    fx, fy, cx, cy = (float(value) for value in intrinsics)
    x = (np.arange(width) + 0.5 - cx)[None, :] / fx
    y = (np.arange(height) + 0.5 - cy)[:, None] / fy
    radius = np.hypot(x, y)
    theta = angle_of(radius, distortion)
    sine = np.where(radius > 0, np.sin(theta) / np.maximum(radius, 1e-30), 1.0)
    rays = np.stack([x * sine, y * sine, np.cos(theta)], axis=-1)
    return np.where(np.isfinite(theta)[..., None], rays, 0.0)


def angle_of(radius: np.ndarray, distortion: Sequence[float]) -> np.ndarray:
    """Invert the lens by bisection: the angle [rad] of each theta_d, NaN beyond the lens's range."""
    low, high = np.zeros_like(radius), np.full_like(radius, largest_angle(distortion))
    outside = radius > distorted_radius(high, distortion)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = distorted_radius(middle, distortion) < radius
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(outside, np.nan, 0.5 * (low + high))
