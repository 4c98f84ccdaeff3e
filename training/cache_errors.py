"""The 3D cache as an estimator's depth would have made it: the conditioning depth disturbed, then warped anew."""

from __future__ import annotations

import numpy as np

from generator.cameras import Cameras
from generator.inputs import warp_conditioning
from training.depth_noise import disturb_depth

REDUCTION = 2
"""The disturbed depth is warped at a resolution this much smaller, which takes a quarter of the time; its errors are
larger than what that changes."""


def disturbed_cache(
    depth: np.ndarray, c2w: np.ndarray, intrinsics: np.ndarray, rng: np.random.Generator, *, cell: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cache's depth [m] and mask at output cells, (V, T, H/cell, W/cell) each, of a wrong depth.

    Args:
        depth: True z-depth [m] of the conditioning frame, (H, W).
        c2w: Poses, OpenCV axes, (V, T, 4, 4); frame 0 of every view is the conditioning camera.
        intrinsics: fx, fy, cx, cy [px], (V, T, 4).
        rng: Draws the errors; their strength is random too.
        cell: Pixels per output cell along an axis.
    """
    wrong = disturb_depth(depth, rng)[REDUCTION // 2 :: REDUCTION, REDUCTION // 2 :: REDUCTION]
    small = [
        Cameras(pose, lens, *depth.shape).resized(*wrong.shape)
        for pose, lens in zip(c2w, intrinsics, strict=True)
    ]
    warped = warp_conditioning(np.ascontiguousarray(wrong), small, cell=cell // REDUCTION)
    return warped.depth.numpy(), warped.mask.numpy()
