"""LPIPS where its networks are at hand; nothing is put in its place silently."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

Perceptual = Callable[[np.ndarray, np.ndarray], float]
"""Distance of two (H, W, 3) images in [0, 1]; NaN where it cannot be measured."""

WITHOUT = "not measured: the packages lpips and torchvision are not installed"


def load_perceptual() -> tuple[Perceptual, str]:
    """Return LPIPS with VGG16 (Zhang et al. 2018, weights v0.1) and what to print about it.

    The package `lpips` fetches VGG16 through torchvision at its first use. Without these packages every distance is
    NaN, and the text says so.
    """
    if find_spec("lpips") is None or find_spec("torchvision") is None:
        return (lambda prediction, truth: float("nan")), WITHOUT
    import lpips
    import torch

    with warnings.catch_warnings():
        # The package still uses an argument that torchvision renamed.
        warnings.simplefilter("ignore")
        network = lpips.LPIPS(net="vgg", verbose=False).eval()

    def distance(prediction: np.ndarray, truth: np.ndarray) -> float:
        pair = [
            torch.from_numpy(np.clip(x, 0, 1)).float().permute(2, 0, 1)[None] for x in (truth, prediction)
        ]
        with torch.inference_mode():
            return float(network(*pair, normalize=True))

    return distance, "LPIPS with VGG16, weights v0.1"
