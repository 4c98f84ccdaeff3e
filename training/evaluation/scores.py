"""Scores of single frames, and their averages as the official evaluation takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from generator import metrics
from training.evaluation.perceptual import Perceptual

METRICS = ("psnr_db", "ssim", "lpips")


@dataclass(frozen=True)
class SceneScores:
    """Hold the scores of one scene's frames, in their order."""

    name: str
    """Name of the scene or video."""
    psnr_db: tuple[float, ...]
    """Peak signal-to-noise ratio [dB], prediction clipped to [0, 1]; infinite where frames are equal."""
    ssim: tuple[float, ...]
    """Structural similarity, window 11, Gaussian weights."""
    lpips: tuple[float, ...]
    """LPIPS with VGG16; NaN where no network was at hand."""
    fitted_scale: float | None = None
    """Length of one unit of the truth's cameras in the scene [m]; None when both share one frame."""

    def means(self) -> dict[str, float]:
        """Return the mean of every metric over the frames."""
        return {name: _mean(getattr(self, name)) for name in METRICS}


def score_frames(
    name: str,
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    perceptual: Perceptual,
    *,
    fitted_scale: float | None = None,
) -> SceneScores:
    """Score pairs of prediction and truth, (H, W, 3) float in [0, 1] each."""
    rows = [
        (metrics.psnr(prediction, truth), metrics.ssim(prediction, truth), perceptual(prediction, truth))
        for prediction, truth in pairs
    ]
    psnr, ssim, lpips = (tuple(column) for column in zip(*rows, strict=True))
    return SceneScores(name, psnr, ssim, lpips, fitted_scale)


def average(scenes: Sequence[SceneScores]) -> dict[str, float]:
    """Average per frame index over the scenes, then over the frames, as the official evaluation does.

    Scenes of unequal length take part in the indices that they have; equal frames, whose PSNR is infinite, take no
    part in the PSNR.
    """
    return {name: _by_index([getattr(scene, name) for scene in scenes]) for name in METRICS}


def _by_index(rows: Sequence[Sequence[float]]) -> float:
    longest = max(len(row) for row in rows)
    columns = [[row[i] for row in rows if i < len(row)] for i in range(longest)]
    return _mean([_mean(column) for column in columns])


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
