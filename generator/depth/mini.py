"""The depth estimator that the package carries: small, trained on procedural worlds only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from generator.cache import image_tensor
from generator.depth.estimator import DepthEstimate
from generator.depth.network import DepthConfig, DepthNetwork, pixel_rays
from generator.sizes import Size
from generator.weights import mini
from generator.weights.checkpoint import load_checkpoint
from lyra_sim.errors import LyraSimError

FIELD_OF_VIEW = 1.15
"""Horizontal field of view of a picture whose lens is unknown [rad]: in the middle of those trained on."""


@dataclass(frozen=True)
class MiniDepth:
    """Estimate depth of an indoor picture on a CPU, in metres as far as its training went.

    It learned from procedural interiors, so it knows floors, walls and furniture at room scale; it has never
    seen the outdoors, people or close-ups.
    """

    network: DepthNetwork
    name: str = "mini"
    metric: bool = False

    def estimate(self, rgb: np.ndarray, *, intrinsics: np.ndarray | None = None) -> DepthEstimate:
        """Estimate z-depth [m] of a picture (H, W, 3) uint8; see `DepthEstimator.estimate`."""
        height, width = rgb.shape[:2]
        config = self.network.config
        lens = default_intrinsics(height, width) if intrinsics is None else np.asarray(intrinsics, np.float64)
        scale = np.array([config.width / width, config.height / height] * 2)
        image = image_tensor(np.ascontiguousarray(rgb))[None]
        small = _resized(image, config.height, config.width)
        rays = pixel_rays(
            torch.from_numpy(lens * scale).float()[None], height=config.height, width=config.width
        )
        with torch.inference_mode():
            log_depth, validity = (_resized(x, height, width)[0, 0] for x in self.network(small, rays))
        return DepthEstimate(log_depth.exp().numpy(), (validity > 0).numpy(), lens)


def default_intrinsics(height: int, width: int) -> np.ndarray:
    """Return fx, fy, cx, cy [px] of the lens that is assumed when none is known."""
    focal = width / 2 / np.tan(FIELD_OF_VIEW / 2)
    return np.array([focal, focal, width / 2, height / 2])


def load(size: Size) -> MiniDepth:
    """Load the embedded estimator; it is the same at every size."""
    return load_card_network(mini.DEPTH)


def load_card_network(card_path: Path) -> MiniDepth:
    """Load an estimator from its card.

    Raises:
        LyraSimError: The checkpoint is missing, damaged or of another kind.
    """
    state, card = load_checkpoint(card_path, "depth")
    settings = dict(card["configuration"])
    network = DepthNetwork(DepthConfig(**(settings | {"channels": tuple(settings["channels"])})))
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except RuntimeError as error:
        raise LyraSimError(f"{card_path}: weights do not fit its configuration ({error})") from None
    return MiniDepth(network.eval().requires_grad_(False))


def _resized(values: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize (B, C, H, W), smoothed where it gets smaller."""
    if values.shape[-2:] == (height, width):
        return values
    return F.interpolate(values, size=(height, width), mode="bilinear", align_corners=False, antialias=True)
