"""Depth Anything V2, metric: depth of one picture in metres (Yang et al., arXiv 2406.09414)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from generator.depth.estimator import DepthEstimate
from generator.depth.prepare import Preparation
from generator.depth.published import load_network
from generator.sizes import Size
from lyra_sim.errors import LyraSimError

_NEAREST = 0.01
"""Smallest depth [m] that is given out."""
_SATURATED = 0.99
"""Share of the network's largest depth from which on a pixel counts as open."""


@dataclass(frozen=True)
class DepthAnything:
    """Run transformers' `DepthAnythingForDepthEstimation` with one of its metric checkpoints."""

    network: Any
    preparation: Preparation
    name: str = "depth-anything-v2"
    metric: bool = True

    @torch.inference_mode()
    def estimate(self, rgb: np.ndarray, *, intrinsics: np.ndarray | None = None) -> DepthEstimate:
        """Estimate metric z-depth; the network says nothing of the lens, so the intrinsics stay as given."""
        output = self.network(self.preparation.before_normalising(rgb).to(self.network.device))
        depth = F.interpolate(
            output.predicted_depth.float()[None], size=rgb.shape[:2], mode="bicubic", align_corners=False
        )[0, 0].clamp(min=_NEAREST)
        valid = depth < _SATURATED * self.network.config.max_depth
        lens = None if intrinsics is None else np.array(intrinsics, np.float64)
        return DepthEstimate(depth.cpu().numpy(), valid.cpu().numpy(), lens)


def load(size: Size) -> DepthAnything:
    """Load the published network.

    Raises:
        LyraSimError: Its weights or transformers are missing, or the checkpoint knows no metres.
    """
    network, folder = load_network("depth-anything-v2", "DepthAnythingForDepthEstimation", size)
    if network.config.depth_estimation_type != "metric":
        raise LyraSimError(
            f"{folder}: is a relative checkpoint, whose depth has no unit; use one of the metric ones"
        )
    return DepthAnything(network, Preparation.read(folder))
