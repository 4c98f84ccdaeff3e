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
    DEPTH,
    HALF_X,
    HALF_Y,
    RISE,
    SLOPE,
    TILE_HEIGHT,
    TILE_WIDTH,
    Bins,
    Screen,
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
    """Return the slots by increasing z; ties keep their order (radix sort), (M,)."""
    total = len(slots)
    keys, order = np.empty(total, np.uint32), slots.copy()
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
    ellipses: np.ndarray, boxes: np.ndarray | None, k: int, size: tuple, pair: int, pairs: np.ndarray
) -> int:
    """Write tile and rows of the pairs of outline k from number `pair` on; return the number after them.

    `size` holds columns and rows of tiles, then width and height [px].
    """
    columns, rows, width, height = size
    first, last, first_row, last_row = touched_tiles(ellipses, boxes, k, columns, rows)
    for column in range(first, last):
        y0, y1 = column_rows(ellipses, k, column, width)
        y0, y1 = max(y0, first_row * TILE_HEIGHT), min(min(y1, height), last_row * TILE_HEIGHT)
        while y0 < y1:
            row = y0 // TILE_HEIGHT
            end = min(y1, (row + 1) * TILE_HEIGHT)
            pairs[pair, 0] = row * columns + column
            pairs[pair, 1] = (y0 - row * TILE_HEIGHT) | ((end - row * TILE_HEIGHT) << 8)
            pair += 1
            y0 = end
    return pair


@parallel
def find_pairs(ellipses: np.ndarray, boxes: np.ndarray | None, slots: np.ndarray, size: tuple) -> tuple:
    """Return tile and rows of every pair, (slots, 2) int32 with gaps, and `Bins.spans`."""
    total = len(slots)
    room = np.zeros(BINS + 1, np.int64)
    for part in prange(BINS):
        for n in range(part * total // BINS, (part + 1) * total // BINS):
            x0, x1, y0, y1 = touched_tiles(ellipses, boxes, slots[n], size[0], size[1])
            room[part + 1] += max(0, x1 - x0) * max(0, y1 - y0)
    room = np.cumsum(room)
    pairs, spans = np.empty((room[BINS], 2), np.int32), np.empty((len(ellipses), 2), np.int32)
    for part in prange(BINS):
        pair = room[part]
        for n in range(part * total // BINS, (part + 1) * total // BINS):
            after = write_pairs(ellipses, boxes, slots[n], size, pair, pairs)
            spans[slots[n], 0], spans[slots[n], 1] = pair, after - pair
            pair = after
    return pairs, spans


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
def fill_lists(order: np.ndarray, pairs: np.ndarray, spans: np.ndarray, tiles: int) -> tuple:
    """Return `Bins.starts` and `Bins.lists`: a counting sort by tile, in the order of depth."""
    total = len(order)
    counts = np.zeros((BINS, tiles), np.int32)
    for part in prange(BINS):
        for k in range(part * total // BINS, (part + 1) * total // BINS):
            first = spans[order[k], 0]
            for pair in range(first, first + spans[order[k], 1]):
                counts[part, pairs[pair, 0]] += 1
    starts = count_to_positions(counts)
    lists = np.empty((starts[tiles], 3), np.int32)
    for part in prange(BINS):
        for k in range(part * total // BINS, (part + 1) * total // BINS):
            slot = order[k]
            first = spans[slot, 0]
            for pair in range(first, first + spans[slot, 1]):
                tile = pairs[pair, 0]
                position = counts[part, tile]
                counts[part, tile] += 1
                lists[position, 0], lists[position, 1], lists[position, 2] = slot, pairs[pair, 1], pair
    return starts, lists


def bin_splats(
    screen: Screen, boxes: np.ndarray | None, visible: np.ndarray, width: int, height: int
) -> Bins:
    """Sort and bin what a projection made; `visible` is its result.

    `boxes`, x0, y0, x1, y1 [px] in multiples of 16, (N, 4) int32, clips the outlines; None does not.
    """
    columns, rows = -(-width // TILE_WIDTH), -(-height // TILE_HEIGHT)
    slots = visible_slots(visible)
    pairs, spans = find_pairs(screen.ellipses, boxes, slots, (columns, rows, width, height))
    starts, lists = fill_lists(depth_order(screen.splats, slots), pairs, spans, columns * rows)
    return Bins(starts, lists, spans, slots, len(pairs))
