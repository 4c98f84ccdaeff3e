"""Compiled sorting and binning: visible splats to one front-to-back list per tile.

A tile is TILE_WIDTH x TILE_HEIGHT pixels. A pair is one splat in one tile, with the tile rows that the
splat's support ellipse covers there. Splats are sorted by depth once; binning them in that order keeps
every tile's list sorted.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from generator.render.cpu_project import CHUNK, SPLAT_COLUMNS
from generator.render.kernel import parallel, serial

TILE_WIDTH = 8
"""One 256-bit vector of float32."""
TILE_HEIGHT = 16
BINS = 16
"""Parts of the splat list that are binned at the same time; fixed, for the same result on any machine."""


@serial
def visible_slots(visible):
    """Return the slots that the projection filled, in the order of the Gaussians, (M,)."""
    slots = np.empty(visible.sum(), np.int32)
    n = 0
    for chunk in range(len(visible)):
        for slot in range(chunk * CHUNK, chunk * CHUNK + visible[chunk]):
            slots[n] = slot
            n += 1
    return slots


@serial
def depth_order(splats, slots):
    """Return the order of the visible splats by increasing z; ties keep their order (radix sort), (M,)."""
    total = len(slots)
    keys, order = np.empty(total, np.uint32), np.arange(total).astype(np.int32)
    for n in range(total):
        # Positive floats sort like their bit patterns.
        keys[n] = np.float32(splats[slots[n], 6]).view(np.uint32)
    other_keys, other_order = np.empty_like(keys), np.empty_like(order)
    for shift in (0, 11, 22):
        counts = np.zeros(2049, np.int64)
        for k in range(total):
            counts[((keys[k] >> np.uint32(shift)) & np.uint32(2047)) + 1] += 1
        for digit in range(2048):
            counts[digit + 1] += counts[digit]
        for k in range(total):
            digit = (keys[k] >> np.uint32(shift)) & np.uint32(2047)
            other_keys[counts[digit]] = keys[k]
            other_order[counts[digit]] = order[k]
            counts[digit] += 1
        keys, other_keys = other_keys, keys
        order, other_order = other_order, order
    return order


@parallel
def gather(order, slots, splats, ellipses, source, colors):
    """Return splat rows with colours and ellipse rows by depth; Gaussian and depth rank by Gaussian."""
    total, channels = len(order), colors.shape[1]
    rows, shapes = np.empty((total, SPLAT_COLUMNS + channels), np.float32), np.empty((total, 4), np.float32)
    owners, ranks = np.empty(total, np.int32), np.empty(total, np.int32)
    for k in prange(total):
        n = order[k]
        slot = slots[n]
        owners[n], ranks[n] = source[slot], k
        for column in range(SPLAT_COLUMNS):
            rows[k, column] = splats[slot, column]
        for channel in range(channels):
            rows[k, SPLAT_COLUMNS + channel] = colors[source[slot], channel]
        for column in range(4):
            shapes[k, column] = ellipses[slot, column]
    return rows, shapes, owners, ranks


@serial
def tile_range(center, half, tile, tiles):
    """Return the first and one past the last tile along one axis that center +- half touches."""
    first = max(0, math.floor((center - half - 0.5) / tile))
    last = min(tiles - 1, math.floor((center + half) / tile))
    return first, last + 1


@serial
def bounding_tiles(splats, ellipses, columns, rows):
    """Return where each splat's pairs start if it touched every tile of its bounding box, (M + 1,)."""
    starts = np.empty(len(splats) + 1, np.int64)
    starts[0] = 0
    for k in range(len(splats)):
        x0, x1 = tile_range(float(splats[k, 0]), float(ellipses[k, 0]), TILE_WIDTH, columns)
        y0, y1 = tile_range(float(splats[k, 1]), float(ellipses[k, 1]), TILE_HEIGHT, rows)
        starts[k + 1] = starts[k] + max(0, x1 - x0) * max(0, y1 - y0)
    return starts


@serial
def splat_pairs(splats, ellipses, k, columns, rows, width, height, start, pair_tile, pair_rows):
    """Write the pairs of one splat from slot `start` on; return how many there are."""
    x, y = float(splats[k, 0]), float(splats[k, 1])
    half_x, half_y = float(ellipses[k, 0]), float(ellipses[k, 1])
    slope, rise = float(ellipses[k, 2]), float(ellipses[k, 3])
    top = slope * half_x * half_x / half_y
    first, last = tile_range(x, half_x, TILE_WIDTH, columns)
    first_row, last_row = tile_range(y, half_y, TILE_HEIGHT, rows)
    slot = start
    for column in range(first, last):
        left = max(column * TILE_WIDTH + 0.5, x - half_x) - x
        right = min(min(column * TILE_WIDTH + TILE_WIDTH, width) - 0.5, x + half_x) - x
        if left > right:
            continue
        # The ellipse is highest at dx = top and lowest at -top; a strip beside them peaks at its edge.
        high_x, low_x = min(max(top, left), right), min(max(-top, left), right)
        high = slope * high_x + math.sqrt(max(rise * (1.0 - (high_x / half_x) ** 2), 0.0))
        low = slope * low_x - math.sqrt(max(rise * (1.0 - (low_x / half_x) ** 2), 0.0))
        y0 = max(first_row * TILE_HEIGHT, math.ceil(y + low - 0.5))
        y1 = min(min(height, last_row * TILE_HEIGHT), math.floor(y + high - 0.5) + 1)
        while y0 < y1:
            row = y0 // TILE_HEIGHT
            end = min(y1, (row + 1) * TILE_HEIGHT)
            pair_tile[slot] = row * columns + column
            pair_rows[slot] = (y0 - row * TILE_HEIGHT) | ((end - row * TILE_HEIGHT) << 8)
            slot += 1
            y0 = end
    return slot - start


@parallel
def bin_splats(splats, ellipses, width, height):
    """Return the tiles' lists.

    Returns:
        Start of every tile's list (tiles + 1,); splat of each pair and its rows, packed as first row |
        end row << 8 (P,); first slot and number of each splat's pairs (M,); list position of each slot.
    """
    columns = (width + TILE_WIDTH - 1) // TILE_WIDTH
    rows = (height + TILE_HEIGHT - 1) // TILE_HEIGHT
    tiles, total = columns * rows, len(splats)
    starts = bounding_tiles(splats, ellipses, columns, rows)
    slots = starts[total]
    pair_tile, pair_rows = np.empty(slots, np.int32), np.empty(slots, np.int32)
    used = np.zeros(total, np.int32)
    counts = np.zeros((BINS, tiles), np.int32)
    for part in prange(BINS):
        for k in range(part * total // BINS, (part + 1) * total // BINS):
            used[k] = splat_pairs(
                splats, ellipses, k, columns, rows, width, height, starts[k], pair_tile, pair_rows
            )
            for slot in range(starts[k], starts[k] + used[k]):
                counts[part, pair_tile[slot]] += 1
    tile_starts = np.zeros(tiles + 1, np.int64)
    for tile in range(tiles):
        position = tile_starts[tile]
        for part in range(BINS):
            amount = counts[part, tile]
            counts[part, tile] = position
            position += amount
        tile_starts[tile + 1] = position
    list_splat, list_rows = np.empty(tile_starts[tiles], np.int32), np.empty(tile_starts[tiles], np.int32)
    positions = np.empty(slots, np.int32)
    for part in prange(BINS):
        for k in range(part * total // BINS, (part + 1) * total // BINS):
            for slot in range(starts[k], starts[k] + used[k]):
                position = counts[part, pair_tile[slot]]
                counts[part, pair_tile[slot]] += 1
                list_splat[position], list_rows[position] = k, pair_rows[slot]
                positions[slot] = position
    return tile_starts, list_splat, list_rows, starts, used, positions
