"""Measure rendered views against a teacher's: PSNR, SSIM and relative depth error."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from skimage.metrics import structural_similarity


def psnr(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio [dB] of two images in [0, 1]; the prediction is clipped first."""
    error = float(np.mean((np.clip(prediction, 0, 1).astype(np.float64) - truth) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the structural similarity of two (H, W, 3) images in [0, 1] (window 11, Gaussian weights)."""
    return float(
        structural_similarity(
            np.clip(prediction, 0, 1).astype(np.float64),
            truth.astype(np.float64),
            win_size=11,
            gaussian_weights=True,
            data_range=1.0,
            channel_axis=2,
        )
    )


def mean_psnr(predictions: Iterable[np.ndarray], truths: Iterable[np.ndarray]) -> float:
    """Return the mean of `psnr` [dB] over pairs of images."""
    return float(np.mean([psnr(*pair) for pair in zip(predictions, truths, strict=True)]))


def mean_ssim(predictions: Iterable[np.ndarray], truths: Iterable[np.ndarray]) -> float:
    """Return the mean of `ssim` over pairs of images."""
    return float(np.mean([ssim(*pair) for pair in zip(predictions, truths, strict=True)]))


def relative_depth_error(
    prediction: np.ndarray, truth: np.ndarray, *, where: np.ndarray | None = None
) -> float:
    """Return the median of |prediction - truth| / truth over pixels whose true z-depth [m] is known.

    `where` restricts the pixels further; NaN when none is left.
    """
    valid = truth > 0
    if where is not None:
        valid = valid & where
    if not valid.any():
        return float("nan")
    return float(np.median(np.abs(prediction[valid] - truth[valid]) / truth[valid]))
