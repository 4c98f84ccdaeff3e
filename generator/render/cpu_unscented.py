"""Compiled 3DGUT projection: the tiles that a Gaussian may touch, and its response along a ray.

With m the centre, e_j the local axes and s_j the standard deviations, all in the camera frame, the squared
distance of the ray r from the centre, measured where the Gaussian is a unit ball, is

    D^2 = sum_j (s_j e_j . (m x r))^2 / sum_j (s_k s_l e_j . r)^2,    {j, k, l} = {0, 1, 2}

m x r vanishes at the centre's own image, so it is written in the offsets d_u = r_x - u r_z and
d_v = r_y - v r_z from the centre's slopes u = m_x / m_z and v = m_y / m_z; no digits cancel.

A row of `forms`: u, v; the d_u and d_v coefficients of each numerator form (6); the r_x, r_y, r_z
coefficients of each denominator form (9). Numerators carry the factor that makes D^2 an exponent of 2.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from generator.render.cpu_layout import (
    ALPHA_LIMIT,
    BLUR,
    CENTER_X,
    CENTER_Y,
    DEPTH,
    F32,
    HALF_X,
    HALF_Y,
    LOG_OPACITY,
    ONE,
    RISE,
    SLOPE,
    TWO,
    ZERO,
    Screen,
    Shapes,
    View,
    X,
    Y,
)
from generator.render.cpu_lens import image_point
from generator.render.cpu_project import (
    CHUNK,
    SLACK,
    camera_axes,
    camera_point,
    claim,
    deviations,
    touches_image,
)
from generator.render.kernel import inlined, parallel
from generator.render.request import TILE, UT_BETA, UT_MARGIN, UT_SPREAD

FORM_COLUMNS = 17
UNBOUNDED = F32(1e6)
"""Half size [px] of a support whose outline is not an ellipse."""
MOST = F32(2**20)
"""Boxes are cut off here [px], so that they fit an integer."""
STEP = F32(math.sqrt(3.0) * UT_SPREAD)
OTHERS = F32(1.0 / (6.0 * UT_SPREAD**2))
CENTRAL = F32(1.0 - 1.0 / UT_SPREAD**2 + 1.0 - UT_SPREAD**2 + UT_BETA)
HALF_LOG2 = F32(math.sqrt(0.5 / math.log(2.0)))


@inlined
def inside_margin(u: float, v: float, view: View) -> bool:
    """Return whether a sigma point's image is near enough to the image."""
    x, y = F32(UT_MARGIN) * view.width, F32(UT_MARGIN) * view.height
    return bool(u >= -x and u < view.width + x and v >= -y and v < view.height + y)


@inlined
def unscented(x: float, y: float, z: float, axes: tuple, view: View, lens: np.ndarray) -> tuple:
    """Return the unscented mean (2), the variances along x and y, and whether all sigma points are in view."""
    u, v, valid = image_point(x, y, z, view, lens)
    valid = valid and inside_margin(u, v, view)
    sum_u, sum_v, sum_uu, sum_vv = ZERO, ZERO, ZERO, ZERO
    for axis in range(3):
        for sign in (-STEP, STEP):
            px, py, pz = x + sign * axes[axis], y + sign * axes[3 + axis], z + sign * axes[6 + axis]
            pu, pv, seen = image_point(px, py, pz, view, lens)
            valid = valid and seen and inside_margin(pu, pv, view)
            sum_u += pu - u
            sum_v += pv - v
            sum_uu += (pu - u) * (pu - u)
            sum_vv += (pv - v) * (pv - v)
    shift_u, shift_v = OTHERS * sum_u, OTHERS * sum_v
    # sum w (d - shift)^2, with weights that sum to W and differences d that are 0 for the central point.
    excess = CENTRAL + F32(6) * OTHERS - TWO
    var_u = OTHERS * sum_uu + excess * shift_u * shift_u
    var_v = OTHERS * sum_vv + excess * shift_v * shift_v
    return u + shift_u, v + shift_v, var_u, var_v, valid


@inlined
def write_box(boxes: np.ndarray, slot: int, image: tuple, support: float, view: View) -> bool:
    """Write the support's box, rounded out to tiles of gsplat's size; return whether it touches the image.

    `image` holds the unscented mean and variances [px].
    """
    u, v, var_u, var_v = image
    half_x = math.ceil(math.sqrt(support * (var_u + BLUR)))
    half_y = math.ceil(math.sqrt(support * (var_v + BLUR)))
    if not touches_image(u, v, half_x, half_y, view):
        return False
    boxes[slot, 0] = math.floor(max(F32(u - half_x), -MOST) / TILE) * TILE
    boxes[slot, 1] = math.floor(max(F32(v - half_y), -MOST) / TILE) * TILE
    boxes[slot, 2] = math.ceil(min(F32(u + half_x), MOST) / TILE) * TILE
    boxes[slot, 3] = math.ceil(min(F32(v + half_y), MOST) / TILE) * TILE
    return True


@inlined
def write_outline(
    ellipses: np.ndarray, slot: int, point: tuple, axes: tuple, support: float, view: View
) -> None:
    """Write the ellipse in which a pinhole's rays meet the support, if the camera is in front of all of it."""
    x, y, z = point
    u, v = x / z, y / z
    a0, a1, a2 = axes[0] - u * axes[6], axes[1] - u * axes[7], axes[2] - u * axes[8]
    b0, b1, b2 = axes[3] - v * axes[6], axes[4] - v * axes[7], axes[5] - v * axes[8]
    c0, c1, c2 = axes[6], axes[7], axes[8]
    inverse = ONE / (z * z - support * (c0 * c0 + c1 * c1 + c2 * c2))
    scale = support * inverse
    shift_x = -view.fx * scale * (a0 * c0 + a1 * c1 + a2 * c2)
    shift_y = -view.fy * scale * (b0 * c0 + b1 * c1 + b2 * c2)
    xx = shift_x * shift_x + view.fx * view.fx * scale * (a0 * a0 + a1 * a1 + a2 * a2)
    xy = shift_x * shift_y + view.fx * view.fy * scale * (a0 * b0 + a1 * b1 + a2 * b2)
    yy = shift_y * shift_y + view.fy * view.fy * scale * (b0 * b0 + b1 * b1 + b2 * b2)
    # A little fatter, so that rounding loses no pixel and nothing divides by zero.
    xx, yy = xx * SLACK + F32(1e-4), yy * SLACK + F32(1e-4)
    if inverse > ZERO and xx + yy < UNBOUNDED * UNBOUNDED:
        ellipses[slot, CENTER_X] = view.fx * u + view.cx + shift_x
        ellipses[slot, CENTER_Y] = view.fy * v + view.cy + shift_y
        ellipses[slot, HALF_X], ellipses[slot, HALF_Y] = math.sqrt(xx), math.sqrt(yy)
        ellipses[slot, SLOPE], ellipses[slot, RISE] = xy / xx, yy - xy * xy / xx


@inlined
def write_forms(forms: np.ndarray, slot: int, point: tuple, axes: tuple, scales: tuple) -> None:
    """Write the linear forms of D^2."""
    x, y, z = point
    s0, s1, s2 = scales
    u, v = x / z, y / z
    forms[slot, 0], forms[slot, 1] = u, v
    products = (s1 * s2 / s0, s2 * s0 / s1, s0 * s1 / s2)
    for j in range(3):
        forms[slot, 2 + 2 * j] = HALF_LOG2 * z * (axes[3 + j] - v * axes[6 + j])
        forms[slot, 3 + 2 * j] = -HALF_LOG2 * z * (axes[j] - u * axes[6 + j])
        forms[slot, 8 + 3 * j] = products[j] * axes[j]
        forms[slot, 9 + 3 * j] = products[j] * axes[3 + j]
        forms[slot, 10 + 3 * j] = products[j] * axes[6 + j]


@inlined
def project_one(
    shapes: Shapes,
    i: int,
    view: View,
    lens: np.ndarray,
    screen: Screen,
    boxes: np.ndarray,
    forms: np.ndarray,
    slot: int,
) -> bool:
    """Project Gaussian i into `slot`; return whether it may be seen."""
    splats, ellipses, opacity = screen.splats, screen.ellipses, shapes.opacities[i]
    x, y, z = camera_point(shapes.means, i, view)
    if opacity < ALPHA_LIMIT or z < view.near or z > view.far:
        return False
    axes = camera_axes(shapes, i, view)
    u, v, var_u, var_v, valid = unscented(x, y, z, axes, view, lens)
    support = TWO * math.log(opacity / ALPHA_LIMIT)
    if not (valid and write_box(boxes, slot, (u, v, var_u, var_v), support, view)):
        return False
    splats[slot, X], splats[slot, Y] = u, v
    splats[slot, LOG_OPACITY], splats[slot, DEPTH] = math.log2(opacity), z
    ellipses[slot, CENTER_X], ellipses[slot, CENTER_Y] = u, v
    ellipses[slot, HALF_X], ellipses[slot, HALF_Y] = UNBOUNDED, UNBOUNDED
    ellipses[slot, SLOPE], ellipses[slot, RISE] = ZERO, UNBOUNDED * UNBOUNDED
    if len(lens) == 0:
        write_outline(ellipses, slot, (x, y, z), axes, support * SLACK + F32(1e-4), view)
    write_forms(forms, slot, (x, y, z), axes, deviations(shapes.scales, i))
    return True


@parallel
def project_unscented(
    shapes: Shapes,
    colors: np.ndarray,
    view: View,
    lens: np.ndarray,
    screen: Screen,
    boxes: np.ndarray,
    forms: np.ndarray,
) -> np.ndarray:
    """Project every Gaussian, as `cpu_project.project` does for EWA."""
    total = len(shapes.means)
    chunks = (total + CHUNK - 1) // CHUNK
    visible = np.zeros(chunks, np.int64)
    for chunk in prange(chunks):
        start = chunk * CHUNK
        slot = start
        for i in range(start, min(start + CHUNK, total)):
            if project_one(shapes, i, view, lens, screen, boxes, forms, slot):
                claim(screen, slot, i, colors)
                slot += 1
        visible[chunk] = slot - start
    return visible
