"""Train the refiner of the mini GEN3C: `python -m training.refiner --teacher CARD --scenes DIR --work DIR --out RUN`.

First the frozen denoiser samples training clips (kept in the work folder, one file per clip; safe to stop and start
again), then the refiner learns what is missing in the holes. Resuming is as in `training.teacher`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from generator.cache import CacheViews
from generator.sizes import MINI
from generator.teachers.gen3c.composite import layers
from generator.teachers.gen3c.refiner import Refiner
from generator.teachers.gen3c.teacher import Gen3CTeacher
from generator.trajectories import SDG_TRAJECTORIES
from lyra_sim.errors import LyraSimError
from training.distill import environment
from training.prepare_teacher import read_clip, warp_clip

REPORT_EVERY = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RefinerTraining:
    """Say how the refiner is trained."""

    steps: int = 500
    """Optimiser steps."""
    batch: int = 4
    """Frames per step."""
    learning_rate: float = 2e-3
    """Peak learning rate; linear decay to nothing from a third of the steps."""
    ema: float = 0.98
    """Decay of the running average of the weights, which is what ships."""
    seed: int = 0
    """Seed of everything that is drawn."""


def sample_clips(
    teacher: Gen3CTeacher, scenes: Path, work: Path, *, count: int, frames: int, seed: int
) -> None:
    """Sample clips, one of a scene at a time, and keep some frames of each with its warp and its truth."""
    folders = sorted(p.parent for p in scenes.glob("[0-9]*/scene.json"))
    order = np.random.default_rng(seed).permutation(len(folders))[:count]
    work.mkdir(parents=True, exist_ok=True)
    for done, index in enumerate(order):
        path = work / f"{folders[index].name}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([seed, index])
        view = int(rng.integers(len(np.load(folders[index] / "c2w.npy", mmap_mode="r"))))
        clip = read_clip(folders[index], view)
        pixels, mask = warp_clip(clip)
        views = CacheViews(pixels[:, None], torch.zeros_like(mask), mask)
        sampled = teacher.decode(teacher.complete(clip.rgb[0], views, seed=int(index)))
        chosen = np.sort(rng.permutation(np.arange(1, len(sampled)))[:frames])
        temporary = path.with_name(f".{path.stem}.part.npz")
        np.savez(
            temporary,
            sampled=sampled[chosen],
            warp=((pixels[chosen] + 1) * 127.5).round().to(torch.uint8).numpy(),
            seen=mask[chosen].numpy() > 0.5,
            truth=clip.rgb[chosen],
        )
        os.replace(temporary, path)
        log.info("sampled %d of %d clips", done + 1, count)


class Training:
    """Hold the refiner, its running average, its optimiser and the step."""

    def __init__(self, options: RefinerTraining, work: Path, channels: tuple[int, int, int]) -> None:
        self.files = sorted(work.glob("[0-9]*.npz"))
        if not self.files:
            raise LyraSimError(f"{work}: holds no sampled clips")
        torch.manual_seed(options.seed)
        self.network, self.options = Refiner(channels), options
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-2
        )
        self.step, self.seconds = 0, 0.0

    def train_step(self) -> dict[str, float]:
        """Do one optimiser step; return the mean squared error in the holes, before and after the refiner."""
        options = self.options
        rng = np.random.default_rng([options.seed, self.step])
        left = (options.steps - self.step) / options.steps * 1.5
        for group in self.optimizer.param_groups:
            group["lr"] = options.learning_rate * min(1.0, left, (self.step + 1) / 20)
        parts, truth = self._batch(rng)
        fitted = self.network(*parts)
        holes = 1 - parts[3]
        count = (3 * holes.sum()).clamp(min=1)
        loss = ((fitted - truth).square() * holes).sum() / count
        before = ((parts[1] - truth).square() * holes).sum() / count
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 0.1)
        self.optimizer.step()
        decay = min(options.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)
        self.step += 1
        return {"loss": loss.item(), "before": before.item()}

    def _batch(self, rng: np.random.Generator) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """Draw frames, mirrored and with permuted colours at random."""
        parts, truths = [], []
        for _ in range(self.options.batch):
            stored = np.load(self.files[rng.integers(len(self.files))])
            frame = int(rng.integers(len(stored["truth"])))
            warp = torch.from_numpy(stored["warp"][frame]).float()[None, None] / 127.5 - 1
            seen = torch.from_numpy(stored["seen"][frame]).float()[None]
            made = layers(stored["sampled"][frame : frame + 1], CacheViews(warp, seen, seen))
            images = [made.sampled, made.matched, made.filled]
            images.append(torch.from_numpy(stored["truth"][frame]).permute(2, 0, 1)[None].float() / 255)
            order = torch.from_numpy(rng.permutation(3))
            axes = (-1,) if rng.random() < 0.5 else ()
            *images, truth = (image[:, order].flip(axes) for image in images)
            parts.append((*images, made.seen.float().flip(axes)))
            truths.append(truth)
        return tuple(torch.cat(group) for group in zip(*parts, strict=True)), torch.cat(truths)

    def resume(self, run: Path) -> None:
        """Go on from the checkpoint of the run folder, if there is one."""
        path = run / "checkpoint.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average, self.step, self.seconds = state["average"], state["step"], state["seconds"]

    def save(self, run: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, run / ".checkpoint.part")
        os.replace(run / ".checkpoint.part", run / "checkpoint.pt")

    def run_all(self, run: Path) -> None:
        """Train to the last step, with reports and checkpoints."""
        recent: list[dict[str, float]] = []
        while self.step < self.options.steps:
            began = time.monotonic()
            recent.append(self.train_step())
            self.seconds += time.monotonic() - began
            if self.step % REPORT_EVERY == 0 or self.step == self.options.steps:
                means = {name: float(np.mean([t[name] for t in recent])) for name in recent[0]}
                recent.clear()
                with (run / "log.jsonl").open("a") as file:
                    file.write(json.dumps({"step": self.step} | means) + "\n")
                each = self.seconds / self.step
                left = each * (self.options.steps - self.step) / 60
                log.info(
                    "%d/%d %s | %.2f s/step, %.0f min left", self.step, self.options.steps, means, each, left
                )
                self.save(run)


def main() -> None:
    """Sample clips, then train the refiner, or go on with either."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", type=Path, default=MINI.denoiser, help="card of the frozen denoiser")
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of the sampled clips")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--clips", type=int, default=100, help="clips to sample")
    parser.add_argument("--frames", type=int, default=6, help="frames kept of each")
    parser.add_argument("--channels", type=int, nargs=3, default=[32, 64, 96])
    parser.add_argument("--only-sample", action="store_true", help="stop before the training")
    for name, value in asdict(RefinerTraining()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = RefinerTraining(**{f.name: getattr(args, f.name) for f in dataclasses.fields(RefinerTraining)})
    if len(list(args.work.glob("[0-9]*.npz"))) < args.clips:
        size = dataclasses.replace(MINI, denoiser=args.teacher)
        teacher = Gen3CTeacher.for_size(size, trajectories=SDG_TRAJECTORIES)
        sample_clips(teacher, args.scenes, args.work, count=args.clips, frames=args.frames, seed=options.seed)
    if args.only_sample:
        return
    args.out.mkdir(parents=True, exist_ok=True)
    training = Training(options, args.work, tuple(args.channels))
    facts = {
        "configuration": {"channels": args.channels},
        "options": asdict(options),
        "clips": {"sampled": len(training.files), "frames": args.frames},
        "teacher": json.loads(args.teacher.read_text())["sha256"],
    }
    (args.out / "run.json").write_text(json.dumps(facts | environment(), indent=1))
    training.resume(args.out)
    training.run_all(args.out)


if __name__ == "__main__":
    main()
