"""Depth Pro: metric depth and focal length of one picture (Bochkovskii et al., arXiv 2410.02073)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from generator.depth.estimator import DepthEstimate
from generator.depth.prepare import Preparation
from generator.depth.published import FARTHEST, load_network
from generator.sizes import Size


@dataclass(frozen=True)
class DepthPro:
    """Run transformers' `DepthProForDepthEstimation`."""

    network: Any
    preparation: Preparation
    name: str = "depth-pro"
    metric: bool = True

    @torch.inference_mode()
    def estimate(self, rgb: np.ndarray, *, intrinsics: np.ndarray | None = None) -> DepthEstimate:
        """Estimate metric z-depth, at the focal length that is given or else the estimated one.

        The network predicts inverse depth for a focal length of one picture width; the real one scales it
        (section 3.1 of the paper).
        """
        height, width = rgb.shape[:2]
        output = self.network(self.preparation.after_normalising(rgb).to(self.network.device))
        if intrinsics is None:
            field_of_view = torch.deg2rad(output.field_of_view.double().reshape(()))
            focal = float(0.5 * width / torch.tan(0.5 * field_of_view))
            intrinsics = np.array([focal, focal, width / 2, height / 2])
        inverse = output.predicted_depth.float()[None] * (width / float(intrinsics[0]))
        inverse = F.interpolate(inverse, size=(height, width), mode="bilinear", align_corners=False)[0, 0]
        depth = 1 / inverse.clamp(1e-4, 1e4)
        return DepthEstimate(
            depth.cpu().numpy(), (depth < FARTHEST).cpu().numpy(), np.array(intrinsics, np.float64)
        )


def load(size: Size) -> DepthPro:
    """Load the published network; raises LyraSimError when its weights or transformers are missing."""
    network, folder = load_network("depth-pro", "DepthProForDepthEstimation", size)
    return DepthPro(network, Preparation.read(folder))
