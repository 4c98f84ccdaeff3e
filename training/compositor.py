"""Train the mini GEN3C's compositor: `python -m training.compositor --clips DIR --out RUN`.

It learns to merge what the denoiser samples with what the 3D cache shows; the denoiser is frozen. The run folder
explains itself, as that of `training.teacher`. Running the command again goes on where it stopped; what a step sees
depends on the seed, the step and the clips alone, so the resumed run equals the uninterrupted one.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from generator.cache.fill import fill_colours
from generator.sizes import MINI
from generator.teachers.gen3c.compositor import Compositor, CompositorConfig, Layers, load_compositor
from generator.weights.checkpoint import load_card
from lyra_sim.errors import LyraSimError
from training.averaged import AveragedTraining
from training.card import started_from
from training.distill import environment


@dataclass(frozen=True)
class CompositorTraining:
    """Say how the compositor is trained."""

    steps: int = 12000
    """Optimiser steps."""
    batch: int = 2
    """Frames per step, each of another clip."""
    learning_rate: float = 5e-4
    """Peak learning rate: linear warm-up, level, linear decay to a twentieth over the last steps."""
    warmup: int = 100
    """Warm-up steps."""
    decay_share: float = 0.4
    """Share of the steps over which the learning rate decays."""
    ema: float = 0.998
    """Decay of the running average of the weights, which is what ships."""
    floor: float = 0.004
    """Mean squared error that is added to that of the filled frame before errors are taken relative to it."""
    even_share: float = 0.1
    """Open share of a frame at which it counts 1; it counts in proportion to what is open, up to 3."""
    bfloat16: bool = False
    """Whether to compute in bfloat16, for processors that are fast at it."""
    seed: int = 0
    """Seed of everything that is drawn."""


@dataclass(frozen=True)
class Example:
    """Hold frames to merge, and what they should become."""

    layers: Layers
    truth: Tensor
    """(F, 3, H, W), in [0, 1]."""


class MergedClips:
    """Draw examples from a folder that `training.prepare_compositor` wrote."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("[0-9]*.npz"))
        if not self.files:
            raise LyraSimError(f"{folder}: holds no prepared clips; run training.prepare_compositor")

    def draw(self, options: CompositorTraining, step: int) -> Example:
        """Return the frames of a step, some mirrored, some with permuted colour channels."""
        rng = np.random.default_rng([options.seed, step])
        parts = [self._frame(rng) for _ in range(options.batch)]
        layers = Layers(
            **{f.name: torch.cat([getattr(p.layers, f.name) for p in parts]) for f in fields(Layers)}
        )
        return Example(layers, torch.cat([p.truth for p in parts]))

    def _frame(self, rng: np.random.Generator) -> Example:
        with np.load(self.files[rng.integers(len(self.files))], allow_pickle=False) as arrays:
            frame = int(rng.integers(len(arrays["truth"])))
            mirrored, colours = rng.random() < 0.5, rng.random() < 0.5
            order = rng.permutation(3) if colours else np.arange(3)

            def image(values: np.ndarray) -> Tensor:
                return plane(values[..., order] / np.float32(255)).movedim(-1, 1)

            def plane(values: np.ndarray) -> Tensor:
                flipped = values[:, ::-1] if mirrored else values
                return torch.from_numpy(np.ascontiguousarray(flipped, np.float32))[None]

            shown, seen, depth = (
                image(arrays["shown"][frame]),
                plane(arrays["seen"][frame]),
                plane(arrays["log_depth"][frame]),
            )
            layers = Layers(
                filled=fill_colours(shown, depth.exp(), seen > 0),
                sampled=image(arrays["sampled"][frame]),
                guided=plane(arrays["guided"][frame])[:, None],
                seen=seen[:, None],
                log_depth=depth[:, None],
                picture=image(arrays["picture"]),
            )
            return Example(layers, image(arrays["truth"][frame]))


class Training(AveragedTraining):
    """Train the compositor on prepared clips."""

    report_every = 50
    checkpoint_every = 200

    def __init__(
        self,
        config: CompositorConfig,
        options: CompositorTraining,
        clips: MergedClips,
        *,
        start: dict[str, Tensor] | None = None,
    ) -> None:
        """Make the network, from the weights `start` or so that it corrects nothing."""
        torch.manual_seed(options.seed)
        network = Compositor(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start is not None:
            network.load_state_dict(start)
        super().__init__(network, options, network.parameters())
        self.options, self.clips = options, clips

    def loss(self) -> tuple[Tensor, dict[str, float]]:
        """Return the error of the merged frames over that of the filled ones, where the denoiser was not shown."""
        example = self.clips.draw(self.options, self.step)
        layers = example.layers
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.bfloat16):
            correction = self.network(layers)
        open_share = 1 - layers.guided
        count = open_share.sum(dim=(1, 2, 3))

        def error(frames: Tensor) -> Tensor:
            squared = (frames - example.truth).square().mean(dim=1, keepdim=True)
            return (squared * open_share).sum(dim=(1, 2, 3)) / count.clamp(min=1)

        before = error(layers.filled)
        relative = error(layers.filled + correction.float()) / (before + self.options.floor)
        size = layers.filled.shape[-1] * layers.filled.shape[-2]
        weight = (count / (self.options.even_share * size)).clamp(max=3)
        unchanged = weight * before / (before + self.options.floor)
        return (weight * relative).mean(), {"unchanged": unchanged.mean().item()}


def main() -> None:
    """Train the compositor, or go on with it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, required=True, help="folder of training.prepare_compositor")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument(
        "--denoiser", type=Path, default=MINI.denoiser, help="card of the denoiser that sampled"
    )
    parser.add_argument("--start", type=Path, help="card of the compositor to go on from")
    for name, value in asdict(CompositorTraining()).items():
        if isinstance(value, bool):
            parser.add_argument(f"--{name}", action="store_true")
        else:
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    args = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run, clips, start_card = args.pop("out"), MergedClips(args.pop("clips")), args.pop("start")
    denoiser = load_card(args.pop("denoiser"))["sha256"]
    config, options, start = CompositorConfig(), CompositorTraining(**args), None
    source: dict[str, object] = {}
    if start_card is not None:
        network, card = load_compositor(start_card)
        config, start = network.config, network.state_dict()
        source = started_from(card)
    run.mkdir(parents=True, exist_ok=True)
    facts = {
        "configuration": config.to_dict(),
        "options": asdict(options),
        "clips": len(clips.files),
        "denoiser_sha256": denoiser,
        "start": source,
    }
    (run / "run.json").write_text(json.dumps(facts | environment(), indent=1))
    training = Training(config, options, clips, start=start)
    training.resume(run)
    training.run_all(run)


if __name__ == "__main__":
    main()
