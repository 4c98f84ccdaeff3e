"""Compiled adjoint of the projection: gradients of pairs to gradients of Gaussians.

Every splat owns the slots of its pairs, so each thread sums what its splats own: no atomics, and the same
sums on any number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from generator.render.cpu_blend_adjoint import GRAD_COLUMNS
from generator.render.cpu_layout import HALF, ONE, SCALE_LIMIT, TWO, XX, XY, YY, ZERO, Bins, Shapes, View
from generator.render.cpu_project import (
    camera_axes,
    camera_point,
    covariance,
    deviations,
    image_axes,
    rotation_matrix,
    unit_quaternion,
)
from generator.render.kernel import inlined, parallel

PART = 1024
"""Visible Gaussians per task."""
SHAPE_COLUMNS = 11
"""Columns of the result: means 3, scales 3, rotations 4, opacities 1."""


@inlined
def to_image_axes(g_conic: tuple, projected: tuple) -> tuple:
    """Turn gradients of the conic xx, xy, yy into those of the projected axes (3 + 3).

    With K the conic and G its gradient, d(covariance) = -K G K.
    """
    p0, p1, p2, q0, q1, q2 = projected
    xx, xy, yy, determinant = covariance(p0, p1, p2, q0, q1, q2)
    inverse = ONE / determinant
    ka, kb, kc = yy * inverse, -xy * inverse, xx * inverse
    ga, gb, gc = g_conic[0], HALF * g_conic[1], g_conic[2]
    m00, m01, m10, m11 = ka * ga + kb * gb, ka * gb + kb * gc, kb * ga + kc * gb, kb * gb + kc * gc
    h00, h01, h11 = -TWO * (m00 * ka + m01 * kb), -TWO * (m00 * kb + m01 * kc), -TWO * (m10 * kb + m11 * kc)
    return (
        h00 * p0 + h01 * q0,
        h00 * p1 + h01 * q1,
        h00 * p2 + h01 * q2,
        h11 * q0 + h01 * p0,
        h11 * q1 + h01 * p1,
        h11 * q2 + h01 * p2,
    )


@inlined
def to_camera(g_splat: tuple, point: tuple, axes: tuple, view: View) -> tuple:
    """Turn gradients of a splat row (x, y, xx, xy, yy, z) into those of the camera point and axes (3 + 9)."""
    x, y, z = point
    slope_x, slope_y, p0, p1, p2, q0, q1, q2 = image_axes(x, y, z, axes, view)
    g = to_image_axes((g_splat[2], g_splat[3], g_splat[4]), (p0, p1, p2, q0, q1, q2))
    inverse = ONE / z
    jx, jy = view.fx * inverse, view.fy * inverse
    gx, gy = jx * g_splat[0], jy * g_splat[1]
    along = g[0] * p0 + g[1] * p1 + g[2] * p2 + g[3] * q0 + g[4] * q1 + g[5] * q2
    gz = g_splat[5] - inverse * (along + gx * x + gy * y)
    if view.left <= x * inverse <= view.right:
        g_slope = -jx * inverse * (g[0] * axes[6] + g[1] * axes[7] + g[2] * axes[8])
        gx += g_slope
        gz -= g_slope * x * inverse
    if view.top <= y * inverse <= view.bottom:
        g_slope = -jy * inverse * (g[3] * axes[6] + g[4] * axes[7] + g[5] * axes[8])
        gy += g_slope
        gz -= g_slope * y * inverse
    a0, a1, a2, b0, b1, b2 = jx * g[0], jx * g[1], jx * g[2], jy * g[3], jy * g[4], jy * g[5]
    c0, c1, c2 = -slope_x * a0 - slope_y * b0, -slope_x * a1 - slope_y * b1, -slope_x * a2 - slope_y * b2
    return gx, gy, gz, a0, a1, a2, b0, b1, b2, c0, c1, c2


@inlined
def add_quaternion(i: int, rotations: np.ndarray, m: tuple, out: np.ndarray) -> None:
    """Add the gradient of quaternion i, given that of its rotation matrix (9, row-major)."""
    w, x, y, z, inverse_norm = unit_quaternion(rotations, i)
    gw = TWO * (x * (m[7] - m[5]) + y * (m[2] - m[6]) + z * (m[3] - m[1]))
    gx = TWO * (y * (m[3] + m[1]) + z * (m[6] + m[2]) + w * (m[7] - m[5]) - TWO * x * (m[4] + m[8]))
    gy = TWO * (x * (m[3] + m[1]) + z * (m[7] + m[5]) + w * (m[2] - m[6]) - TWO * y * (m[0] + m[8]))
    gz = TWO * (x * (m[6] + m[2]) + y * (m[7] + m[5]) + w * (m[3] - m[1]) - TWO * z * (m[0] + m[4]))
    along = w * gw + x * gx + y * gy + z * gz
    out[i, 6] += (gw - w * along) * inverse_norm
    out[i, 7] += (gx - x * along) * inverse_norm
    out[i, 8] += (gy - y * along) * inverse_norm
    out[i, 9] += (gz - z * along) * inverse_norm


@inlined
def add_gaussian(g_splat: tuple, shapes: Shapes, i: int, view: View, out: np.ndarray) -> None:
    """Add the gradient of Gaussian i's mean, scales and rotation, given that of its splat row."""
    point, axes = camera_point(shapes.means, i, view), camera_axes(shapes, i, view)
    gx, gy, gz, a0, a1, a2, b0, b1, b2, c0, c1, c2 = to_camera(g_splat, point, axes, view)
    out[i, 0] += view.r00 * gx + view.r10 * gy + view.r20 * gz
    out[i, 1] += view.r01 * gx + view.r11 * gy + view.r21 * gz
    out[i, 2] += view.r02 * gx + view.r12 * gy + view.r22 * gz
    # The gradient of the scaled axes in the world frame, row-major.
    m0 = view.r00 * a0 + view.r10 * b0 + view.r20 * c0
    m1 = view.r00 * a1 + view.r10 * b1 + view.r20 * c1
    m2 = view.r00 * a2 + view.r10 * b2 + view.r20 * c2
    m3 = view.r01 * a0 + view.r11 * b0 + view.r21 * c0
    m4 = view.r01 * a1 + view.r11 * b1 + view.r21 * c1
    m5 = view.r01 * a2 + view.r11 * b2 + view.r21 * c2
    m6 = view.r02 * a0 + view.r12 * b0 + view.r22 * c0
    m7 = view.r02 * a1 + view.r12 * b1 + view.r22 * c1
    m8 = view.r02 * a2 + view.r12 * b2 + view.r22 * c2
    w, x, y, z, _ = unit_quaternion(shapes.rotations, i)
    r = rotation_matrix(w, x, y, z)
    if shapes.scales[i, 0] >= SCALE_LIMIT:
        out[i, 3] += r[0] * m0 + r[3] * m3 + r[6] * m6
    if shapes.scales[i, 1] >= SCALE_LIMIT:
        out[i, 4] += r[1] * m1 + r[4] * m4 + r[7] * m7
    if shapes.scales[i, 2] >= SCALE_LIMIT:
        out[i, 5] += r[2] * m2 + r[5] * m5 + r[8] * m8
    s0, s1, s2 = deviations(shapes.scales, i)
    m = (m0 * s0, m1 * s1, m2 * s2, m3 * s0, m4 * s1, m5 * s2, m6 * s0, m7 * s1, m8 * s2)
    add_quaternion(i, shapes.rotations, m, out)


@parallel
def reduce_gradients(
    splats: np.ndarray,
    source: np.ndarray,
    bins: Bins,
    pair_grads: np.ndarray,
    shapes: Shapes,
    view: View,
    out: np.ndarray,
    grad_colors: np.ndarray,
) -> None:
    """Add one view's gradients to `out` (N, SHAPE_COLUMNS) and `grad_colors` (N, C)."""
    total, channels = len(bins.slots), grad_colors.shape[1]
    parts = (total + PART - 1) // PART
    for part in prange(parts):
        sums = np.empty(GRAD_COLUMNS + channels, np.float32)
        for n in range(part * PART, min((part + 1) * PART, total)):
            slot = bins.slots[n]
            owner, first = source[slot], bins.spans[slot, 0]
            sums[:] = ZERO
            for pair in range(first, first + bins.spans[slot, 1]):
                for column in range(GRAD_COLUMNS + channels):
                    sums[column] += pair_grads[pair, column]
            xx, xy, yy = splats[slot, XX], splats[slot, XY], splats[slot, YY]
            # alpha = opacity exp(-half distance), and offsets run from the splat to the pixel.
            g_x, g_y = xx * sums[1] + xy * sums[2], xy * sums[1] + yy * sums[2]
            g_splat = (g_x, g_y, -HALF * sums[3], -sums[4], -HALF * sums[5], sums[6])
            add_gaussian(g_splat, shapes, owner, view, out)
            out[owner, 10] += sums[0] / shapes.opacities[owner]
            for channel in range(channels):
                grad_colors[owner, channel] += sums[GRAD_COLUMNS + channel]
