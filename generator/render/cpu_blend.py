"""Compiled blending: every tile's list of splats to pixels, front to back, and its adjoint.

Pixels of a tile lie in one row-major buffer of TILE_WIDTH columns, so that the rows of a pair are one
contiguous range that the compiler turns into vector code. Transmittance is set to 0 where a pixel is
finished, which stops all that follows without a branch.

The adjoint runs front to back too: with G the gradient-weighted sum over all splats of a pixel and R what
remains of it behind splat i, dL/dalpha_i = T_i g_i - R / (1 - alpha_i), where g_i is the gradient dotted
with splat i's colour, z and 1. So it repeats the forward's arithmetic exactly and never divides T.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from generator.render.cpu_project import ALPHA_LIMIT, FAST, HALF, ONE, SPLAT_COLUMNS, ZERO
from generator.render.cpu_tiles import TILE_HEIGHT, TILE_WIDTH
from generator.render.request import DEPTH_ALPHA_MIN, TRANSMITTANCE_MIN

PIXELS = TILE_WIDTH * TILE_HEIGHT
GRAD_COLUMNS = 7
"""Columns of a pair's gradient before the colours: moments 1, dx, dy, dx^2, dx dy, dy^2 and z."""
CHECK_EVERY = 16
"""Splats between two looks at whether the whole tile is finished."""
F32 = np.float32
STOP, DEPTH_LIMIT = F32(TRANSMITTANCE_MIN), F32(DEPTH_ALPHA_MIN)
C0, C1, C2, C3, C4, C5, C6 = (F32((-1.0 / 8.0) ** n / f) for n, f in enumerate((1, 1, 2, 6, 24, 120, 720)))


@njit(cache=True, fastmath=FAST)
def exp_negative(x):
    """Return exp(-x) for 0 <= x <= 8 to 1e-6 as the eighth power of a polynomial, which vectorises."""
    y = min(x, F32(8.0))
    p = C0 + y * (C1 + y * (C2 + y * (C3 + y * (C4 + y * (C5 + y * C6)))))
    p *= p
    p *= p
    return p * p


@njit(cache=True, fastmath=FAST)
def tile_grid():
    """Return the pixel-centre coordinates of a tile's pixels relative to its corner."""
    x, y = np.empty(PIXELS, np.float32), np.empty(PIXELS, np.float32)
    for p in range(PIXELS):
        x[p] = F32(p % TILE_WIDTH) + HALF
        y[p] = F32(p // TILE_WIDTH) + HALF
    return x, y


@njit(cache=True, fastmath=FAST)
def tile_alpha(splat, corner_x, corner_y, lo, hi, cap, grid_x, grid_y, alpha):
    """Write the splat's alpha at pixels lo..hi of the tile, 0 where it is skipped."""
    shift_x, shift_y = corner_x - splat[0], corner_y - splat[1]
    a, b, c, opacity = HALF * splat[2], splat[3], HALF * splat[4], splat[5]
    for p in range(lo, hi):
        dx, dy = grid_x[p] + shift_x, grid_y[p] + shift_y
        half_distance = a * dx * dx + c * dy * dy + b * dx * dy
        value = min(cap, opacity * exp_negative(half_distance))
        alpha[p] = value if value >= ALPHA_LIMIT else ZERO


@njit(cache=True, fastmath=FAST)
def blend_tile(
    splats, list_splat, list_rows, begin, end, corner_x, corner_y, cap, grid_x, grid_y, sums, median
):
    """Composite one tile into `sums` (colours, z, 1; zeroed here) and `median`."""
    channels = splats.shape[1] - SPLAT_COLUMNS
    transmittance = np.ones(PIXELS, np.float32)
    weight = np.empty(PIXELS, np.float32)
    sums[:] = ZERO
    median[:] = ZERO
    for k in range(begin, end):
        if (k - begin) % CHECK_EVERY == CHECK_EVERY - 1:
            left = ZERO
            for p in range(PIXELS):
                left = max(left, transmittance[p])
            if left == ZERO:
                break
        splat = splats[list_splat[k]]
        lo, hi = (list_rows[k] & 255) * TILE_WIDTH, (list_rows[k] >> 8) * TILE_WIDTH
        tile_alpha(splat, corner_x, corner_y, lo, hi, cap, grid_x, grid_y, weight)
        z = splat[6]
        for p in range(lo, hi):
            before = transmittance[p]
            after = before * (ONE - weight[p])
            going = after > STOP
            weight[p] = weight[p] * before if going else ZERO
            transmittance[p] = after if going else ZERO
            median[p] = z if (going and before > HALF and after <= HALF) else median[p]
        for channel in range(channels):
            value = splat[SPLAT_COLUMNS + channel]
            for p in range(lo, hi):
                sums[channel, p] += weight[p] * value
        for p in range(lo, hi):
            sums[channels, p] += weight[p] * z
        for p in range(lo, hi):
            sums[channels + 1, p] += weight[p]


@njit(cache=True, parallel=True, fastmath=FAST)
def blend(splats, tile_starts, list_splat, list_rows, cap, background, rgb, depth, median, alpha):
    """Composite one view; writes rgb (H, W, C), depth, median and alpha (H, W)."""
    height, width, channels = rgb.shape
    columns = (width + TILE_WIDTH - 1) // TILE_WIDTH
    tiles = len(tile_starts) - 1
    stride = task_stride(tiles)
    for task in prange(tiles):
        tile = (task * stride) % tiles
        x0, y0 = (tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT
        grid_x, grid_y = tile_grid()
        sums, middle = np.empty((channels + 2, PIXELS), np.float32), np.empty(PIXELS, np.float32)
        blend_tile(
            splats,
            list_splat,
            list_rows,
            tile_starts[tile],
            tile_starts[tile + 1],
            F32(x0),
            F32(y0),
            cap,
            grid_x,
            grid_y,
            sums,
            middle,
        )
        for y in range(y0, min(y0 + TILE_HEIGHT, height)):
            for x in range(x0, min(x0 + TILE_WIDTH, width)):
                p = (y - y0) * TILE_WIDTH + x - x0
                covered = sums[channels + 1, p]
                for channel in range(channels):
                    rgb[y, x, channel] = sums[channel, p] + (ONE - covered) * background[channel]
                depth[y, x] = sums[channels, p] / max(covered, DEPTH_LIMIT)
                median[y, x] = middle[p]
                alpha[y, x] = covered


@njit(cache=True)
def task_stride(tiles):
    """Return a step prime to `tiles` that spreads neighbouring tiles over the threads' equal shares."""
    stride = max(1, int(tiles * 0.618))
    while tiles > 1:
        a, b = tiles, stride
        while b:
            a, b = b, a % b
        if a == 1:
            break
        stride += 1
    return stride


@njit(cache=True, fastmath=FAST)
def load_gradients(
    x0, y0, background, rgb, depth, alpha, grad_rgb, grad_depth, grad_alpha, gradient, remaining
):
    """Fill `gradient` with dL/d(sums) of one tile and `remaining` with its dot product with the sums."""
    height, width, channels = rgb.shape
    gradient[:] = ZERO
    remaining[:] = ZERO
    for y in range(y0, min(y0 + TILE_HEIGHT, height)):
        for x in range(x0, min(x0 + TILE_WIDTH, width)):
            p = (y - y0) * TILE_WIDTH + x - x0
            covered = alpha[y, x]
            to_cover = grad_alpha[y, x]
            total = ZERO
            for channel in range(channels):
                g = grad_rgb[y, x, channel]
                gradient[channel, p] = g
                to_cover -= g * background[channel]
                total += g * (rgb[y, x, channel] - (ONE - covered) * background[channel])
            to_depth = grad_depth[y, x] / max(covered, DEPTH_LIMIT)
            if covered > DEPTH_LIMIT:
                to_cover -= to_depth * depth[y, x]
            gradient[channels, p] = to_depth
            gradient[channels + 1, p] = to_cover
            remaining[p] = total + to_depth * depth[y, x] * covered + to_cover * covered


@njit(cache=True, fastmath=FAST)
def blend_tile_backward(
    splats,
    list_splat,
    list_rows,
    begin,
    end,
    corner_x,
    corner_y,
    cap,
    grid_x,
    grid_y,
    gradient,
    remaining,
    pair_grads,
):
    """Write the gradient of every pair of one tile: moments of dL/d(half distance), z, colours."""
    channels = splats.shape[1] - SPLAT_COLUMNS
    transmittance = np.ones(PIXELS, np.float32)
    weight, dot = np.empty(PIXELS, np.float32), np.empty(PIXELS, np.float32)
    done = end
    for k in range(begin, end):
        if (k - begin) % CHECK_EVERY == CHECK_EVERY - 1:
            left = ZERO
            for p in range(PIXELS):
                left = max(left, transmittance[p])
            if left == ZERO:
                done = k
                break
        splat = splats[list_splat[k]]
        lo, hi = (list_rows[k] & 255) * TILE_WIDTH, (list_rows[k] >> 8) * TILE_WIDTH
        tile_alpha(splat, corner_x, corner_y, lo, hi, cap, grid_x, grid_y, weight)
        z = splat[6]
        for p in range(lo, hi):
            dot[p] = gradient[channels, p] * z + gradient[channels + 1, p]
        for channel in range(channels):
            value = splat[SPLAT_COLUMNS + channel]
            for p in range(lo, hi):
                dot[p] += gradient[channel, p] * value
        shift_x, shift_y = corner_x - splat[0], corner_y - splat[1]
        m, mx, my, mxx, mxy, myy, gz = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
        for p in range(lo, hi):
            value, before = weight[p], transmittance[p]
            open_share = ONE - value
            after = before * open_share
            going = after > STOP
            w = value * before if going else ZERO
            behind = remaining[p] - w * dot[p]
            to_alpha = before * dot[p] - behind / open_share
            s = -value * to_alpha if (going and value < cap) else ZERO
            remaining[p] = behind
            transmittance[p] = after if going else ZERO
            weight[p] = w
            dx, dy = grid_x[p] + shift_x, grid_y[p] + shift_y
            m += s
            mx += s * dx
            my += s * dy
            mxx += s * dx * dx
            mxy += s * dx * dy
            myy += s * dy * dy
            gz += w * gradient[channels, p]
        out = pair_grads[k]
        out[0], out[1], out[2], out[3], out[4], out[5], out[6] = m, mx, my, mxx, mxy, myy, gz
        for channel in range(channels):
            total = ZERO
            for p in range(lo, hi):
                total += weight[p] * gradient[channel, p]
            out[GRAD_COLUMNS + channel] = total
    pair_grads[done:end] = ZERO


@njit(cache=True, parallel=True, fastmath=FAST)
def blend_backward(
    splats,
    tile_starts,
    list_splat,
    list_rows,
    cap,
    background,
    rgb,
    depth,
    alpha,
    grad_rgb,
    grad_depth,
    grad_alpha,
):
    """Return the gradient of every pair of one view, (P, GRAD_COLUMNS + C)."""
    _, width, channels = rgb.shape
    columns = (width + TILE_WIDTH - 1) // TILE_WIDTH
    tiles = len(tile_starts) - 1
    stride = task_stride(tiles)
    pair_grads = np.empty((len(list_splat), GRAD_COLUMNS + channels), np.float32)
    for task in prange(tiles):
        tile = (task * stride) % tiles
        x0, y0 = (tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT
        grid_x, grid_y = tile_grid()
        gradient, remaining = np.empty((channels + 2, PIXELS), np.float32), np.empty(PIXELS, np.float32)
        load_gradients(
            x0, y0, background, rgb, depth, alpha, grad_rgb, grad_depth, grad_alpha, gradient, remaining
        )
        blend_tile_backward(
            splats,
            list_splat,
            list_rows,
            tile_starts[tile],
            tile_starts[tile + 1],
            F32(x0),
            F32(y0),
            cap,
            grid_x,
            grid_y,
            gradient,
            remaining,
            pair_grads,
        )
    return pair_grads
