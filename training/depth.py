"""Train the mini depth estimator: `python -m training.depth --scenes DIR --out RUN`.

The run folder explains itself, as that of `training.teacher`. Running the command again goes on where it stopped;
what a step sees depends on the seed, the step and the scenes alone, so the resumed run equals the uninterrupted one.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from generator.depth.mini import load_card_network
from generator.depth.network import DepthConfig, DepthNetwork
from generator.weights.checkpoint import load_card
from training.averaged import AveragedTraining
from training.card import started_from
from training.depth_images import DepthBatch, DepthImages
from training.distill import environment


@dataclass(frozen=True)
class DepthTraining:
    """Say how the estimator is trained."""

    steps: int = 900
    """Optimiser steps."""
    batch: int = 8
    """Pictures per step."""
    learning_rate: float = 1e-3
    """Peak learning rate: linear warm-up, level, linear decay to a twentieth."""
    warmup: int = 50
    """Warm-up steps."""
    decay_share: float = 0.5
    """Share of the steps over which the learning rate decays."""
    ema: float = 0.99
    """Decay of the running average of the weights, which is what ships."""
    relative: float = 0.5
    """Weight of the part of the error that no scale explains."""
    edges: float = 0.5
    """Weight of the error of log-depth differences, at four scales."""
    seed: int = 0
    """Seed of everything that is drawn."""


def depth_loss(
    log_depth: Tensor, validity: Tensor, batch: DepthBatch, options: DepthTraining
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of predictions (B, 1, H, W), and its terms.

    Absolute error of log-depth; its scale-invariant part (Eigen et al. 2014, equation 4); differences of the error
    at several scales, which put edges where they belong (MegaDepth, section 4.2); whether there is depth at all.
    """
    hit = batch.known & (batch.depth > 0)
    error = torch.where(hit, log_depth - batch.depth.clamp(min=1e-3).log(), 0.0)
    count = hit.flatten(1).sum(dim=1).clamp(min=1)
    mean = error.flatten(1).sum(dim=1) / count
    absolute = error.abs().flatten(1).sum(dim=1) / count
    spread = (error.square().flatten(1).sum(dim=1) / count - mean.square()).clamp(min=1e-6).sqrt()
    edges = _edge_error(error, hit)
    known = batch.known.float()
    missing = F.binary_cross_entropy_with_logits(validity, hit.float(), weight=known, reduction="sum")
    terms = {
        "absolute": absolute.mean(),
        "spread": spread.mean(),
        "edges": edges,
        "validity": missing / known.sum(),
    }
    loss = (
        terms["absolute"]
        + options.relative * terms["spread"]
        + options.edges * edges
        + 0.1 * terms["validity"]
    )
    return loss, {name: value.item() for name, value in terms.items()}


def _edge_error(error: Tensor, hit: Tensor) -> Tensor:
    """Return the mean absolute difference of the error between neighbours, where both are known."""
    total = error.new_zeros(())
    for step in (1, 2, 4, 8):
        for axis in (-1, -2):
            first = [slice(None)] * 4
            second = list(first)
            first[axis], second[axis] = slice(step, None), slice(None, -step)
            both = hit[tuple(first)] & hit[tuple(second)]
            difference = (error[tuple(first)] - error[tuple(second)]).abs() * both
            total = total + difference.sum() / both.sum().clamp(min=1)
    return total / 8


class Training(AveragedTraining):
    """Train the estimator on pictures of procedural worlds."""

    report_every = 25
    checkpoint_every = 50

    def __init__(
        self,
        config: DepthConfig,
        options: DepthTraining,
        images: DepthImages,
        *,
        start: dict[str, Tensor] | None = None,
    ) -> None:
        """Make the network, from the weights `start` or from nothing."""
        torch.manual_seed(options.seed)
        network = DepthNetwork(config)
        if start is not None:
            network.load_state_dict(start)
        super().__init__(network, options, network.parameters())
        self.options, self.images = options, images

    def loss(self) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of the current step's pictures, and its terms."""
        batch = self.images.batch(self.options.seed, self.step, count=self.options.batch)
        log_depth, validity = self.network(batch.rgb, batch.rays)
        return depth_loss(log_depth, validity, batch, self.options)


def main() -> None:
    """Train the mini estimator, or go on with it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--start", type=Path, help="card of the estimator to go on from")
    for name, value in asdict(DepthTraining()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    args = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run, scenes, start_card = args.pop("out"), args.pop("scenes"), args.pop("start")
    config, options, start = DepthConfig(), DepthTraining(**args), None
    source: dict[str, object] = {}
    if start_card is not None:
        network = load_card_network(start_card).network
        config, start = network.config, network.state_dict()
        source = started_from(load_card(start_card))
    images = DepthImages(scenes, config)
    run.mkdir(parents=True, exist_ok=True)
    facts = {
        "configuration": config.to_dict(),
        "options": asdict(options),
        "scenes": len(images.scenes),
        "start": source,
    }
    (run / "run.json").write_text(json.dumps(facts | environment(), indent=1))
    training = Training(config, options, images, start=start)
    training.resume(run)
    training.run_all(run)


if __name__ == "__main__":
    main()
