"""Compiled EWA projection through a pinhole: Gaussians to screen-space rows."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from generator.render.cpu_layout import (
    ALPHA_LIMIT,
    BLUR,
    CENTER_X,
    CENTER_Y,
    COLOR,
    DEPTH,
    F32,
    HALF,
    HALF_X,
    HALF_Y,
    LOG_OPACITY,
    ONE,
    RISE,
    SCALE_LIMIT,
    SLOPE,
    TWO,
    XX,
    XY,
    YY,
    ZERO,
    Screen,
    Shapes,
    View,
    X,
    Y,
)
from generator.render.kernel import inlined, parallel

CHUNK = 2048
"""Gaussians per task; fixed, so that results do not depend on the number of threads."""
EXTENT = F32(3.34)
"""Standard deviations beyond which no Gaussian reaches ALPHA_MIN: sqrt(2 ln 255), rounded up."""
SLACK = F32(1.001)
"""Supports are enlarged by this factor, so that rounding cannot lose a pixel that the blend would use."""
FLOAT_LIMIT = F32(1e37)
"""Determinants [px^4] above this overflow float32 soon after."""


@inlined
def camera_point(means: np.ndarray, i: int, view: View) -> tuple:
    """Return the centre of Gaussian i in the camera frame [m]."""
    x, y, z = means[i, 0], means[i, 1], means[i, 2]
    return (
        view.r00 * x + view.r01 * y + view.r02 * z + view.tx,
        view.r10 * x + view.r11 * y + view.r12 * z + view.ty,
        view.r20 * x + view.r21 * y + view.r22 * z + view.tz,
    )


@inlined
def unit_quaternion(rotations: np.ndarray, i: int) -> tuple:
    """Return quaternion i wxyz at unit length, and the factor that took it there."""
    w, x, y, z = rotations[i, 0], rotations[i, 1], rotations[i, 2], rotations[i, 3]
    inverse = ONE / (math.sqrt(w * w + x * x + y * y + z * z) + F32(1e-12))
    return w * inverse, x * inverse, y * inverse, z * inverse, inverse


@inlined
def rotation_matrix(w: float, x: float, y: float, z: float) -> tuple:
    """Return the matrix of a unit quaternion, row-major."""
    return (
        ONE - TWO * (y * y + z * z),
        TWO * (x * y - w * z),
        TWO * (x * z + w * y),
        TWO * (x * y + w * z),
        ONE - TWO * (x * x + z * z),
        TWO * (y * z - w * x),
        TWO * (x * z - w * y),
        TWO * (y * z + w * x),
        ONE - TWO * (x * x + y * y),
    )


@inlined
def deviations(scales: np.ndarray, i: int) -> tuple:
    """Return the three standard deviations of Gaussian i, raised to the least that is used [m]."""
    return max(scales[i, 0], SCALE_LIMIT), max(scales[i, 1], SCALE_LIMIT), max(scales[i, 2], SCALE_LIMIT)


@inlined
def camera_axes(shapes: Shapes, i: int, view: View) -> tuple:
    """Return Gaussian i's local axes times its standard deviations as columns, camera frame, row-major [m]."""
    w, x, y, z, _ = unit_quaternion(shapes.rotations, i)
    m0, m1, m2, m3, m4, m5, m6, m7, m8 = rotation_matrix(w, x, y, z)
    s0, s1, s2 = deviations(shapes.scales, i)
    return (
        s0 * (view.r00 * m0 + view.r01 * m3 + view.r02 * m6),
        s1 * (view.r00 * m1 + view.r01 * m4 + view.r02 * m7),
        s2 * (view.r00 * m2 + view.r01 * m5 + view.r02 * m8),
        s0 * (view.r10 * m0 + view.r11 * m3 + view.r12 * m6),
        s1 * (view.r10 * m1 + view.r11 * m4 + view.r12 * m7),
        s2 * (view.r10 * m2 + view.r11 * m5 + view.r12 * m8),
        s0 * (view.r20 * m0 + view.r21 * m3 + view.r22 * m6),
        s1 * (view.r20 * m1 + view.r21 * m4 + view.r22 * m7),
        s2 * (view.r20 * m2 + view.r21 * m5 + view.r22 * m8),
    )


@inlined
def image_axes(x: float, y: float, z: float, axes: tuple, view: View) -> tuple:
    """Project the scaled axes by the pinhole's Jacobian at the camera point x, y, z.

    Returns:
        Slopes x / z and y / z after the clamp, then the axes' image x (3) and image y (3) [px].
    """
    slope_x = min(max(x / z, view.left), view.right)
    slope_y = min(max(y / z, view.top), view.bottom)
    jx, jy = view.fx / z, view.fy / z
    return (
        slope_x,
        slope_y,
        jx * (axes[0] - slope_x * axes[6]),
        jx * (axes[1] - slope_x * axes[7]),
        jx * (axes[2] - slope_x * axes[8]),
        jy * (axes[3] - slope_y * axes[6]),
        jy * (axes[4] - slope_y * axes[7]),
        jy * (axes[5] - slope_y * axes[8]),
    )


@inlined
def covariance(p0: float, p1: float, p2: float, q0: float, q1: float, q2: float) -> tuple:
    """Return image covariance xx, xy, yy with the blur, and its determinant without cancellation."""
    xx = p0 * p0 + p1 * p1 + p2 * p2
    xy = p0 * q0 + p1 * q1 + p2 * q2
    yy = q0 * q0 + q1 * q1 + q2 * q2
    c0, c1, c2 = p1 * q2 - p2 * q1, p2 * q0 - p0 * q2, p0 * q1 - p1 * q0
    determinant = c0 * c0 + c1 * c1 + c2 * c2 + BLUR * (xx + yy) + BLUR * BLUR
    return xx + BLUR, xy, yy + BLUR, determinant


@inlined
def surely_outside(shapes: Shapes, i: int, view: View, reach: float) -> bool:
    """Return whether a bound on the radius already keeps Gaussian i off the image; costs no division.

    `reach` bounds the support's radius [px] times z per unit of the largest standard deviation.
    """
    x, y, z = camera_point(shapes.means, i, view)
    if shapes.opacities[i] < ALPHA_LIMIT or z < view.near or z > view.far:
        return True
    half_x, half_y = HALF * view.width, HALF * view.height
    radius = reach * max(shapes.scales[i, 0], shapes.scales[i, 1], shapes.scales[i, 2]) + EXTENT * z
    off_x = abs(view.fx * x + (view.cx - half_x) * z)
    off_y = abs(view.fy * y + (view.cy - half_y) * z)
    return off_x > half_x * z + radius or off_y > half_y * z + radius


@inlined
def touches_image(x: float, y: float, half_x: float, half_y: float, view: View) -> bool:
    """Return whether x +- half_x and y +- half_y [px] overlap the image; False for NaN."""
    beside = x + half_x > ZERO and x - half_x < view.width
    return bool(beside and y + half_y > ZERO and y - half_y < view.height)


@inlined
def write_splat(screen: Screen, slot: int, point: tuple, cov: tuple, opacity: float, view: View) -> bool:
    """Write one splat row (without colours) and ellipse row; return whether it touches the image.

    Args:
        screen: where to write.
        slot: the row.
        point: image x, y [px] and camera z [m].
        cov: image covariance xx, xy, yy [px^2] and its determinant.
        opacity: the Gaussian's.
        view: the camera.
    """
    x, y, z = point
    xx, xy, yy, determinant = cov
    support = TWO * math.log(opacity / ALPHA_LIMIT) * SLACK + F32(1e-4)
    half_x, half_y = math.sqrt(support * xx), math.sqrt(support * yy)
    # Said this way round, a Gaussian so large that its covariance overflows is left out.
    if not (determinant < FLOAT_LIMIT and touches_image(x, y, half_x, half_y, view)):
        return False
    splats, ellipses = screen.splats, screen.ellipses
    inverse = ONE / determinant
    splats[slot, X], splats[slot, Y] = x, y
    splats[slot, XX], splats[slot, XY], splats[slot, YY] = yy * inverse, -xy * inverse, xx * inverse
    splats[slot, LOG_OPACITY], splats[slot, DEPTH] = math.log2(opacity), z
    ellipses[slot, CENTER_X], ellipses[slot, CENTER_Y] = x, y
    ellipses[slot, HALF_X], ellipses[slot, HALF_Y] = half_x, half_y
    ellipses[slot, SLOPE], ellipses[slot, RISE] = xy / xx, support * determinant / xx
    return True


@inlined
def claim(screen: Screen, slot: int, i: int, colors: np.ndarray) -> None:
    """Say that `slot` shows Gaussian i, and give it its colours."""
    screen.source[slot] = i
    for channel in range(colors.shape[1]):
        screen.splats[slot, COLOR + channel] = colors[i, channel]


@parallel
def project(shapes: Shapes, colors: np.ndarray, view: View, screen: Screen) -> np.ndarray:
    """Project every Gaussian; each chunk of CHUNK packs what it sees at its own start.

    Returns:
        Number of visible Gaussians per chunk.
    """
    total = len(shapes.means)
    chunks = (total + CHUNK - 1) // CHUNK
    visible = np.zeros(chunks, np.int64)
    steepest_x, steepest_y = max(-view.left, view.right), max(-view.top, view.bottom)
    steepness = math.sqrt(TWO + steepest_x * steepest_x + steepest_y * steepest_y)
    reach = EXTENT * max(view.fx, view.fy) * steepness
    for chunk in prange(chunks):
        start = chunk * CHUNK
        slot = start
        for i in range(start, min(start + CHUNK, total)):
            if surely_outside(shapes, i, view, reach):
                continue
            x, y, z = camera_point(shapes.means, i, view)
            point = (view.fx * x / z + view.cx, view.fy * y / z + view.cy, z)
            _, _, p0, p1, p2, q0, q1, q2 = image_axes(x, y, z, camera_axes(shapes, i, view), view)
            cov = covariance(p0, p1, p2, q0, q1, q2)
            if write_splat(screen, slot, point, cov, shapes.opacities[i], view):
                claim(screen, slot, i, colors)
                slot += 1
        visible[chunk] = slot - start
    return visible
