"""What one stage of the distillation does."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field

from lyra_sim.errors import LyraSimError


@dataclass(frozen=True)
class LossWeights:
    """Weigh the terms of the loss; zero leaves a term out."""

    mse: float = 1.0
    """Mean squared colour error of rendered frames."""
    ssim: float = 0.0
    """1 - SSIM of rendered frames (stands in for LPIPS where its network is not at hand)."""
    depth: float = 0.0
    """Scale-and-shift-invariant depth of rendered frames (Lyra's form, median mended)."""
    metric_depth: float = 0.0
    """Log depth of rendered frames."""
    opacity: float = 0.0
    """Mean opacity of the Gaussians that survive pruning."""
    coverage: float = 0.0
    """1 - alpha of rendered frames where something is to be seen, so that no background shines through."""
    distance: float = 0.0
    """Direct: log distance of every Gaussian along its ray against the world's."""
    colour: float = 0.0
    """Direct: colour of every Gaussian against the mean colour of its cell."""
    scale: float = 0.0
    """Direct: log scale of every Gaussian against the footprint of its cell."""
    keep: float = 0.0
    """Direct: opacity of every Gaussian against `objective.keep_pattern`, which keeps about a fifth."""


@dataclass(frozen=True)
class Stage:
    """Describe one stage; a training runs them one after another, each from the end of the one before."""

    name: str
    """Name of the stage, in the run folder and on the card."""
    steps: int
    """Optimiser steps."""
    learning_rate: float = 1e-3
    """Peak learning rate; linear warm-up, then cosine to a twentieth."""
    warmup: int = 100
    """Warm-up steps."""
    views: tuple[int, int] = (1, 2)
    """Least and most input views per step."""
    targets: int = 0
    """Frames rendered per step."""
    prune_ratio: float = 0.0
    """Share of the Gaussians dropped before rendering."""
    random_share: float = 0.0
    """Share of the kept Gaussians that is drawn at random instead of by opacity, so that all of them learn."""
    cache_noise: float = 0.0
    """Standard deviation of the log-scale error put on the cache's depth, as an estimator would make it."""
    weights: LossWeights = field(default_factory=LossWeights)
    """Weights of the loss terms."""


def load_stage(name: str) -> Stage:
    """Return the stage of `training/stages/<name>.py`; raises LyraSimError when there is none."""
    try:
        return importlib.import_module(f"training.stages.{name}").STAGE
    except ModuleNotFoundError as error:
        raise LyraSimError(f"--stages {name}: no file training/stages/{name}.py") from error
