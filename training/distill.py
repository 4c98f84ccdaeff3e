"""Train a decoder stage by stage: `python -m training.distill --scenes DIR --out RUN`.

The run folder explains itself: `run.json` (configuration, stages, environment), `log.jsonl` (a line per report),
`checkpoint.pt` (everything needed to go on). Running the command again goes on where it stopped; what a step sees
depends on the seed and the step alone, so on one machine the resumed run equals the uninterrupted one.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import platform
import subprocess
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path

import torch

from generator.decoder import DecoderConfig, LyraDecoder, build_inputs
from lyra_sim.errors import LyraSimError
from training.dataset import Batch, SceneDataset
from training.objective import objective
from training.stage import Stage, load_stage

MINI = DecoderConfig(
    embed_dim=192,
    depth=6,
    num_heads=3,
    attention_every=3,
    state_size=64,
    patch_size_out_factor=(1, 4, 4),
    plucker_embedding_vae=False,
    time_embedding=False,
    cache_branch=True,
)
"""The decoder of the mini size."""

MINI_STAGES = ("mini_1_direct", "mini_2_render", "mini_3_views")
REPORT_EVERY = 25
CHECKPOINT_EVERY = 100

log = logging.getLogger(__name__)


def learning_rate(stage: Stage, step: int) -> float:
    """Return the learning rate of a step: linear warm-up, then cosine to a twentieth of the peak."""
    warm = min(1.0, (step + 1) / stage.warmup)
    cosine = 0.525 + 0.475 * math.cos(math.pi * min(step / stage.steps, 1.0))
    return stage.learning_rate * warm * cosine


def run_decoder(decoder: LyraDecoder, batch: Batch) -> torch.Tensor:
    """Return the unpruned Gaussians (1, N, 14) of a batch."""
    cell = decoder.config.cell
    height, width = batch.cache_depth.shape[-2] * cell, batch.cache_depth.shape[-1] * cell
    branch = decoder.config.cache_branch
    inputs = build_inputs(
        decoder.config,
        batch.latents,
        batch.c2w,
        batch.intrinsics,
        (height, width),
        views=batch.views,
        cache_depth=batch.cache_depth if branch else None,
        cache_mask=batch.cache_mask if branch else None,
    )
    return decoder(inputs)


class Training:
    """Hold the network, its optimiser and the place in the stages."""

    def __init__(
        self, config: DecoderConfig, stages: list[Stage], scenes: SceneDataset, run: Path, *, seed: int
    ) -> None:
        torch.manual_seed(seed)
        self.decoder = LyraDecoder(config)
        start_from_cache(self.decoder)
        self.stages, self.scenes, self.run, self.seed = stages, scenes, run, seed
        self.optimizer = torch.optim.AdamW(
            self.decoder.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-2
        )
        self.stage_index = self.step = self.total_steps = 0
        self.seconds = 0.0

    def resume(self) -> None:
        """Go on from the checkpoint of the run folder, if there is one."""
        path = self.run / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.decoder.load_state_dict(state["decoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.stage_index, self.step, self.total_steps = state["stage"], state["step"], state["total_steps"]
        self.seconds = state["seconds"]
        log.info("resumed at stage %d, step %d", self.stage_index, self.step)

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "decoder": self.decoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "stage": self.stage_index,
            "step": self.step,
            "total_steps": self.total_steps,
            "seconds": self.seconds,
        }
        temporary = self.run / ".checkpoint.part"
        torch.save(state, temporary)
        os.replace(temporary, self.run / "checkpoint.pt")

    def run_all(self) -> None:
        """Run the stages that are left."""
        while self.stage_index < len(self.stages):
            self.run_stage(self.stages[self.stage_index])
            self.stage_index, self.step = self.stage_index + 1, 0
            self.save()

    def run_stage(self, stage: Stage) -> None:
        """Run one stage from the current step to its end."""
        recent: deque[dict[str, float]] = deque(maxlen=REPORT_EVERY)
        began, first = time.monotonic(), self.step
        while self.step < stage.steps:
            started = time.monotonic()
            recent.append(self.train_step(stage))
            self.step += 1
            self.total_steps += 1
            self.seconds += time.monotonic() - started
            if self.step % REPORT_EVERY == 0:
                each = (time.monotonic() - began) / (self.step - first)
                self.report(stage, recent, each)
            if self.step % CHECKPOINT_EVERY == 0:
                self.scenes.refresh()
                self.save()

    def train_step(self, stage: Stage) -> dict[str, float]:
        """Do one optimiser step and return its loss terms."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(stage, self.step)
        seed = self.seed + self.stage_index
        batch = self.scenes.batch(
            seed, self.step, views=stage.views, targets=max(stage.targets, 1), cache_noise=stage.cache_noise
        )
        gaussians = run_decoder(self.decoder, batch)
        loss, terms = objective(gaussians, batch, stage, cell=self.decoder.config.cell, seed=self.step)
        if not torch.isfinite(loss):
            raise LyraSimError(
                f"loss is {loss.item()} at stage {stage.name}, step {self.step}; lower the learning rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.decoder.parameters(), 1.0)
        self.optimizer.step()
        return terms | {"loss": loss.item()}

    def report(self, stage: Stage, recent: deque[dict[str, float]], each: float) -> None:
        """Log the means of the last terms, and the time left of the stage."""
        means = {name: sum(r[name] for r in recent) / len(recent) for name in recent[-1]}
        record = {"stage": stage.name, "step": self.step, "s_per_step": round(each, 3)} | means
        with (self.run / "log.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        text = " ".join(f"{name} {value:.4f}" for name, value in means.items())
        left = each * (stage.steps - self.step) / 60
        log.info(
            "%s %d/%d %s | %.2f s/step, %.0f min left", stage.name, self.step, stage.steps, text, each, left
        )


def start_from_cache(decoder: LyraDecoder) -> None:
    """Open the cache's gates and quieten the head, so that training starts from the cache's own geometry.

    A zero-initialised gate would first have to find what is known already; published weights are not touched by
    this, since they have no cache branch.
    """
    with torch.no_grad():
        decoder.deconv.weight.mul_(0.2)
        if decoder.config.cache_branch:
            decoder.cache_gate.fill_(1.0)


def environment() -> dict[str, object]:
    """Describe where a run happened."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "git_commit": commit,
    }


def main() -> None:
    """Train the mini decoder, or go on with it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--stages", nargs="+", default=list(MINI_STAGES))
    parser.add_argument("--config", type=Path, help="decoder configuration, JSON; default the mini one")
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = DecoderConfig.from_json(args.config.read_text()) if args.config else MINI
    stages = [load_stage(name) for name in args.stages]
    args.out.mkdir(parents=True, exist_ok=True)
    facts = {
        "config": config.to_dict(),
        "stages": [asdict(s) for s in stages],
        "seed": args.seed,
    } | environment()
    (args.out / "run.json").write_text(json.dumps(facts, indent=1))
    training = Training(config, stages, SceneDataset(args.scenes), args.out, seed=args.seed)
    training.resume()
    training.run_all()


if __name__ == "__main__":
    main()
