"""Compiled reduction: the gradients of pairs to those of their Gaussians.

Every splat owns the slots of its pairs, so each thread sums what its splats own: no atomics, and the same
sum on any number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from generator.render.cpu_adjoint import GRAD_COLUMNS
from generator.render.cpu_project import HALF, SPLAT_COLUMNS, ZERO, project_one_backward
from generator.render.kernel import parallel

PART = 1024
"""Visible Gaussians per task."""


@parallel
def reduce_gradients(
    splats,
    owners,
    ranks,
    starts,
    used,
    positions,
    pair_grads,
    means,
    scales,
    rotations,
    opacities,
    view,
    out,
    grad_colors,
):
    """Add one view's gradients to `out` (N, 11) and `grad_colors` (N, C)."""
    total, channels = len(owners), grad_colors.shape[1]
    parts = (total + PART - 1) // PART
    for part in prange(parts):
        sums = np.empty(GRAD_COLUMNS + channels, np.float32)
        row = np.empty(SPLAT_COLUMNS, np.float32)
        # In the order of the Gaussians, whose arrays are the larger ones, memory is read in sequence.
        for n in range(part * PART, min((part + 1) * PART, total)):
            owner, k = owners[n], ranks[n]
            sums[:] = ZERO
            for slot in range(starts[k], starts[k] + used[k]):
                pair = positions[slot]
                for column in range(GRAD_COLUMNS + channels):
                    sums[column] += pair_grads[pair, column]
            xx, xy, yy = splats[k, 2], splats[k, 3], splats[k, 4]
            # alpha = opacity exp(-half distance), and offsets run from the splat to the pixel.
            row[0], row[1] = xx * sums[1] + xy * sums[2], xy * sums[1] + yy * sums[2]
            row[2], row[3], row[4] = -HALF * sums[3], -sums[4], -HALF * sums[5]
            row[5], row[6] = sums[0] / opacities[owner], sums[6]
            project_one_backward(row, means, scales, rotations, owner, view, out)
            for channel in range(channels):
                grad_colors[owner, channel] += sums[GRAD_COLUMNS + channel]
