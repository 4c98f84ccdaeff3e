"""What one stage of the distillation does."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Literal

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
    lpips: float = 0.0
    """LPIPS with VGG16 of rendered frames; where its network is missing, 1 - SSIM with the same weight, said aloud."""
    opacity: float = 0.0
    """Mean opacity of the Gaussians that survive pruning."""
    official: bool = False
    """Whether depth and opacity take their official forms, which `training.losses` calls faulty and why."""
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
    after: str | None = None
    """Stage whose end it starts from; None takes the stage before it in the run, or fresh weights."""
    learning_rate: float = 1e-3
    """Peak learning rate, after a linear warm-up."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate goes on: to a twentieth along a cosine, or not at all."""
    warmup: int = 100
    """Warm-up steps."""
    size: tuple[int, int] | None = (176, 320)
    """Height and width of the frames [px]: data that can be brought to it is, scenes of other sizes are left out.
    None takes prepared scenes of every size."""
    frames: int = 17
    """Frames per input view, 8k + 1, where the data can be cut."""
    window: tuple[int, int] | None = None
    """Height and width [px] of the random window of the frames that a step sees, where time is short; None: all."""
    samples: int = 1
    """Scenes per step and process; their gradients are averaged."""
    stored_latents: bool = True
    """Whether latents come from the data; else frames are encoded on the way."""
    views: tuple[int, int] = (1, 2)
    """Least and most input views per step."""
    targets: int = 0
    """Frames rendered per step; of a moving scene, views rendered at the one target time."""
    same_targets: bool = False
    """Whether every input view is rendered at the same `targets` frames (Lyra), else at frames of any view."""
    late_targets: bool = False
    """Whether later target frames are drawn more often, by exp(3 p) for the place p in 0..1 of the clip."""
    dynamic: bool = False
    """Whether the scene moves: one target time, rendered from all views that the data has, also those backwards."""
    prune_ratio: float = 0.0
    """Share of the Gaussians dropped before rendering."""
    random_share: float = 0.0
    """Share of the kept Gaussians that is drawn at random instead of by opacity, so that all of them learn."""
    cache_noise: float = 0.0
    """Standard deviation of the log-scale error put on the cache's depth, as an estimator would make it."""
    cache_errors: bool = False
    """Whether the cache's depth also gets smooth errors and displaced edges, as an estimator would make them."""
    weights: LossWeights = field(default_factory=LossWeights)
    """Weights of the loss terms."""


def chain_to(number: int) -> list[Stage]:
    """Return the published stages that lead to one of them, in order: 7 and 8 both go on from 6.

    Raises:
        LyraSimError: There is no such stage.
    """
    if not 1 <= number <= 9:
        raise LyraSimError(f"--stage {number}: the published stages are 1 to 9")
    chain: list[Stage] = []
    name: str | None = f"lyra_{number}"
    while name is not None:
        chain.insert(0, load_stage(name))
        name = chain[0].after
    return chain


def load_stage(name: str) -> Stage:
    """Return the stage of `training/stages/<name>.py`; raises LyraSimError when there is none."""
    try:
        return importlib.import_module(f"training.stages.{name}").STAGE
    except ModuleNotFoundError as error:
        raise LyraSimError(f"--stages {name}: no file training/stages/{name}.py") from error
