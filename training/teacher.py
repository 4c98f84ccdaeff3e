"""Train the mini GEN3C: `python -m training.teacher --clips DIR --out RUN --steps N`.

The denoiser learns, in the preconditioning and with the inputs of the published one, to turn noise into the latents
of a clip, given its first frame and what the 3D cache shows. The run folder explains itself: `run.json` (options,
configuration), `log.jsonl` (a line per report), `checkpoint.pt` (everything needed to go on). Running the command
again goes on where it stopped, also with more steps; what a step sees depends on the seed, the step and the clips
alone, so the resumed run equals the uninterrupted one.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import CosmosTransformer3DModel
from torch import Tensor

from generator.teachers.gen3c.conditioning import Conditioning
from generator.teachers.gen3c.sampler import hold_condition
from generator.teachers.gen3c.transformer import provide_mask_resize
from generator.tokenizer import CosmosTokenizer, load_tokenizer
from generator.weights.checkpoint import load_checkpoint
from lyra_sim.errors import LyraSimError
from training.averaged import AveragedTraining
from training.card import started_from
from training.distill import environment
from training.teacher_start import start_from_warp
from training.tokenizer import LATENT_CHANNELS

MINI: dict[str, Any] = {
    "in_channels": 1 + 3 * LATENT_CHANNELS,
    "out_channels": LATENT_CHANNELS,
    "num_attention_heads": 6,
    "attention_head_dim": 32,
    "num_layers": 8,
    "mlp_ratio": 4.0,
    "text_embed_dim": 16,
    "adaln_lora_dim": 32,
    "max_size": [8, 64, 64],
    "patch_size": [1, 2, 2],
    "rope_scale": [2.0, 1.0, 1.0],
    "concat_padding_mask": True,
    "extra_pos_embed_type": "learnable",
}
"""The denoiser of the mini size: one buffer of the 3D cache instead of two."""

SIGMA_DATA = 0.5
FPS = 24


@dataclass(frozen=True)
class TeacherTraining:
    """Say how the denoiser is trained."""

    steps: int = 6000
    """Optimiser steps."""
    batch: int = 1
    """Clips per step."""
    learning_rate: float = 8e-4
    """Peak learning rate: linear warm-up, level, linear decay to a twentieth over the last steps."""
    warmup: int = 100
    """Warm-up steps."""
    decay_share: float = 0.35
    """Share of the steps over which the learning rate decays."""
    ema: float = 0.998
    """Decay of the running average of the weights, which is what ships."""
    drop: float = 0.1
    """Share of the clips that are shown without the cache, for the unconditional branch of guidance."""
    high_noise: float = 0.7
    """Share of the noise levels from [3, 80], where nothing of the clip is left to see; the others are
    log-normal around 0.6."""
    varied_share: float = 0.5
    """Share of the clips from the varied version, where there is one."""
    seen_weight: float = 0.03
    """Weight of latent cells that the warp covers, over that of cells that it leaves open: the covered ones are
    composited from the warp."""
    weight_limit: float = 20.0
    """Bound on the weight of a denoised error; the published weighting grows without bound at low noise, where
    it would be spent on detail finer than what the decoder shows."""
    seed: int = 0
    """Seed of everything that is drawn."""


@dataclass(frozen=True)
class Example:
    """Hold a batch of clips; latents are normalised and scaled by sigma_data."""

    target: Tensor
    """Latents of the clip, (B, C, t, h, w)."""
    conditioning: Conditioning
    open_share: Tensor
    """Share of each cell that the warp leaves open, (B, 1, t, h, w)."""


class ClipLatents:
    """Draw examples from a folder that `training.prepare_teacher` wrote."""

    def __init__(self, folder: Path, tokenizer: CosmosTokenizer) -> None:
        self.files = {
            version: sorted(folder.glob(f"[0-9]*_{version}.npy")) for version in ("exact", "varied")
        }
        if not self.files["exact"]:
            raise LyraSimError(f"{folder}: holds no prepared clips; run training.prepare_teacher")
        self._tokenizer = tokenizer

    def draw(self, options: TeacherTraining, step: int) -> Example:
        """Return the clips of a step."""
        rng = np.random.default_rng([options.seed, step])
        arrays, shown = [], []
        for _ in range(options.batch):
            wanted = "varied" if rng.random() < options.varied_share else "exact"
            files = self.files[wanted] or self.files["exact"]
            arrays.append(np.load(files[rng.integers(len(files))]))
            shown.append(rng.random() >= options.drop)
        return self.example(torch.from_numpy(np.stack(arrays)).float(), shown)

    def example(self, stored: Tensor, shown: list[bool]) -> Example:
        """Split stored arrays (B, 3 C + 1, t, h, w) and scale them; `shown` says whose cache is shown."""
        channels = self._tokenizer.latent_channels
        target, *buffers = (
            self._tokenizer.normalize(part) * SIGMA_DATA
            for part in stored[:, : 3 * channels].split(channels, 1)
        )
        keep = torch.tensor(shown, dtype=stored.dtype)[:, None, None, None, None]
        indicator = target.new_zeros(1, 1, target.shape[2], 1, 1)
        indicator[:, :, 0] = 1
        return Example(
            target, Conditioning(target, indicator, torch.cat(buffers, dim=1) * keep), stored[:, -1:] * keep
        )


def draw_noise_level(options: TeacherTraining, generator: torch.Generator, count: int) -> Tensor:
    """Return noise levels, (count, 1, 1, 1, 1)."""
    high = torch.empty(count).uniform_(math.log(3), math.log(80), generator=generator)
    low = math.log(0.6) + torch.randn(count, generator=generator)
    choose = torch.rand(count, generator=generator) < options.high_noise
    return torch.where(choose, high, low).exp().clamp(0.02, 80)[:, None, None, None, None]


def denoised_error(
    network: CosmosTransformer3DModel, example: Example, sigma: Tensor, generator: torch.Generator
) -> Tensor:
    """Return the error of the denoised latents, (B, C, t, h, w), at noise levels (B, 1, 1, 1, 1)."""
    noise = torch.randn(example.target.shape, generator=generator)
    held_noise = torch.randn(example.target.shape, generator=generator)
    noisy = example.target + sigma * noise
    held = hold_condition(noisy, example.conditioning, held_noise, sigma, SIGMA_DATA)
    total = sigma**2 + SIGMA_DATA**2
    height, width = example.target.shape[-2:]
    (output,) = network(
        example.conditioning.network_input(held / total.sqrt()),
        0.25 * sigma.flatten().log(),
        # The zero embedding of no prompt; all its tokens are alike, so one stands for them.
        held.new_zeros(len(held), 1, network.config.text_embed_dim),
        fps=FPS,
        padding_mask=held.new_zeros(1, 1, height, width),
        return_dict=False,
    )
    denoised = SIGMA_DATA**2 / total * held + sigma * SIGMA_DATA / total.sqrt() * output
    return denoised - example.target


def channel_weights(tokenizer: CosmosTokenizer, latents: Tensor) -> Tensor:
    """Return how much an error in each latent channel shows in the decoded pixels, mean 1, (C, 1, 1, 1).

    Measured on raw latents (1, C, t, h, w) by disturbing one channel at a time.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(latents[:, :1].shape, generator=generator)
    with torch.inference_mode():
        plain = tokenizer.decode(latents)
        effects = []
        for channel in range(latents.shape[1]):
            disturbed = latents.clone()
            disturbed[:, channel : channel + 1] += 0.5 * noise
            effects.append((tokenizer.decode(disturbed) - plain)[:, :, 1:].square().mean())
    effect = torch.stack(effects)
    return (effect / effect.mean()).clamp(0.1, 10)[:, None, None, None].clone()


class Training(AveragedTraining):
    """Train the denoiser on prepared clips."""

    report_every = 50
    checkpoint_every = 200

    def __init__(
        self,
        configuration: dict[str, Any],
        options: TeacherTraining,
        clips: ClipLatents,
        weights: Tensor,
        *,
        start: dict[str, Tensor] | None = None,
    ) -> None:
        """Make the network, from the weights `start` or so that its first answer is the warp."""
        provide_mask_resize()
        torch.manual_seed(options.seed)
        network = CosmosTransformer3DModel(**configuration)
        if start is None:
            start_from_warp(network)
        else:
            network.load_state_dict({name: value.float() for name, value in start.items()})
        # Without a prompt there is nothing to attend to.
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(".attn2." not in name)
        super().__init__(network, options, [p for p in network.parameters() if p.requires_grad])
        self.options, self.clips, self.weights = options, clips, weights

    def loss(self) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of the current step's clips, and its errors where the noise is high."""
        generator = torch.Generator().manual_seed(self.options.seed * 1_000_003 + self.step)
        example = self.clips.draw(self.options, self.step)
        sigma = draw_noise_level(self.options, generator, len(example.target))
        error = denoised_error(self.network, example, sigma, generator)[:, :, 1:]
        emphasis = (1 / sigma**2 + 1 / SIGMA_DATA**2).clamp(max=self.options.weight_limit)
        share, squared = example.open_share[:, :, 1:], error.square()
        loss = (emphasis * self.weights * (self.options.seen_weight + share) * squared).mean()
        terms = {}
        if bool((sigma > 3).all()):
            plain = squared.detach()
            terms["error"] = plain.mean().item()
            if bool(share.sum() > 1):
                terms["open_error"] = ((plain * share).mean() / share.mean()).item()
        return loss, terms


def main() -> None:
    """Train the mini denoiser, or go on with it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, required=True, help="folder of training.prepare_teacher")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument(
        "--start", type=Path, help="card of the denoiser to go on from, instead of from the warp"
    )
    for name, value in asdict(TeacherTraining()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    args = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run, folder, start_card = args.pop("out"), args.pop("clips"), args.pop("start")
    options = TeacherTraining(**args)
    tokenizer, _ = load_tokenizer()
    configuration, start, source = MINI, None, {}
    if start_card is not None:
        start, facts = load_checkpoint(start_card, "gen3c-transformer")
        configuration = facts["configuration"]
        source = started_from(facts)
    clips = ClipLatents(folder, tokenizer)
    run.mkdir(parents=True, exist_ok=True)
    described = {
        "configuration": configuration,
        "options": asdict(options),
        "clips": {version: len(files) for version, files in clips.files.items()},
        "start": source,
    }
    (run / "run.json").write_text(json.dumps(described | environment(), indent=1))
    sample = torch.from_numpy(np.load(clips.files["exact"][0])[None, : tokenizer.latent_channels]).float()
    training = Training(configuration, options, clips, channel_weights(tokenizer, sample), start=start)
    training.resume(run)
    training.run_all(run)


if __name__ == "__main__":
    main()
