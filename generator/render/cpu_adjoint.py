"""Compiled adjoint of the blending: gradients of pixels to gradients of pairs.

It runs front to back like the forward: with g_i the pixel's gradient dotted with splat i's colour, z and
1, and R what remains of the sum of w g behind splat i, dL/dalpha_i = T_i g_i - R / (1 - alpha_i). So it
repeats the forward's arithmetic exactly and never has to recover T by division.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from generator.render.cpu_blend import (
    CHECK_EVERY,
    DEPTH_LIMIT,
    LOG2_ALPHA_LIMIT,
    STOP,
    TO_LOG2,
    finished,
    task_stride,
)
from generator.render.cpu_project import HALF, ONE, SPLAT_COLUMNS, ZERO
from generator.render.cpu_tiles import TILE_HEIGHT, TILE_WIDTH
from generator.render.kernel import parallel, serial
from generator.render.simd import exp2, lanes, load, minimum, spread, store, total, where_greater

GRAD_COLUMNS = 7
"""Columns of a pair's gradient before the colours.

With s = dL/d(alpha) alpha summed over the pixels: s, s dx, s dy, s dx^2, s dx dy, s dy^2; then dL/dz.
"""
F32 = np.float32


@serial
def load_gradients(
    x0, y0, background, rgb, depth, alpha, grad_rgb, grad_depth, grad_alpha, gradient, remaining
):
    """Fill `gradient` with dL/d(sums) of one tile and `remaining` with its dot product with the sums."""
    height, width, channels = rgb.shape
    for y in range(y0, min(y0 + TILE_HEIGHT, height)):
        for x in range(x0, min(x0 + TILE_WIDTH, width)):
            row, lane = y - y0, x - x0
            covered = alpha[y, x]
            to_cover = grad_alpha[y, x]
            weighted = ZERO
            for channel in range(channels):
                g = grad_rgb[y, x, channel]
                gradient[row, channel, lane] = g
                to_cover -= g * background[channel]
                weighted += g * (rgb[y, x, channel] - (ONE - covered) * background[channel])
            to_depth = grad_depth[y, x] / max(covered, DEPTH_LIMIT)
            if covered > DEPTH_LIMIT:
                to_cover -= to_depth * depth[y, x]
            gradient[row, channels, lane] = to_depth
            gradient[row, channels + 1, lane] = to_cover
            remaining[row, lane] = weighted + (to_depth * depth[y, x] + to_cover) * covered


@serial
def blend_tile_backward(
    splats,
    list_splat,
    list_rows,
    begin,
    end,
    x0,
    y0,
    cap,
    transmittance,
    weights,
    gradient,
    remaining,
    pair_grads,
):
    """Write the gradient of every pair of one tile."""
    channels = splats.shape[1] - SPLAT_COLUMNS
    row_size = (channels + 2) * TILE_WIDTH
    to_z = channels * TILE_WIDTH
    done = end
    for k in range(begin, end):
        if (k - begin) % CHECK_EVERY == CHECK_EVERY - 1 and finished(transmittance):
            done = k
            break
        s = list_splat[k]
        dx = lanes() + (F32(x0) + HALF - splats[s, 0])
        shift_y = F32(y0) + HALF - splats[s, 1]
        a, b, c = HALF * TO_LOG2 * splats[s, 2], TO_LOG2 * splats[s, 3], HALF * TO_LOG2 * splats[s, 4]
        level, cross = a * dx * dx + splats[s, 5], b * dx
        z, red, green, blue = splats[s, 6], splats[s, 7], splats[s, 8], splats[s, 9]
        zero = spread(ZERO)
        m, my, myy = zero, zero, zero
        gz, gr, gg, gb = zero, zero, zero, zero
        for row in range(list_rows[k] & 255, list_rows[k] >> 8):
            dy = F32(row) + shift_y
            power = level + dy * (cross + c * dy)
            response = exp2(power)
            alpha = where_greater(power, LOG2_ALPHA_LIMIT, minimum(response, cap), ZERO)
            at = row * row_size
            g0, g1, g2 = load(gradient, at), load(gradient, at + 8), load(gradient, at + 16)
            g3, g4 = load(gradient, at + to_z), load(gradient, at + to_z + 8)
            dot = g0 * red + g1 * green + g2 * blue + g3 * z + g4
            for channel in range(3, channels):
                dot += load(gradient, at + channel * TILE_WIDTH) * splats[s, SPLAT_COLUMNS + channel]
            before = load(transmittance, row * TILE_WIDTH)
            open_share = ONE - alpha
            after = before * open_share
            weight = where_greater(after, STOP, alpha * before, ZERO)
            behind = load(remaining, row * TILE_WIDTH) - weight * dot
            store(remaining, row * TILE_WIDTH, behind)
            store(transmittance, row * TILE_WIDTH, where_greater(after, STOP, after, ZERO))
            store(weights, row * TILE_WIDTH, weight)
            to_alpha = before * dot - behind / open_share
            # Neither a capped alpha nor one that was not composited depends on the Gaussian's shape.
            share = where_greater(cap, response, alpha * to_alpha, ZERO)
            share = where_greater(after, STOP, share, ZERO)
            m += share
            my += share * dy
            myy += share * (dy * dy)
            gr += weight * g0
            gg += weight * g1
            gb += weight * g2
            gz += weight * g3
        pair_grads[k, 0] = total(m)
        pair_grads[k, 1] = total(m * dx)
        pair_grads[k, 2] = total(my)
        pair_grads[k, 3] = total(m * dx * dx)
        pair_grads[k, 4] = total(my * dx)
        pair_grads[k, 5] = total(myy)
        pair_grads[k, 6] = total(gz)
        pair_grads[k, 7] = total(gr)
        pair_grads[k, 8] = total(gg)
        pair_grads[k, 9] = total(gb)
        for channel in range(3, channels):
            summed = zero
            for row in range(list_rows[k] & 255, list_rows[k] >> 8):
                here = load(gradient, row * row_size + channel * TILE_WIDTH)
                summed += load(weights, row * TILE_WIDTH) * here
            pair_grads[k, GRAD_COLUMNS + channel] = total(summed)
    for k in range(done, end):
        for column in range(GRAD_COLUMNS + channels):
            pair_grads[k, column] = ZERO


@parallel
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
        transmittance = np.ones(TILE_HEIGHT * TILE_WIDTH, np.float32)
        weights = np.empty(TILE_HEIGHT * TILE_WIDTH, np.float32)
        gradient = np.zeros((TILE_HEIGHT, channels + 2, TILE_WIDTH), np.float32)
        remaining = np.zeros((TILE_HEIGHT, TILE_WIDTH), np.float32)
        load_gradients(
            x0, y0, background, rgb, depth, alpha, grad_rgb, grad_depth, grad_alpha, gradient, remaining
        )
        begin, end = tile_starts[tile], tile_starts[tile + 1]
        blend_tile_backward(
            splats,
            list_splat,
            list_rows,
            begin,
            end,
            x0,
            y0,
            cap,
            transmittance,
            weights,
            gradient,
            remaining,
            pair_grads,
        )
    return pair_grads
