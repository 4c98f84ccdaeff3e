"""Train the mini tokenizer: `python -m training.tokenizer --out RUN --clips DIR [DIR ...]`.

The run folder explains itself: `run.json` (options), `curve.jsonl` (loss, time), `state.safetensors` with
`state.json` (everything needed to go on). Running the command again goes on where it stopped; what a step sees
depends on the seed and the step alone, so the resumed run equals the uninterrupted one.
`python -m training.tokenizer_freeze` turns a run into the shipped checkpoint.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from generator.tokenizer import CosmosTokenizer
from lyra_sim.atomic import atomic_path
from training.clips import ClipSet
from training.tokenizer_loss import psnr, reconstruction_loss
from training.tokenizer_start import start_from_components

log = logging.getLogger(__name__)

LATENT_CHANNELS = 40
"""Channels of the mini tokenizer's latents. The published 16 hold too little where the network is this small: of the
same blocks, 40 principal components keep 1.8 dB more per pixel and 4 dB more per 4x4 cell."""

MINI: dict[str, Any] = {
    "latent_channels": LATENT_CHANNELS,
    "encoder_block_out_channels": [96, 96],
    "decode_block_out_channels": [96, 96],
    "num_layers": 1,
    "patch_size": 8,
    "latents_mean": [0.0] * LATENT_CHANNELS,
    "latents_std": [1.0] * LATENT_CHANNELS,
}
"""Configuration of the mini tokenizer: patches as large as a latent cell, so that nothing is resampled; the rest
(8x8x8 compression, Haar transform) is as published."""

SLOW_SHARE = 0.03
"""Learning rate of the projections that the linear start set, over that of the branches that it closed."""
START_STEP = 1 << 41
"""Step whose crops the linear start is fitted to: beyond any training step."""


@dataclass(frozen=True)
class TokenizerTraining:
    """Choose how a tokenizer is trained."""

    steps: int = 2000
    """Optimiser steps."""
    learning_rate: float = 3e-4
    """Peak learning rate; linear warm-up, then cosine to a hundredth."""
    warmup: int = 200
    """Warm-up steps."""
    early: tuple[int, int, int, int] = (2, 17, 64, 96)
    """Clips, frames, height and width [px] of a step at first: small, for many different ones."""
    late: tuple[int, int, int, int] = (1, 17, 112, 160)
    """The same in the end: close to what the network meets in use."""
    late_share: float = 0.2
    """Share of the steps with the late crops."""
    ema: float = 0.998
    """Decay of the averaged weights."""
    start_clips: int = 24
    """Clips that the linear start is fitted to; 0 starts from noise."""
    clip_norm: float = 1.0
    """Bound on the norm of the gradient."""
    seed: int = 0
    """Seed of the initial weights and of every draw."""

    def crops(self, step: int) -> tuple[int, int, int, int]:
        """Return clips, frames, height and width of a step."""
        return self.late if step >= (1 - self.late_share) * self.steps else self.early

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        progress = min(1.0, step / max(1, self.steps))
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup)) * cosine


class TokenizerTrainer:
    """Train a tokenizer step by step; state goes to disk and comes back bit for bit."""

    def __init__(self, configuration: dict[str, Any], options: TokenizerTraining, clips: ClipSet) -> None:
        torch.manual_seed(options.seed)
        self.configuration, self.options, self.clips = configuration, options, clips
        self.tokenizer = CosmosTokenizer(configuration)
        self.average = {name: p.detach().clone() for name, p in self._parameters().items()}
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.99), weight_decay=0.0)
        self.step = 0
        self.seconds = 0.0

    def start(self) -> None:
        """Set the linear start; see `training.tokenizer_start`."""
        count, frames = self.options.start_clips, self.options.late[1]
        if count:
            draws = [
                self.clips.batch(START_STEP + n, size=1, frames=frames, crop=(176, 320)) for n in range(count)
            ]
            start_from_components(self.tokenizer, torch.cat(draws))
        for name, parameter in self._parameters().items():
            self.average[name].copy_(parameter.detach())

    def train_step(self) -> dict[str, float]:
        """Take one optimiser step and return what to log."""
        began = time.monotonic()
        options = self.options
        size, frames, *crop = options.crops(self.step)
        video = self.clips.batch(self.step, size=size, frames=frames, crop=(crop[0], crop[1]))
        latents = self.tokenizer.encode(video)
        decoded = self.tokenizer.decode(latents)
        loss = reconstruction_loss(decoded, video, latents)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.tokenizer.parameters(), options.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = options.rate(self.step) * group["share"]
        self.optimizer.step()
        self.step += 1
        self._update_average()
        self.seconds += time.monotonic() - began
        return {
            "loss": loss.item(),
            "psnr": psnr(decoded.detach(), video),
            "latent_std": latents.detach().std().item(),
        }

    def save(self, folder: Path) -> None:
        """Write the state, each file whole or not at all."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in self._parameters().items():
            tensors[f"weights.{name}"] = parameter.detach()
            tensors[f"average.{name}"] = self.average[name]
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{key}.{name}"] = value
        metadata = {
            "step": str(self.step),
            "seconds": str(self.seconds),
            "configuration": json.dumps(self.configuration),
        }
        with atomic_path(folder / "state.safetensors") as path:
            save_file(tensors, path, metadata)

    def load(self, folder: Path) -> None:
        """Go on from a saved state."""
        with safe_open(folder / "state.safetensors", "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
            metadata = file.metadata()
        self.step, self.seconds = int(metadata["step"]), float(metadata["seconds"])
        with torch.no_grad():
            for name, parameter in self._parameters().items():
                parameter.copy_(tensors[f"weights.{name}"])
                self.average[name].copy_(tensors[f"average.{name}"])
                keys = ("step", "exp_avg", "exp_avg_sq")
                self.optimizer.state[parameter] = {k: tensors[f"optimizer.{k}.{name}"] for k in keys}

    def _groups(self) -> list[dict[str, Any]]:
        """Split the parameters: the linear start holds in the projections, so they move slowly."""
        slow: list[torch.nn.Parameter] = []
        fast: list[torch.nn.Parameter] = []
        for name, parameter in self._parameters().items():
            start = any(part in name for part in ("conv_in", "conv_out", "norm_out", "quant_conv"))
            (slow if start else fast).append(parameter)
        return [{"params": slow, "share": SLOW_SHARE}, {"params": fast, "share": 1.0}]

    def _parameters(self) -> dict[str, torch.nn.Parameter]:
        return dict(self.tokenizer.network.named_parameters())

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        parameters = self._parameters()
        torch._foreach_lerp_(list(self.average.values()), [parameters[n] for n in self.average], 1 - decay)


def train(trainer: TokenizerTrainer, folder: Path, *, every: int = 200, until: int | None = None) -> None:
    """Train to the end (or to step `until`), with a line on the console every `every` / 4 steps.

    Args:
        trainer: What to train; goes on from `folder` where there is a state.
        folder: The run folder.
        every: Steps between checkpoints.
        until: Step at which to stop early.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "state.safetensors").exists():
        trainer.load(folder)
        log.info("resumed at step %d", trainer.step)
    else:
        trainer.start()
    end = trainer.options.steps if until is None else min(until, trainer.options.steps)
    sums: dict[str, float] = {}
    began, first = time.monotonic(), trainer.step
    while trainer.step < end:
        for key, value in trainer.train_step().items():
            sums[key] = sums.get(key, 0.0) + value
        if trainer.step % max(1, every // 4) == 0:
            means = {key: value / max(1, every // 4) for key, value in sums.items()}
            sums = {}
            each = (time.monotonic() - began) / (trainer.step - first)
            left = each * (trainer.options.steps - trainer.step) / 60
            text = " ".join(f"{key} {value:.4f}" for key, value in means.items())
            log.info(
                "step %d/%d %s, %.2f s each, %.0f min left",
                trainer.step,
                trainer.options.steps,
                text,
                each,
                left,
            )
            with (folder / "curve.jsonl").open("a", encoding="utf-8") as curve:
                curve.write(json.dumps({"step": trainer.step, "seconds": trainer.seconds, **means}) + "\n")
        if trainer.step % every == 0 or trainer.step == end:
            trainer.save(folder)


def main() -> None:
    """Train from the command line."""
    defaults = TokenizerTraining()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="run folder; goes on where it stopped")
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="folders of clips or scenes")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--until", type=int, help="stop early at this step")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = TokenizerTraining(steps=args.steps, learning_rate=args.learning_rate, seed=args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    clips = ClipSet(args.clips, seed=args.seed)
    run = {"configuration": MINI, "options": asdict(options), "clips": [len(files) for files in clips.files]}
    (args.out / "run.json").write_text(json.dumps(run, indent=1), encoding="utf-8")
    train(TokenizerTrainer(MINI, options, clips), args.out, until=args.until)


if __name__ == "__main__":
    main()
