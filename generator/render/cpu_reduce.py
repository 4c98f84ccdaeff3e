"""Compiled reduction: the gradients of pairs to those of their Gaussians.

Every splat owns the slots of its pairs, so each thread sums what its splats own: no atomics, and the same
sum on any number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from generator.render.cpu_blend import GRAD_COLUMNS
from generator.render.cpu_project import FAST, HALF, SPLAT_COLUMNS, ZERO, project_one_backward


@njit(cache=True, parallel=True, fastmath=FAST)
def reduce_gradients(
    splats, owners, starts, used, positions, pair_grads, means, scales, rotations, view, out, grad_colors
):
    """Add one view's gradients to `out` (N, 11) and `grad_colors` (N, C)."""
    total, channels = len(splats), grad_colors.shape[1]
    parts = (total + 1023) // 1024
    for part in prange(parts):
        sums = np.empty(GRAD_COLUMNS + channels, np.float32)
        row = np.empty(SPLAT_COLUMNS, np.float32)
        for k in range(part * 1024, min((part + 1) * 1024, total)):
            sums[:] = ZERO
            for slot in range(starts[k], starts[k] + used[k]):
                pair = pair_grads[positions[slot]]
                for column in range(GRAD_COLUMNS + channels):
                    sums[column] += pair[column]
            splat = splats[k]
            # Offsets run from the splat to the pixel, so moving the splat has the opposite sign.
            row[0] = -(splat[2] * sums[1] + splat[3] * sums[2])
            row[1] = -(splat[3] * sums[1] + splat[4] * sums[2])
            row[2], row[3], row[4] = HALF * sums[3], sums[4], HALF * sums[5]
            row[5] = -sums[0] / splat[5]
            row[6] = sums[6]
            owner = owners[k]
            project_one_backward(row, means, scales, rotations, owner, view, out[owner])
            for channel in range(channels):
                grad_colors[owner, channel] += sums[GRAD_COLUMNS + channel]
