"""Compiled blending: every tile's list of splats to pixels, front to back.

A tile is TILE_WIDTH = 8 pixels wide, so that one row of it is one vector. Transmittance is set to 0 where
a pixel is finished, which stops all that follows without a branch.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from generator.render.cpu_project import HALF, ONE, SPLAT_COLUMNS, ZERO
from generator.render.cpu_tiles import TILE_HEIGHT, TILE_WIDTH
from generator.render.kernel import parallel, serial
from generator.render.request import ALPHA_MIN, DEPTH_ALPHA_MIN, TRANSMITTANCE_MIN
from generator.render.simd import exp2, lanes, largest, load, minimum, spread, store, where_greater

CHECK_EVERY = 16
"""Splats between two looks at whether the whole tile is finished."""
F32 = np.float32
STOP, DEPTH_LIMIT = F32(TRANSMITTANCE_MIN), F32(DEPTH_ALPHA_MIN)
LOG2_ALPHA_LIMIT = F32(math.log2(ALPHA_MIN))
TO_LOG2 = F32(-1.0 / math.log(2.0))


@serial
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


@serial
def finished(transmittance):
    """Return whether no pixel of the tile takes any more light."""
    most = spread(ZERO)
    for row in range(TILE_HEIGHT):
        here = load(transmittance, row * TILE_WIDTH)
        most = where_greater(here, most, here, most)
    return largest(most) == ZERO


@serial
def blend_tile(splats, list_splat, list_rows, begin, end, x0, y0, cap, transmittance, sums, median):
    """Composite one tile: `sums` holds per row, then channel (colours, z, 1), one vector of pixels."""
    channels = splats.shape[1] - SPLAT_COLUMNS
    row_size = (channels + 2) * TILE_WIDTH
    for k in range(begin, end):
        if (k - begin) % CHECK_EVERY == CHECK_EVERY - 1 and finished(transmittance):
            break
        s = list_splat[k]
        dx = lanes() + (F32(x0) + HALF - splats[s, 0])
        shift_y = F32(y0) + HALF - splats[s, 1]
        a, b, c = HALF * TO_LOG2 * splats[s, 2], TO_LOG2 * splats[s, 3], HALF * TO_LOG2 * splats[s, 4]
        level, cross = a * dx * dx + splats[s, 5], b * dx
        z, red, green, blue = splats[s, 6], splats[s, 7], splats[s, 8], splats[s, 9]
        for row in range(list_rows[k] & 255, list_rows[k] >> 8):
            dy = F32(row) + shift_y
            power = level + dy * (cross + c * dy)
            alpha = where_greater(power, LOG2_ALPHA_LIMIT, minimum(exp2(power), cap), ZERO)
            before = load(transmittance, row * TILE_WIDTH)
            after = before * (ONE - alpha)
            weight = where_greater(after, STOP, alpha * before, ZERO)
            store(transmittance, row * TILE_WIDTH, where_greater(after, STOP, after, ZERO))
            # Transmittance passes one half once, so adding stores the same as selecting, which is slower.
            crossed = where_greater(before, HALF, where_greater(after, HALF, ZERO, z), ZERO)
            store(median, row * TILE_WIDTH, load(median, row * TILE_WIDTH) + crossed)
            at = row * row_size
            store(sums, at, load(sums, at) + weight * red)
            store(sums, at + 8, load(sums, at + 8) + weight * green)
            store(sums, at + 16, load(sums, at + 16) + weight * blue)
            for channel in range(3, channels):
                to = at + channel * TILE_WIDTH
                store(sums, to, load(sums, to) + weight * splats[s, SPLAT_COLUMNS + channel])
            to = at + channels * TILE_WIDTH
            store(sums, to, load(sums, to) + weight * z)
            store(sums, to + 8, load(sums, to + 8) + weight)


@parallel
def blend(splats, tile_starts, list_splat, list_rows, cap, background, rgb, depth, median, alpha):
    """Composite one view; writes rgb (H, W, C), depth, median and alpha (H, W)."""
    height, width, channels = rgb.shape
    columns = (width + TILE_WIDTH - 1) // TILE_WIDTH
    tiles = len(tile_starts) - 1
    stride = task_stride(tiles)
    for task in prange(tiles):
        tile = (task * stride) % tiles
        x0, y0 = (tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT
        transmittance = np.ones(TILE_HEIGHT * TILE_WIDTH, np.float32)
        sums = np.zeros((TILE_HEIGHT, channels + 2, TILE_WIDTH), np.float32)
        middle = np.zeros((TILE_HEIGHT, TILE_WIDTH), np.float32)
        begin, end = tile_starts[tile], tile_starts[tile + 1]
        blend_tile(splats, list_splat, list_rows, begin, end, x0, y0, cap, transmittance, sums, middle)
        for y in range(y0, min(y0 + TILE_HEIGHT, height)):
            for x in range(x0, min(x0 + TILE_WIDTH, width)):
                covered = sums[y - y0, channels + 1, x - x0]
                for channel in range(channels):
                    behind = (ONE - covered) * background[channel]
                    rgb[y, x, channel] = sums[y - y0, channel, x - x0] + behind
                depth[y, x] = sums[y - y0, channels, x - x0] / max(covered, DEPTH_LIMIT)
                median[y, x] = middle[y - y0, x - x0]
                alpha[y, x] = covered
