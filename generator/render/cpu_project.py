"""Compiled EWA projection: Gaussians to screen-space rows, and gradients the way back.

`view` packs one camera as float32: world-to-camera rotation (9, row-major), translation (3), fx, fy, cx,
cy, then the clamp of the slope (x low, x high, y low, y high), near, far, width, height.

A row of `splats`: x, y [px]; conic xx, xy, yy [1/px^2]; log2 of the opacity; camera z [m]; then the
colours.
A row of `ellipses`: half width, half height of the support [px], cov_xy / cov_xx, and the squared half
height of the support above its centre [px^2].
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from generator.render.kernel import inlined, parallel
from generator.render.request import ALPHA_MIN, EPS2D, SCALE_MIN

CHUNK = 2048
"""Gaussians per task; fixed, so that results do not depend on the number of threads."""
SPLAT_COLUMNS = 7
"""Columns of a splat row before the colours."""

F32 = np.float32
ZERO, ONE, TWO, HALF = F32(0), F32(1), F32(2), F32(0.5)
BLUR, ALPHA_LIMIT, SCALE_LIMIT = F32(EPS2D), F32(ALPHA_MIN), F32(SCALE_MIN)
EXTENT = 3.34
"""Standard deviations beyond which no Gaussian reaches ALPHA_MIN: sqrt(2 ln 255), rounded up."""
SLACK = F32(1.001)
"""Supports are enlarged by this factor, so that rounding cannot lose a pixel that the blend would use."""


@inlined
def camera_point(means, i, view):
    """Return the centre of Gaussian i in the camera frame [m]."""
    x, y, z = means[i, 0], means[i, 1], means[i, 2]
    return (
        view[0] * x + view[1] * y + view[2] * z + view[9],
        view[3] * x + view[4] * y + view[5] * z + view[10],
        view[6] * x + view[7] * y + view[8] * z + view[11],
    )


@inlined
def unit_quaternion(rotations, i):
    """Return quaternion i wxyz at unit length, and the factor that took it there."""
    w, x, y, z = rotations[i, 0], rotations[i, 1], rotations[i, 2], rotations[i, 3]
    inverse = ONE / (math.sqrt(w * w + x * x + y * y + z * z) + F32(1e-12))
    return w * inverse, x * inverse, y * inverse, z * inverse, inverse


@inlined
def rotation_matrix(w, x, y, z):
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
def camera_axes(rotation, view):
    """Return world-to-camera times local-to-world, row-major."""
    r0, r1, r2, r3, r4, r5, r6, r7, r8 = rotation
    return (
        view[0] * r0 + view[1] * r3 + view[2] * r6,
        view[0] * r1 + view[1] * r4 + view[2] * r7,
        view[0] * r2 + view[1] * r5 + view[2] * r8,
        view[3] * r0 + view[4] * r3 + view[5] * r6,
        view[3] * r1 + view[4] * r4 + view[5] * r7,
        view[3] * r2 + view[4] * r5 + view[5] * r8,
        view[6] * r0 + view[7] * r3 + view[8] * r6,
        view[6] * r1 + view[7] * r4 + view[8] * r7,
        view[6] * r2 + view[7] * r5 + view[8] * r8,
    )


@inlined
def image_axes(means, scales, rotations, i, view):
    """Project the three scaled local axes of Gaussian i by the affine approximation at its centre.

    Returns:
        Camera point (3), slopes after the clamp (2), rows of the projected axes (3 + 3) [px].
    """
    x, y, z = camera_point(means, i, view)
    qw, qx, qy, qz, _ = unit_quaternion(rotations, i)
    u = camera_axes(rotation_matrix(qw, qx, qy, qz), view)
    s0, s1, s2 = (
        max(scales[i, 0], SCALE_LIMIT),
        max(scales[i, 1], SCALE_LIMIT),
        max(scales[i, 2], SCALE_LIMIT),
    )
    slope_x = min(max(x / z, view[16]), view[17])
    slope_y = min(max(y / z, view[18]), view[19])
    jx, jy = view[12] / z, view[13] / z
    return (
        x,
        y,
        z,
        slope_x,
        slope_y,
        jx * s0 * (u[0] - slope_x * u[6]),
        jx * s1 * (u[1] - slope_x * u[7]),
        jx * s2 * (u[2] - slope_x * u[8]),
        jy * s0 * (u[3] - slope_y * u[6]),
        jy * s1 * (u[4] - slope_y * u[7]),
        jy * s2 * (u[5] - slope_y * u[8]),
    )


@inlined
def covariance(p0, p1, p2, q0, q1, q2):
    """Return image covariance xx, xy, yy with the blur, and its determinant without cancellation."""
    xx = p0 * p0 + p1 * p1 + p2 * p2
    xy = p0 * q0 + p1 * q1 + p2 * q2
    yy = q0 * q0 + q1 * q1 + q2 * q2
    c0, c1, c2 = p1 * q2 - p2 * q1, p2 * q0 - p0 * q2, p0 * q1 - p1 * q0
    determinant = c0 * c0 + c1 * c1 + c2 * c2 + BLUR * (xx + yy) + BLUR * BLUR
    return xx + BLUR, xy, yy + BLUR, determinant


@inlined
def surely_outside(means, scales, i, view, reach):
    """Return whether a bound on the radius already keeps Gaussian i off the image; costs no division.

    `reach` bounds the support's radius [px] times z per unit of the largest standard deviation.
    """
    x, y, z = camera_point(means, i, view)
    if z < view[20] or z > view[21]:
        return True
    half_x, half_y = HALF * view[22], HALF * view[23]
    spread = reach * max(scales[i, 0], scales[i, 1], scales[i, 2]) + F32(EXTENT) * z
    off_x = abs(view[12] * x + (view[14] - half_x) * z)
    off_y = abs(view[13] * y + (view[15] - half_y) * z)
    return off_x > half_x * z + spread or off_y > half_y * z + spread


@inlined
def project_one(means, scales, rotations, opacities, i, view, slot, splats, ellipses):
    """Write Gaussian i's splat row (without colours) and ellipse row; return whether it touches the image."""
    opacity = opacities[i]
    x, y, z = camera_point(means, i, view)
    mean_x, mean_y = view[12] * x / z + view[14], view[13] * y / z + view[15]
    support = TWO * math.log(opacity / ALPHA_LIMIT) * SLACK + F32(1e-4)
    _, _, _, _, _, p0, p1, p2, q0, q1, q2 = image_axes(means, scales, rotations, i, view)
    xx, xy, yy, determinant = covariance(p0, p1, p2, q0, q1, q2)
    half_x, half_y = math.sqrt(support * xx), math.sqrt(support * yy)
    if (
        mean_x + half_x < ZERO
        or mean_x - half_x > view[22]
        or mean_y + half_y < ZERO
        or mean_y - half_y > view[23]
    ):
        return False
    inverse = ONE / determinant
    splats[slot, 0], splats[slot, 1] = mean_x, mean_y
    splats[slot, 2], splats[slot, 3], splats[slot, 4] = yy * inverse, -xy * inverse, xx * inverse
    splats[slot, 5], splats[slot, 6] = math.log2(opacity), z
    ellipses[slot, 0], ellipses[slot, 1] = half_x, half_y
    ellipses[slot, 2], ellipses[slot, 3] = xy / xx, support * determinant / xx
    return True


@parallel
def project(means, scales, rotations, opacities, view, splats, ellipses, source):
    """Project every Gaussian; each chunk of CHUNK packs what it sees at its own start.

    Returns:
        Number of visible Gaussians per chunk.
    """
    total = len(means)
    chunks = (total + CHUNK - 1) // CHUNK
    visible = np.zeros(chunks, np.int64)
    slope2 = max(view[16] * view[16], view[17] * view[17]) + max(view[18] * view[18], view[19] * view[19])
    reach = F32(EXTENT) * max(view[12], view[13]) * math.sqrt(TWO + slope2)
    for chunk in prange(chunks):
        start = chunk * CHUNK
        slot = start
        for i in range(start, min(start + CHUNK, total)):
            if opacities[i] < ALPHA_LIMIT or surely_outside(means, scales, i, view, reach):
                continue
            if project_one(means, scales, rotations, opacities, i, view, slot, splats, ellipses):
                source[slot] = i
                slot += 1
        visible[chunk] = slot - start
    return visible


@inlined
def project_one_backward(grads, means, scales, rotations, i, view, out):
    """Turn the gradients of one splat row into those of its Gaussian and add them to `out`.

    Args:
        grads: gradient of the splat row, x y xx xy yy opacity z.
        means: centres, (N, 3).
        scales: standard deviations, (N, 3).
        rotations: quaternions wxyz, (N, 4).
        i: index of the Gaussian.
        view: the camera.
        out: means 3, scales 3, rotation 4, opacity 1, (N, 11).
    """
    x, y, z, slope_x, slope_y, p0, p1, p2, q0, q1, q2 = image_axes(means, scales, rotations, i, view)
    xx, xy, yy, determinant = covariance(p0, p1, p2, q0, q1, q2)
    inverse = ONE / determinant
    ka, kb, kc = yy * inverse, -xy * inverse, xx * inverse
    ga, gb, gc = grads[2], HALF * grads[3], grads[4]
    # d(cov) = -K G K with the conic K; h holds it.
    m00, m01, m10, m11 = ka * ga + kb * gb, ka * gb + kb * gc, kb * ga + kc * gb, kb * gb + kc * gc
    h00, h01, h11 = -(m00 * ka + m01 * kb), -(m00 * kb + m01 * kc), -(m10 * kb + m11 * kc)
    gp0, gp1, gp2 = TWO * (h00 * p0 + h01 * q0), TWO * (h00 * p1 + h01 * q1), TWO * (h00 * p2 + h01 * q2)
    gq0, gq1, gq2 = TWO * (h11 * q0 + h01 * p0), TWO * (h11 * q1 + h01 * p1), TWO * (h11 * q2 + h01 * p2)

    qw, qx, qy, qz, inverse_norm = unit_quaternion(rotations, i)
    r = rotation_matrix(qw, qx, qy, qz)
    u = camera_axes(r, view)
    s0, s1, s2 = (
        max(scales[i, 0], SCALE_LIMIT),
        max(scales[i, 1], SCALE_LIMIT),
        max(scales[i, 2], SCALE_LIMIT),
    )
    inverse_z = ONE / z
    jx, jy = view[12] * inverse_z, view[13] * inverse_z
    g_slope_x = -jx * (gp0 * s0 * u[6] + gp1 * s1 * u[7] + gp2 * s2 * u[8])
    g_slope_y = -jy * (gq0 * s0 * u[6] + gq1 * s1 * u[7] + gq2 * s2 * u[8])
    gx, gy = jx * grads[0], jy * grads[1]
    gz = grads[6] - inverse_z * (gp0 * p0 + gp1 * p1 + gp2 * p2 + gq0 * q0 + gq1 * q1 + gq2 * q2)
    gz -= inverse_z * (gx * x + gy * y)
    if view[16] <= x * inverse_z <= view[17]:
        gx += g_slope_x * inverse_z
        gz -= g_slope_x * x * inverse_z * inverse_z
    if view[18] <= y * inverse_z <= view[19]:
        gy += g_slope_y * inverse_z
        gz -= g_slope_y * y * inverse_z * inverse_z
    out[i, 0] += view[0] * gx + view[3] * gy + view[6] * gz
    out[i, 1] += view[1] * gx + view[4] * gy + view[7] * gz
    out[i, 2] += view[2] * gx + view[5] * gy + view[8] * gz

    # Columns of the gradient to the scaled axes in the camera frame, then in the world frame.
    a0, a1, a2 = jx * gp0, jx * gp1, jx * gp2
    b0, b1, b2 = jy * gq0, jy * gq1, jy * gq2
    c0, c1, c2 = -slope_x * a0 - slope_y * b0, -slope_x * a1 - slope_y * b1, -slope_x * a2 - slope_y * b2
    m0 = view[0] * a0 + view[3] * b0 + view[6] * c0
    m1 = view[0] * a1 + view[3] * b1 + view[6] * c1
    m2 = view[0] * a2 + view[3] * b2 + view[6] * c2
    m3 = view[1] * a0 + view[4] * b0 + view[7] * c0
    m4 = view[1] * a1 + view[4] * b1 + view[7] * c1
    m5 = view[1] * a2 + view[4] * b2 + view[7] * c2
    m6 = view[2] * a0 + view[5] * b0 + view[8] * c0
    m7 = view[2] * a1 + view[5] * b1 + view[8] * c1
    m8 = view[2] * a2 + view[5] * b2 + view[8] * c2
    if scales[i, 0] >= SCALE_LIMIT:
        out[i, 3] += r[0] * m0 + r[3] * m3 + r[6] * m6
    if scales[i, 1] >= SCALE_LIMIT:
        out[i, 4] += r[1] * m1 + r[4] * m4 + r[7] * m7
    if scales[i, 2] >= SCALE_LIMIT:
        out[i, 5] += r[2] * m2 + r[5] * m5 + r[8] * m8
    m0, m1, m2, m3, m4, m5, m6, m7, m8 = (
        m0 * s0,
        m1 * s1,
        m2 * s2,
        m3 * s0,
        m4 * s1,
        m5 * s2,
        m6 * s0,
        m7 * s1,
        m8 * s2,
    )
    gw = TWO * (qx * (m7 - m5) + qy * (m2 - m6) + qz * (m3 - m1))
    gi = TWO * (qy * (m3 + m1) + qz * (m6 + m2) + qw * (m7 - m5) - TWO * qx * (m4 + m8))
    gj = TWO * (qx * (m3 + m1) + qz * (m7 + m5) + qw * (m2 - m6) - TWO * qy * (m0 + m8))
    gk = TWO * (qx * (m6 + m2) + qy * (m7 + m5) + qw * (m3 - m1) - TWO * qz * (m0 + m4))
    along = qw * gw + qx * gi + qy * gj + qz * gk
    out[i, 6] += (gw - qw * along) * inverse_norm
    out[i, 7] += (gi - qx * along) * inverse_norm
    out[i, 8] += (gj - qy * along) * inverse_norm
    out[i, 9] += (gk - qz * along) * inverse_norm
    out[i, 10] += grads[5]
