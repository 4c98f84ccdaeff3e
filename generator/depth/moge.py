"""MoGe: depth up to one scale, and the lens, of one picture (Wang et al., arXiv 2410.19115); GEN3C's own choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from generator.depth.estimator import DepthEstimate
from generator.depth.published import device_of
from generator.sizes import Size
from generator.weights.checkpoint import load_checkpoint
from generator.weights.store import Store
from lyra_sim.errors import LyraSimError

OPEN_DEPTH = 1000.0
"""Depth of the pixels that MoGe's mask leaves out, as GEN3C sets it."""


@dataclass(frozen=True)
class MoGe:
    """Run `MoGeModel` of the package moge (version 1)."""

    network: Any
    device: torch.device
    name: str = "moge"
    metric: bool = False

    @torch.inference_mode()
    def estimate(self, rgb: np.ndarray, *, intrinsics: np.ndarray | None = None) -> DepthEstimate:
        """Estimate z-depth up to scale; where the lens is known, it fixes the field of view."""
        height, width = rgb.shape[:2]
        image = torch.from_numpy(np.array(rgb)).permute(2, 0, 1).float().to(self.device) / 255
        known = {}
        if intrinsics is not None:
            known["fov_x"] = float(np.degrees(2 * np.arctan(width / 2 / intrinsics[0])))
        output = self.network.infer(image, **known)
        valid = output["mask"].bool() & output["depth"].isfinite() & (output["depth"] > 0)
        depth = torch.where(valid, output["depth"].float(), OPEN_DEPTH)
        if intrinsics is None:
            matrix = output["intrinsics"].double().cpu().numpy()
            intrinsics = np.array(
                [matrix[0, 0] * width, matrix[1, 1] * height, matrix[0, 2] * width, matrix[1, 2] * height]
            )
        return DepthEstimate(depth.cpu().numpy(), valid.cpu().numpy(), np.array(intrinsics, np.float64))


def load(size: Size) -> MoGe:
    """Load the published network.

    Raises:
        LyraSimError: The package moge or its weights are missing, or they do not fit each other.
    """
    try:
        from moge.model.v1 import MoGeModel
    except ImportError:
        raise LyraSimError(
            "the depth estimator moge needs the package moge (from its repository, microsoft/MoGe); install it, or "
            "choose another estimator"
        ) from None
    device, store = device_of(size), Store()
    state, card = load_checkpoint(store.folder / "moge-depth.json", "depth")
    try:
        network = MoGeModel(**card["configuration"].get("model_config", {}))
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except (RuntimeError, TypeError) as error:
        raise LyraSimError(f"moge-depth: weights do not fit the package moge ({str(error)[:200]})") from None
    return MoGe(network.eval().to(device), device)
