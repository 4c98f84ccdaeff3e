"""Compiled adjoint of the blending: gradients of pixels to gradients of pairs.

It runs front to back like the forward: with g_i the pixel's gradient dotted with splat i's colour, z and
1, and R what remains of the sum of w g behind splat i, dL/dalpha_i = T_i g_i - R / (1 - alpha_i). So it
repeats the forward's arithmetic exactly and never has to recover T by division.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from generator.render.cpu_blend import (
    AHEAD,
    CHECK_EVERY,
    DEPTH_LIMIT,
    LOG2_ALPHA_LIMIT,
    STOP,
    exponent_rows,
    fetch_ahead,
    finished,
    task_stride,
)
from generator.render.cpu_layout import (
    COLOR,
    DEPTH,
    F32,
    ONE,
    TILE_HEIGHT,
    TILE_WIDTH,
    ZERO,
    Bins,
    Images,
)
from generator.render.kernel import inlined, parallel, serial
from generator.render.simd import exp2, load, minimum, prefetch_to_write, spread, store, total, where_greater

GRAD_COLUMNS = 7
"""Columns of a pair's gradient before the colours.

With s = alpha dL/dalpha, summed over the pixels: s, s dx, s dy, s dx^2, s dx dy, s dy^2; then dL/dz.
"""


@inlined
def load_gradients(
    corner: tuple,
    background: np.ndarray,
    images: Images,
    grads: Images,
    gradient: np.ndarray,
    remaining: np.ndarray,
) -> None:
    """Fill `gradient` with dL/d(sums) of one tile and `remaining` with its dot product with the sums."""
    x0, y0 = corner
    height, width, channels = images.rgb.shape
    for y in range(y0, min(y0 + TILE_HEIGHT, height)):
        for x in range(x0, min(x0 + TILE_WIDTH, width)):
            row, lane = y - y0, x - x0
            covered, depth = images.alpha[y, x], images.depth[y, x]
            to_cover = grads.alpha[y, x]
            weighted = ZERO
            for channel in range(channels):
                g = grads.rgb[y, x, channel]
                gradient[row, channel, lane] = g
                to_cover -= g * background[channel]
                weighted += g * (images.rgb[y, x, channel] - (ONE - covered) * background[channel])
            to_depth = grads.depth[y, x] / max(covered, DEPTH_LIMIT)
            if covered > DEPTH_LIMIT:
                to_cover -= to_depth * depth
            gradient[row, channels, lane] = to_depth
            gradient[row, channels + 1, lane] = to_cover
            remaining[row, lane] = weighted + (to_depth * depth + to_cover) * covered


@inlined
def write_moments(pair_grads: np.ndarray, pair: int, dx: Any, m: Any, my: Any, myy: Any) -> None:
    """Write the six moments of a pair from their sums over rows."""
    pair_grads[pair, 0] = total(m)
    pair_grads[pair, 1] = total(m * dx)
    pair_grads[pair, 2] = total(my)
    pair_grads[pair, 3] = total(m * dx * dx)
    pair_grads[pair, 4] = total(my * dx)
    pair_grads[pair, 5] = total(myy)


@serial
def blend_tile_backward(
    splats: np.ndarray,
    bins: Bins,
    tile: int,
    corner: tuple,
    cap: float,
    gradient: np.ndarray,
    remaining: np.ndarray,
    pair_grads: np.ndarray,
) -> None:
    """Write the gradient of every pair of one tile; `gradient` is laid out like the forward's sums."""
    channels = splats.shape[1] - COLOR
    row_size, to_z = (channels + 2) * TILE_WIDTH, channels * TILE_WIDTH
    transmittance = np.ones(TILE_HEIGHT * TILE_WIDTH, np.float32)
    weights = np.empty(TILE_HEIGHT * TILE_WIDTH, np.float32)
    begin, end = bins.starts[tile], bins.starts[tile + 1]
    done = end
    for k in range(begin, end):
        if (k - begin) % CHECK_EVERY == CHECK_EVERY - 1 and finished(transmittance):
            done = k
            break
        s, pair = bins.lists[k, 0], bins.lists[k, 2]
        fetch_ahead(splats, bins, k, end)
        later = bins.lists[min(k + AHEAD, end - 1), 2] * pair_grads.shape[1]
        prefetch_to_write(pair_grads, later)
        prefetch_to_write(pair_grads, later + pair_grads.shape[1] - 1)
        dx, first_dy, level, cross, bend = exponent_rows(splats, s, corner[0], corner[1])
        z, red, green, blue = splats[s, DEPTH], splats[s, COLOR], splats[s, COLOR + 1], splats[s, COLOR + 2]
        first_row, end_row = bins.lists[k, 1] & 255, bins.lists[k, 1] >> 8
        zero = spread(ZERO)
        m, my, myy, gz, gr, gg, gb = zero, zero, zero, zero, zero, zero, zero
        for row in range(first_row, end_row):
            dy = F32(row) + first_dy
            power = level + dy * (cross + bend * dy)
            response = exp2(power)
            alpha = where_greater(power, LOG2_ALPHA_LIMIT, minimum(response, cap), ZERO)
            at = row * row_size
            g0, g1 = load(gradient, at), load(gradient, at + TILE_WIDTH)
            g2, g3 = load(gradient, at + 2 * TILE_WIDTH), load(gradient, at + to_z)
            dot = g0 * red + g1 * green + g2 * blue + g3 * z + load(gradient, at + to_z + TILE_WIDTH)
            for channel in range(3, channels):
                dot += load(gradient, at + channel * TILE_WIDTH) * splats[s, COLOR + channel]
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
        write_moments(pair_grads, pair, dx, m, my, myy)
        pair_grads[pair, 6], pair_grads[pair, 7] = total(gz), total(gr)
        pair_grads[pair, 8], pair_grads[pair, 9] = total(gg), total(gb)
        for channel in range(3, channels):
            summed = zero
            for row in range(first_row, end_row):
                here = load(gradient, row * row_size + channel * TILE_WIDTH)
                summed += load(weights, row * TILE_WIDTH) * here
            pair_grads[pair, GRAD_COLUMNS + channel] = total(summed)
    for k in range(done, end):
        for column in range(GRAD_COLUMNS + channels):
            pair_grads[bins.lists[k, 2], column] = ZERO


@parallel
def blend_backward(
    splats: np.ndarray, bins: Bins, cap: float, background: np.ndarray, images: Images, grads: Images
) -> np.ndarray:
    """Return the gradient of every pair of one view by its number, (numbers, GRAD_COLUMNS + C)."""
    columns = (images.rgb.shape[1] + TILE_WIDTH - 1) // TILE_WIDTH
    channels, tiles = images.rgb.shape[2], len(bins.starts) - 1
    stride = task_stride(tiles)
    pair_grads = np.empty((bins.numbers, GRAD_COLUMNS + channels), np.float32)
    for task in prange(tiles):
        tile = (task * stride) % tiles
        corner = ((tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT)
        gradient = np.zeros((TILE_HEIGHT, channels + 2, TILE_WIDTH), np.float32)
        remaining = np.zeros((TILE_HEIGHT, TILE_WIDTH), np.float32)
        load_gradients(corner, background, images, grads, gradient, remaining)
        blend_tile_backward(splats, bins, tile, corner, cap, gradient, remaining, pair_grads)
    return pair_grads
