"""Compiled blending: every tile's list of splats to pixels, front to back.

One row of a tile is one vector of eight pixels. Transmittance is set to 0 where a pixel is finished, which
stops all that follows without a branch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from generator.render.cpu_layout import (
    COLOR,
    DEPTH,
    F32,
    HALF,
    LOG_OPACITY,
    ONE,
    TILE_HEIGHT,
    TILE_WIDTH,
    XX,
    XY,
    YY,
    ZERO,
    Bins,
    Images,
    X,
    Y,
)
from generator.render.kernel import inlined, parallel, serial
from generator.render.request import ALPHA_MIN, DEPTH_ALPHA_MIN, TRANSMITTANCE_MIN
from generator.render.simd import exp2, lanes, largest, load, minimum, prefetch, spread, store, where_greater

CHECK_EVERY = 16
"""Splats between two looks at whether the whole tile is finished."""
AHEAD = 8
"""Places in a tile's list by which splats are asked for early."""
STOP, DEPTH_LIMIT = F32(TRANSMITTANCE_MIN), F32(DEPTH_ALPHA_MIN)
LOG2_ALPHA_LIMIT = F32(math.log2(ALPHA_MIN))
TO_LOG2 = F32(-1.0 / math.log(2.0))


@serial
def task_stride(tiles: int) -> int:
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


@inlined
def fetch_ahead(splats: np.ndarray, bins: Bins, k: int, end: int) -> None:
    """Ask for the splat that comes a few places after k: a tile's splats lie anywhere in memory."""
    at = bins.lists[min(k + AHEAD, end - 1), 0] * splats.shape[1]
    prefetch(splats, at)
    prefetch(splats, at + COLOR)


@inlined
def finished(transmittance: np.ndarray) -> bool:
    """Return whether no pixel of the tile takes any more light."""
    most = spread(ZERO)
    for row in range(TILE_HEIGHT):
        here = load(transmittance, row * TILE_WIDTH)
        most = where_greater(here, most, here, most)
    return largest(most) == ZERO


@inlined
def exponent_rows(splats: np.ndarray, s: int, x0: int, y0: int) -> tuple:
    """Prepare splat s for the tile at x0, y0 [px].

    Returns:
        Pixel offsets dx of a row, the offset dy of row 0, and what makes log2(alpha) of a row at offset dy:
        level + dy (cross + bend dy).
    """
    dx = lanes() + (F32(x0) + HALF - splats[s, X])
    dy = F32(y0) + HALF - splats[s, Y]
    level = HALF * TO_LOG2 * splats[s, XX] * dx * dx + splats[s, LOG_OPACITY]
    return dx, dy, level, TO_LOG2 * splats[s, XY] * dx, HALF * TO_LOG2 * splats[s, YY]


@inlined
def composite(
    alpha: Any,
    row: int,
    splats: np.ndarray,
    s: int,
    transmittance: np.ndarray,
    sums: np.ndarray,
    median: np.ndarray,
) -> None:
    """Put splat s with coverage `alpha` on one row of a tile."""
    channels = splats.shape[1] - COLOR
    z = splats[s, DEPTH]
    before = load(transmittance, row * TILE_WIDTH)
    after = before * (ONE - alpha)
    weight = where_greater(after, STOP, alpha * before, ZERO)
    store(transmittance, row * TILE_WIDTH, where_greater(after, STOP, after, ZERO))
    # Transmittance passes one half once, so adding stores the same as selecting, which is slower.
    crossed = where_greater(before, HALF, where_greater(after, HALF, ZERO, z), ZERO)
    store(median, row * TILE_WIDTH, load(median, row * TILE_WIDTH) + crossed)
    at = row * (channels + 2) * TILE_WIDTH
    store(sums, at, load(sums, at) + weight * splats[s, COLOR])
    store(sums, at + TILE_WIDTH, load(sums, at + TILE_WIDTH) + weight * splats[s, COLOR + 1])
    store(sums, at + 2 * TILE_WIDTH, load(sums, at + 2 * TILE_WIDTH) + weight * splats[s, COLOR + 2])
    for channel in range(3, channels):
        to = at + channel * TILE_WIDTH
        store(sums, to, load(sums, to) + weight * splats[s, COLOR + channel])
    to = at + channels * TILE_WIDTH
    store(sums, to, load(sums, to) + weight * z)
    store(sums, to + TILE_WIDTH, load(sums, to + TILE_WIDTH) + weight)


@serial
def blend_tile(
    splats: np.ndarray,
    bins: Bins,
    tile: int,
    corner: tuple,
    cap: float,
    sums: np.ndarray,
    median: np.ndarray,
) -> None:
    """Composite one tile by EWA: `sums` holds per row, then channel (colours, z, 1), one vector of pixels."""
    transmittance = np.ones(TILE_HEIGHT * TILE_WIDTH, np.float32)
    begin, end = bins.starts[tile], bins.starts[tile + 1]
    for k in range(begin, end):
        if (k - begin) % CHECK_EVERY == CHECK_EVERY - 1 and finished(transmittance):
            break
        s = bins.lists[k, 0]
        fetch_ahead(splats, bins, k, end)
        _, first_dy, level, cross, bend = exponent_rows(splats, s, corner[0], corner[1])
        for row in range(bins.lists[k, 1] & 255, bins.lists[k, 1] >> 8):
            dy = F32(row) + first_dy
            power = level + dy * (cross + bend * dy)
            alpha = where_greater(power, LOG2_ALPHA_LIMIT, minimum(exp2(power), cap), ZERO)
            composite(alpha, row, splats, s, transmittance, sums, median)


@inlined
def ray_distance(x: Any, y: Any, z: Any, forms: np.ndarray, s: int) -> Any:
    """Return D^2 / (2 ln 2) of 3DGUT for eight rays; see `cpu_unscented`."""
    du, dv = x - forms[s, 0] * z, y - forms[s, 1] * z
    n0 = forms[s, 2] * du + forms[s, 3] * dv
    n1 = forms[s, 4] * du + forms[s, 5] * dv
    n2 = forms[s, 6] * du + forms[s, 7] * dv
    d0 = forms[s, 8] * x + forms[s, 9] * y + forms[s, 10] * z
    d1 = forms[s, 11] * x + forms[s, 12] * y + forms[s, 13] * z
    d2 = forms[s, 14] * x + forms[s, 15] * y + forms[s, 16] * z
    return (n0 * n0 + n1 * n1 + n2 * n2) / (d0 * d0 + d1 * d1 + d2 * d2)


@serial
def blend_tile_rays(
    splats: np.ndarray,
    forms: np.ndarray,
    rays: np.ndarray,
    bins: Bins,
    tile: int,
    cap: float,
    sums: np.ndarray,
    median: np.ndarray,
) -> None:
    """Composite one tile by 3DGUT; `rays` holds per tile, row and axis one vector of pixels."""
    transmittance = np.ones(TILE_HEIGHT * TILE_WIDTH, np.float32)
    begin, end = bins.starts[tile], bins.starts[tile + 1]
    for k in range(begin, end):
        if (k - begin) % CHECK_EVERY == CHECK_EVERY - 1 and finished(transmittance):
            break
        s = bins.lists[k, 0]
        fetch_ahead(splats, bins, k, end)
        for row in range(bins.lists[k, 1] & 255, bins.lists[k, 1] >> 8):
            at = (tile * TILE_HEIGHT + row) * 3 * TILE_WIDTH
            x, y, z = load(rays, at), load(rays, at + TILE_WIDTH), load(rays, at + 2 * TILE_WIDTH)
            power = splats[s, LOG_OPACITY] - ray_distance(x, y, z, forms, s)
            alpha = where_greater(power, LOG2_ALPHA_LIMIT, minimum(exp2(power), cap), ZERO)
            composite(alpha, row, splats, s, transmittance, sums, median)


@inlined
def write_pixels(
    corner: tuple, sums: np.ndarray, middle: np.ndarray, background: np.ndarray, images: Images
) -> None:
    """Write one tile's pixels."""
    x0, y0 = corner
    height, width, channels = images.rgb.shape
    for y in range(y0, min(y0 + TILE_HEIGHT, height)):
        for x in range(x0, min(x0 + TILE_WIDTH, width)):
            covered = sums[y - y0, channels + 1, x - x0]
            for channel in range(channels):
                behind = (ONE - covered) * background[channel]
                images.rgb[y, x, channel] = sums[y - y0, channel, x - x0] + behind
            images.depth[y, x] = sums[y - y0, channels, x - x0] / max(covered, DEPTH_LIMIT)
            images.median[y, x] = middle[y - y0, x - x0]
            images.alpha[y, x] = covered


@parallel
def blend(
    splats: np.ndarray,
    forms: np.ndarray | None,
    rays: np.ndarray | None,
    bins: Bins,
    cap: float,
    background: np.ndarray,
    images: Images,
) -> None:
    """Composite one view into `images`; `forms` and `rays` are None for EWA."""
    columns = (images.rgb.shape[1] + TILE_WIDTH - 1) // TILE_WIDTH
    channels, tiles = images.rgb.shape[2], len(bins.starts) - 1
    stride = task_stride(tiles)
    for task in prange(tiles):
        tile = (task * stride) % tiles
        corner = ((tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT)
        sums = np.zeros((TILE_HEIGHT, channels + 2, TILE_WIDTH), np.float32)
        middle = np.zeros((TILE_HEIGHT, TILE_WIDTH), np.float32)
        if rays is None:
            blend_tile(splats, bins, tile, corner, cap, sums, middle)
        else:
            blend_tile_rays(splats, forms, rays, bins, tile, cap, sums, middle)
        write_pixels(corner, sums, middle, background, images)
