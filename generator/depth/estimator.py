"""The interface of depth estimators, and which one a name stands for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from generator.sizes import Size
from generator.weights import mini
from generator.weights.checkpoint import licence_of, load_card
from generator.weights.registry import NOT_KNOWN, find_entry
from lyra_sim.errors import LyraSimError

_BEYOND = 2.0
"""Depth of the sky, in units of the largest depth that an estimator trusts."""


@dataclass(frozen=True)
class DepthEstimate:
    """Hold what an estimator makes of one picture of H x W pixels."""

    depth: np.ndarray
    """z-depth, in metres where the estimator is metric, positive everywhere, (H, W) float32."""
    valid: np.ndarray
    """Pixels whose depth means something (no sky), (H, W) bool."""
    intrinsics: np.ndarray | None
    """fx, fy, cx, cy [px] that the depth belongs to, pixel centres at +0.5, (4,) float64; None when unknown."""

    @property
    def trusted(self) -> np.ndarray:
        """Pixels that are valid and have a finite, positive depth, (H, W) bool."""
        return np.asarray(self.valid, bool) & np.isfinite(self.depth) & (self.depth > 0)

    def dense(self) -> np.ndarray:
        """Return the depth with the sky beyond all else, (H, W) float32; some pixel must be `trusted`."""
        trusted = self.trusted
        beyond = _BEYOND * float(np.percentile(self.depth[trusted], 99))
        return np.where(trusted, self.depth, beyond).astype(np.float32)


class DepthEstimator(Protocol):
    """Estimate the depth of a picture."""

    name: str
    """Name that `load_estimator` knows it by."""
    metric: bool
    """Whether the depth is in metres, or only up to one scale per picture."""

    def estimate(self, rgb: np.ndarray, *, intrinsics: np.ndarray | None = None) -> DepthEstimate:
        """Estimate z-depth.

        Args:
            rgb: Picture, sRGB, (H, W, 3) uint8.
            intrinsics: fx, fy, cx, cy [px] where the camera is known, (4,); the estimate then keeps them.
        """
        ...


BACKENDS: dict[str, str] = {
    "mini": "generator.depth.mini",
    "depth-anything-v2": "generator.depth.depth_anything",
    "depth-pro": "generator.depth.depth_pro",
    "moge": "generator.depth.moge",
}
"""Module of every estimator by name; each has `load(size) -> DepthEstimator` and is imported on demand."""
FIND_THE_LENS = frozenset({"depth-pro", "moge"})
"""Estimators that find the focal length of a picture themselves; the others should be told one."""


def load_estimator(name: str, size: Size) -> DepthEstimator:
    """Return a depth estimator.

    Args:
        name: A key of `BACKENDS`.
        size: Size of the chain, which says on which device and with which weights it runs.

    Raises:
        LyraSimError: The name is unknown, or the estimator's package or weights are missing.
    """
    if name not in BACKENDS:
        raise LyraSimError(f"unknown depth estimator {name!r}; choose from {', '.join(BACKENDS)}")
    return importlib.import_module(BACKENDS[name]).load(size)


def licence_of_estimator(name: str) -> str:
    """Return the licence of an estimator's weights, for the provenance of a scene."""
    if name not in BACKENDS:
        return NOT_KNOWN
    if name == "mini":
        return licence_of(load_card(mini.DEPTH))
    return find_entry("moge-depth" if name == "moge" else name).licence
