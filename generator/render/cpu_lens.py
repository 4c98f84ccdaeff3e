"""Compiled projection through OpenCV's fisheye lens, forward only.

`lens` is empty for the pinhole and holds k1..k4 and the largest angle [rad] for the fisheye.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from generator.render.cpu_layout import ALPHA_LIMIT, F32, ONE, TWO, ZERO, Screen, Shapes, View
from generator.render.cpu_project import CHUNK, camera_axes, camera_point, claim, covariance, write_splat
from generator.render.kernel import inlined, parallel


@inlined
def distorted(theta: float, lens: np.ndarray) -> tuple:
    """Return the fisheye's theta_d and its derivative."""
    t = theta * theta
    value = ONE + t * (lens[0] + t * (lens[1] + t * (lens[2] + t * lens[3])))
    slope = TWO * t * (lens[0] + t * (TWO * lens[1] + t * (F32(3) * lens[2] + t * F32(4) * lens[3])))
    return theta * value, value + slope


@inlined
def image_point(x: float, y: float, z: float, view: View, lens: np.ndarray) -> tuple:
    """Return the pixel of a camera point, and whether the camera can see in that direction."""
    if len(lens) == 0:
        return view.fx * x / z + view.cx, view.fy * y / z + view.cy, z > ZERO
    radius = math.sqrt(x * x + y * y + F32(1e-20))
    theta = math.atan2(radius, z)
    factor = distorted(theta, lens)[0] / radius
    return view.fx * x * factor + view.cx, view.fy * y * factor + view.cy, theta < lens[4]


@inlined
def fisheye_axes(x: float, y: float, z: float, axes: tuple, view: View, lens: np.ndarray) -> tuple:
    """Project scaled axes by the fisheye's Jacobian at the camera point; image x (3) and image y (3) [px].

    With a = theta_d / radius the image is (a x, a y); da = (x dx + y dy) bend + dz tilt.
    """
    radius = math.sqrt(x * x + y * y + F32(1e-20))
    square = radius * radius + z * z
    theta_d, slope = distorted(math.atan2(radius, z), lens)
    factor = theta_d / radius
    bend, tilt = (slope * z / square - factor) / (radius * radius), -slope / square
    d0 = (x * axes[0] + y * axes[3]) * bend + axes[6] * tilt
    d1 = (x * axes[1] + y * axes[4]) * bend + axes[7] * tilt
    d2 = (x * axes[2] + y * axes[5]) * bend + axes[8] * tilt
    return (
        view.fx * (factor * axes[0] + x * d0),
        view.fx * (factor * axes[1] + x * d1),
        view.fx * (factor * axes[2] + x * d2),
        view.fy * (factor * axes[3] + y * d0),
        view.fy * (factor * axes[4] + y * d1),
        view.fy * (factor * axes[5] + y * d2),
    )


@parallel
def project_fisheye(
    shapes: Shapes, colors: np.ndarray, view: View, lens: np.ndarray, screen: Screen
) -> np.ndarray:
    """Project every Gaussian, as `cpu_project.project` does for the pinhole."""
    total = len(shapes.means)
    chunks = (total + CHUNK - 1) // CHUNK
    visible = np.zeros(chunks, np.int64)
    for chunk in prange(chunks):
        start = chunk * CHUNK
        slot = start
        for i in range(start, min(start + CHUNK, total)):
            x, y, z = camera_point(shapes.means, i, view)
            if shapes.opacities[i] < ALPHA_LIMIT or z < view.near or z > view.far:
                continue
            u, v, seen = image_point(x, y, z, view, lens)
            p0, p1, p2, q0, q1, q2 = fisheye_axes(x, y, z, camera_axes(shapes, i, view), view, lens)
            cov = covariance(p0, p1, p2, q0, q1, q2)
            if seen and write_splat(screen, slot, (u, v, z), cov, shapes.opacities[i], view):
                claim(screen, slot, i, colors)
                slot += 1
        visible[chunk] = slot - start
    return visible
