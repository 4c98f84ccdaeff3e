"""Compiled sorting and binning: visible splats to one front-to-back list per tile.

A pair is one splat in one tile, with the tile rows that the splat's outline covers there. Splats are
sorted by depth once; binning them in that order keeps every tile's list sorted.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from generator.render.cpu_layout import (
    CENTER_X,
    CENTER_Y,
    COLOR,
    DEPTH,
    ELLIPSE_COLUMNS,
    HALF_X,
    HALF_Y,
    RISE,
    SLOPE,
    TILE_HEIGHT,
    TILE_WIDTH,
    PairSlots,
    Screen,
    TileLists,
)
from generator.render.cpu_project import CHUNK
from generator.render.kernel import inlined, parallel, serial

BINS = 16
"""Parts of the splat list that are binned at the same time; fixed, for the same result on any machine."""
DIGIT, RADIX = 11, 2048
"""Bits of a digit of the radix sort, and how many values it has."""


@serial
def visible_slots(visible: np.ndarray) -> np.ndarray:
    """Return the slots that the projection filled, in the order of the Gaussians, (M,)."""
    slots = np.empty(visible.sum(), np.int32)
    n = 0
    for chunk in range(len(visible)):
        for slot in range(chunk * CHUNK, chunk * CHUNK + visible[chunk]):
            slots[n] = slot
            n += 1
    return slots


@serial
def depth_order(splats: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Return the order of the visible splats by increasing z; ties keep their order (radix sort), (M,)."""
    total = len(slots)
    keys, order = np.empty(total, np.uint32), np.arange(total).astype(np.int32)
    for n in range(total):
        # Positive floats sort like their bit patterns.
        keys[n] = np.float32(splats[slots[n], DEPTH]).view(np.uint32)
    other_keys, other_order = np.empty_like(keys), np.empty_like(order)
    for shift in (0, DIGIT, 2 * DIGIT):
        counts = np.zeros(RADIX + 1, np.int64)
        for k in range(total):
            counts[((keys[k] >> np.uint32(shift)) & np.uint32(RADIX - 1)) + 1] += 1
        for digit in range(RADIX):
            counts[digit + 1] += counts[digit]
        for k in range(total):
            digit = (keys[k] >> np.uint32(shift)) & np.uint32(RADIX - 1)
            other_keys[counts[digit]], other_order[counts[digit]] = keys[k], order[k]
            counts[digit] += 1
        keys, other_keys = other_keys, keys
        order, other_order = other_order, order
    return order


@parallel
def gather(order: np.ndarray, slots: np.ndarray, screen: Screen, colors: np.ndarray) -> tuple:
    """Return splats with colours and ellipses by depth; owning Gaussian and depth rank by Gaussian."""
    total, channels = len(order), colors.shape[1]
    splats = np.empty((total, COLOR + channels), np.float32)
    ellipses = np.empty((total, ELLIPSE_COLUMNS), np.float32)
    owners, ranks = np.empty(total, np.int32), np.empty(total, np.int32)
    for k in prange(total):
        n = order[k]
        slot = slots[n]
        owners[n], ranks[n] = screen.source[slot], k
        for column in range(COLOR):
            splats[k, column] = screen.splats[slot, column]
        for channel in range(channels):
            splats[k, COLOR + channel] = colors[screen.source[slot], channel]
        for column in range(ELLIPSE_COLUMNS):
            ellipses[k, column] = screen.ellipses[slot, column]
    return splats, ellipses, owners, ranks


@inlined
def tile_range(low: float, high: float, size: int, tiles: int) -> tuple:
    """Return the first and one past the last tile along one axis that holds a pixel centre in low..high."""
    return max(0, math.floor((low - 0.5) / size)), min(tiles, math.floor(high / size) + 1)


@serial
def touched_tiles(ellipses: np.ndarray, boxes: np.ndarray | None, k: int, columns: int, rows: int) -> tuple:
    """Return the tile ranges x0, x1, y0, y1 of outline k, clipped to its box if there are any."""
    x, y = float(ellipses[k, CENTER_X]), float(ellipses[k, CENTER_Y])
    half_x, half_y = float(ellipses[k, HALF_X]), float(ellipses[k, HALF_Y])
    x0, x1 = tile_range(x - half_x, x + half_x, TILE_WIDTH, columns)
    y0, y1 = tile_range(y - half_y, y + half_y, TILE_HEIGHT, rows)
    if boxes is not None:
        x0, x1 = max(x0, boxes[k, 0] // TILE_WIDTH), min(x1, boxes[k, 2] // TILE_WIDTH)
        y0, y1 = max(y0, boxes[k, 1] // TILE_HEIGHT), min(y1, boxes[k, 3] // TILE_HEIGHT)
    return x0, x1, y0, y1


@serial
def bounding_tiles(ellipses: np.ndarray, boxes: np.ndarray | None, columns: int, rows: int) -> np.ndarray:
    """Return where each splat's pairs start if it touched every tile of its bounding box, (M + 1,)."""
    starts = np.empty(len(ellipses) + 1, np.int64)
    starts[0] = 0
    for k in range(len(ellipses)):
        x0, x1, y0, y1 = touched_tiles(ellipses, boxes, k, columns, rows)
        starts[k + 1] = starts[k] + max(0, x1 - x0) * max(0, y1 - y0)
    return starts


@inlined
def column_rows(ellipses: np.ndarray, k: int, column: int, width: int) -> tuple:
    """Return the first and one past the last pixel row of outline k within one column of tiles."""
    x, half_x, half_y = float(ellipses[k, CENTER_X]), float(ellipses[k, HALF_X]), float(ellipses[k, HALF_Y])
    y, slope, rise = float(ellipses[k, CENTER_Y]), float(ellipses[k, SLOPE]), float(ellipses[k, RISE])
    left = max(column * TILE_WIDTH + 0.5, x - half_x) - x
    right = min(min(column * TILE_WIDTH + TILE_WIDTH, width) - 0.5, x + half_x) - x
    if left > right:
        return 0, 0
    # The ellipse is highest at dx = top and lowest at -top; a strip beside them peaks at its edge.
    top = slope * half_x * half_x / half_y
    high_x, low_x = min(max(top, left), right), min(max(-top, left), right)
    high = slope * high_x + math.sqrt(max(rise * (1.0 - (high_x / half_x) ** 2), 0.0))
    low = slope * low_x - math.sqrt(max(rise * (1.0 - (low_x / half_x) ** 2), 0.0))
    return math.ceil(y + low - 0.5), math.floor(y + high - 0.5) + 1


@serial
def write_pairs(
    ellipses: np.ndarray,
    boxes: np.ndarray | None,
    k: int,
    size: tuple,
    start: int,
    pair_tile: np.ndarray,
    pair_rows: np.ndarray,
) -> int:
    """Write the pairs of splat k from slot `start` on; return how many there are.

    `size` holds columns and rows of tiles, then width and height [px].
    """
    columns, rows, width, height = size
    first, last, first_row, last_row = touched_tiles(ellipses, boxes, k, columns, rows)
    slot = start
    for column in range(first, last):
        y0, y1 = column_rows(ellipses, k, column, width)
        y0, y1 = max(y0, first_row * TILE_HEIGHT), min(min(y1, height), last_row * TILE_HEIGHT)
        while y0 < y1:
            row = y0 // TILE_HEIGHT
            end = min(y1, (row + 1) * TILE_HEIGHT)
            pair_tile[slot] = row * columns + column
            pair_rows[slot] = (y0 - row * TILE_HEIGHT) | ((end - row * TILE_HEIGHT) << 8)
            slot += 1
            y0 = end
    return slot - start


@serial
def count_to_positions(counts: np.ndarray) -> np.ndarray:
    """Turn pair counts per part and tile into first positions, in place; return where each tile starts."""
    parts, tiles = counts.shape
    starts = np.zeros(tiles + 1, np.int64)
    for tile in range(tiles):
        position = starts[tile]
        for part in range(parts):
            amount = counts[part, tile]
            counts[part, tile] = position
            position += amount
        starts[tile + 1] = position
    return starts


@parallel
def bin_splats(ellipses: np.ndarray, boxes: np.ndarray | None, width: int, height: int) -> tuple:
    """Return the tiles' lists and the slots of the splats' pairs (`TileLists`, `PairSlots`).

    `boxes`, x0, y0, x1, y1 [px] in multiples of 16, (M, 4) int32, clips the outlines; None does not.
    """
    columns, rows = (width + TILE_WIDTH - 1) // TILE_WIDTH, (height + TILE_HEIGHT - 1) // TILE_HEIGHT
    size = (columns, rows, width, height)
    total = len(ellipses)
    starts = bounding_tiles(ellipses, boxes, columns, rows)
    pair_tile, pair_rows = np.empty(starts[total], np.int32), np.empty(starts[total], np.int32)
    used, counts = np.zeros(total, np.int32), np.zeros((BINS, columns * rows), np.int32)
    for part in prange(BINS):
        for k in range(part * total // BINS, (part + 1) * total // BINS):
            used[k] = write_pairs(ellipses, boxes, k, size, starts[k], pair_tile, pair_rows)
            for slot in range(starts[k], starts[k] + used[k]):
                counts[part, pair_tile[slot]] += 1
    tile_starts = count_to_positions(counts)
    pairs = tile_starts[columns * rows]
    list_splat, list_rows = np.empty(pairs, np.int32), np.empty(pairs, np.int32)
    positions = np.empty(starts[total], np.int32)
    for part in prange(BINS):
        for k in range(part * total // BINS, (part + 1) * total // BINS):
            for slot in range(starts[k], starts[k] + used[k]):
                position = counts[part, pair_tile[slot]]
                counts[part, pair_tile[slot]] += 1
                list_splat[position], list_rows[position] = k, pair_rows[slot]
                positions[slot] = position
    return TileLists(tile_starts, list_splat, list_rows), PairSlots(starts, used, positions)
