"""Train a decoder stage by stage: `python -m training.distill --scenes DIR --out RUN`.

`accelerate launch -m training.distill ...` does the same on several processes or GPUs. The run folder explains itself:
`run.json` (configuration, stages, environment), `log.jsonl` (a line per report), `curve.png`, `samples/` (truth above
renders, at every checkpoint), `checkpoint.pt` (everything needed to go on), `end_<stage>.pt` (the end of every stage).
Running the command again goes on where it stopped; what a step sees depends on the seed, the step and the process
alone, so on one machine the resumed run equals the uninterrupted one.
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
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from torch import nn

from generator.decoder import DecoderConfig, DecoderInputs, LyraDecoder, build_inputs
from generator.decoder.latents import plucker_latents, time_latents
from generator.decoder.time_maps import normalised_times
from generator.tokenizer import CosmosTokenizer, load_tokenizer
from generator.weights import mini
from generator.weights.checkpoint import load_card, load_checkpoint
from lyra_sim.errors import LyraSimError
from training.card import started_from
from training.dataset import Batch, SceneDataset, Source
from training.filmed import PublishedSource, WorldSource
from training.objective import objective
from training.perceptual import load_lpips
from training.stage import Stage, chain_to, load_stage
from training.tokenizer import LATENT_CHANNELS
from training.watch import Watched, choose, draw_curves, draw_samples
from training.zero import load_shares, save_shares, uses_zero

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

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
    latent_channels=LATENT_CHANNELS,
)
"""The decoder of the mini size."""

MINI_STAGES = (
    "mini_1_direct",
    "mini_2_render",
    "mini_3_views",
    "mini_4_detail",
    "mini_5_structure",
    "mini_6_fusion",
)
REPORT_EVERY = 25
CHECKPOINT_EVERY = 100

log = logging.getLogger(__name__)


def learning_rate(stage: Stage, step: int) -> float:
    """Return the learning rate of a step: linear warm-up, then the stage's schedule."""
    warm = min(1.0, (step + 1) / stage.warmup)
    cosine = 0.525 + 0.475 * math.cos(math.pi * min(step / stage.steps, 1.0))
    return stage.learning_rate * warm * (cosine if stage.schedule == "cosine" else 1.0)


def decoder_inputs(config: DecoderConfig, batch: Batch, tokenizer: CosmosTokenizer | None) -> DecoderInputs:
    """Return what the decoder takes of a batch; rays and times go through the tokenizer where it wants them so.

    Rays are float32: a decoder that is trained here has no reason for the published ones.
    """
    cell = config.cell
    size = batch.cache_depth.shape[-2] * cell, batch.cache_depth.shape[-1] * cell

    def encode(video: torch.Tensor) -> torch.Tensor:
        assert tokenizer is not None
        with torch.no_grad():
            return tokenizer.encode(video.transpose(1, 2)).transpose(1, 2)

    plucker = times = None
    if config.plucker_embedding_vae:
        plucker = plucker_latents(config, batch.c2w, batch.intrinsics, size, views=batch.views, encode=encode)
    if config.use_time_embedding:
        frames = torch.arange(batch.c2w.shape[1] // batch.views, device=batch.c2w.device)[None].float()
        target = torch.full_like(frames[:, :1], batch.target_time or 0.0)
        parts = normalised_times(frames, target)
        times = torch.cat([time_latents(config, part, size, encode=encode) for part in parts], dim=1)
    return build_inputs(
        config,
        batch.latents,
        batch.c2w,
        batch.intrinsics,
        size,
        views=batch.views,
        plucker=plucker,
        times=times,
        cache_depth=batch.cache_depth if config.cache_branch else None,
        cache_mask=batch.cache_mask if config.cache_branch else None,
    )


def run_decoder(
    decoder: nn.Module, config: DecoderConfig, batch: Batch, tokenizer: CosmosTokenizer | None = None
) -> torch.Tensor:
    """Return the unpruned Gaussians (1, N, 14) of a batch."""
    return decoder(decoder_inputs(config, batch, tokenizer))


class Training:
    """Hold the network, its optimiser and the place in the stages."""

    def __init__(
        self,
        config: DecoderConfig,
        stages: list[Stage],
        source: Source,
        run: Path,
        *,
        seed: int,
        tokenizer: CosmosTokenizer | None = None,
        accelerator: Accelerator | None = None,
        writer: SummaryWriter | None = None,
        watched: Sequence[Watched] = (),
    ) -> None:
        """Make a fresh network; `resume` goes on with an earlier one.

        Args:
            config: The decoder.
            stages: What to run, in order.
            source: Where batches come from.
            run: Folder of the run.
            seed: Decides weights and batches.
            tokenizer: Encodes rays and times, for decoders that take them so.
            accelerator: Devices, processes and precision; one process on the CPU when left out.
            writer: Receives the curves for TensorBoard too.
            watched: What `samples/` in the run folder shows at every checkpoint.
        """
        torch.manual_seed(seed)
        self.accelerator = accelerator or Accelerator(cpu=True)
        self.config, self.stages, self.source, self.run, self.seed = config, stages, source, run, seed
        self.tokenizer, self.writer, self.watched = tokenizer, writer, list(watched)
        self.perceptual = load_lpips(self.accelerator.device)
        decoder = LyraDecoder(config)
        start_from_cache(decoder)
        optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-2)
        self.zero = uses_zero(self.accelerator)
        self.model, self.optimizer = self.accelerator.prepare(decoder, optimizer)
        self.stage_index = self.step = self.total_steps = 0
        self.seconds = 0.0

    @property
    def decoder(self) -> LyraDecoder:
        """The network without what accelerate wraps around it."""
        return self.accelerator.unwrap_model(self.model)

    def resume(self) -> None:
        """Go on from the checkpoint of the run folder, if there is one."""
        path = self.run / "checkpoint.pt"
        if not path.exists():
            return
        state = self._load(path)
        self.stage_index, self.step, self.total_steps = state["stage"], state["step"], state["total_steps"]
        self.seconds = state["seconds"]
        log.info("resumed at stage %d, step %d", self.stage_index, self.step)

    def _load(self, path: Path) -> dict[str, Any]:
        if self.zero:
            return load_shares(self.model, path.with_suffix(".zero"))
        state = torch.load(path, weights_only=True, map_location="cpu")
        self.decoder.load_state_dict(state["decoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        return state

    def save(self, name: str = "checkpoint") -> None:
        """Write a checkpoint, whole or not at all; one process does it for all, but for their shares under ZeRO."""
        place = {
            "stage": self.stage_index,
            "step": self.step,
            "total_steps": self.total_steps,
            "seconds": self.seconds,
        }
        first = self.accelerator.is_main_process
        if self.zero:
            save_shares(self.model, self.run / f"{name}.zero", place, cleans=first)
        if not first:
            return
        state = {"decoder": self.decoder.state_dict(), **place}
        if not self.zero:
            state["optimizer"] = self.optimizer.state_dict()
        temporary = self.run / f".{name}.part"
        torch.save(state, temporary)
        os.replace(temporary, self.run / f"{name}.pt")

    def run_all(self) -> None:
        """Run the stages that are left; each goes on from the stage that it names, or from the one before."""
        while self.stage_index < len(self.stages):
            stage = self.stages[self.stage_index]
            before = self.stages[self.stage_index - 1].name if self.stage_index else None
            if self.step == 0 and stage.after and stage.after != before:
                self._load(self.run / f"end_{stage.after}.pt")
            self.run_stage(stage)
            self.save(f"end_{stage.name}")
            self.show(stage)
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
                self.source.refresh()
                self.save()
                self.show(stage)

    def train_step(self, stage: Stage) -> dict[str, float]:
        """Do one optimiser step over the stage's samples and return the means of their loss terms."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(stage, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        processes, rows = self.accelerator.num_processes, []
        for sample in range(stage.samples):
            # Every sample of every process is a step of its own to the source, so that none is seen twice.
            number = (self.step * stage.samples + sample) * processes + self.accelerator.process_index
            last = sample == stage.samples - 1
            self.accelerator.sync_gradients = last
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                rows.append(self._backward(stage, number))
        self.accelerator.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}

    def _backward(self, stage: Stage, number: int) -> dict[str, float]:
        """Add the gradient of one sample and return its loss terms."""
        batch = self.source.draw(stage, self.seed + self.stage_index, number).to(self.accelerator.device)
        with self.accelerator.autocast():
            gaussians = run_decoder(self.model, self.config, batch, self.tokenizer)
        loss, terms = objective(
            gaussians.float(), batch, stage, cell=self.config.cell, seed=number, perceptual=self.perceptual
        )
        if not torch.isfinite(loss):
            raise LyraSimError(
                f"loss is {loss.item()} at stage {stage.name}, step {self.step}; lower the learning rate"
            )
        self.accelerator.backward(loss / stage.samples)
        return terms | {"loss": loss.item()}

    def show(self, stage: Stage) -> None:
        """Draw the curves and what is watched into the run folder; training itself is not touched."""
        if not self.accelerator.is_main_process:
            return
        draw_curves(self.run)
        if self.watched:
            path = self.run / "samples" / f"{self.total_steps:06d}.png"
            title = f"{stage.name}, step {self.step} of {stage.steps}"
            draw_samples(self.watched, self._decode, path, title=title)

    def _decode(self, batch: Batch) -> torch.Tensor:
        """Return the pruned Gaussians of a batch, as in use."""
        batch = batch.to(self.accelerator.device)
        return self.decoder.prune(run_decoder(self.decoder, self.config, batch, self.tokenizer))

    def report(self, stage: Stage, recent: deque[dict[str, float]], each: float) -> None:
        """Log the means of the last terms, and the time left of the stage."""
        if not self.accelerator.is_main_process:
            return
        means = {name: sum(r[name] for r in recent) / len(recent) for name in recent[-1]}
        record = {"stage": stage.name, "step": self.step, "s_per_step": round(each, 3)} | means
        with (self.run / "log.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        if self.writer is not None:
            for name, value in means.items():
                self.writer.add_scalar(f"{stage.name}/{name}", value, self.step)
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


def make_source(args: argparse.Namespace, config: DecoderConfig, tokenizer: CosmosTokenizer) -> Source:
    """Return the data of the command line: prepared scenes, the published layout, or worlds filmed on the way."""
    if args.worlds:
        return WorldSource(tokenizer, config)
    if args.published:
        return PublishedSource(args.published, tokenizer, config)
    return SceneDataset(args.scenes)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--scenes", type=Path, help="prepared scenes (training.scenes, training.prepare)")
    data.add_argument("--published", type=Path, help="data in the published layout (lyra-sim sdg)")
    data.add_argument("--worlds", action="store_true", help="film a new world for every step")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--stages", nargs="+", default=list(MINI_STAGES), help="files of training/stages")
    which.add_argument("--stage", type=int, help="a published stage, 1 to 9, after those that lead to it")
    parser.add_argument(
        "--config", type=Path, help="decoder configuration, JSON; default that of the stages' size"
    )
    parser.add_argument("--tokenizer", type=Path, default=mini.TOKENIZER, help="card of the tokenizer")
    parser.add_argument(
        "--start", type=Path, help="card of the decoder to go on from, instead of from nothing"
    )
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument(
        "--precision", choices=("no", "bf16"), default="no", help="bf16: half precision where safe"
    )
    parser.add_argument(
        "--gradient-checkpointing", action="store_true", help="less memory, a third more time"
    )
    parser.add_argument(
        "--held-out",
        type=Path,
        metavar="SCENE",
        help="a prepared scene outside --scenes, for the sample pictures",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write curves to the run folder (lyra-sim[train])"
    )
    return parser.parse_args()


def make_config(args: argparse.Namespace) -> DecoderConfig:
    """Return the decoder's configuration: the file's, the published one for published stages, else the mini one."""
    if args.start:
        return DecoderConfig.from_dict(load_card(args.start)["configuration"])
    if args.config:
        return DecoderConfig.from_json(args.config.read_text())
    return DecoderConfig.published(dynamic=args.stage in (8, 9)) if args.stage else MINI


def main() -> None:
    """Train the decoder, or go on with it."""
    args = parse_arguments()
    accelerator = Accelerator(mixed_precision=args.precision)
    level = logging.INFO if accelerator.is_main_process else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s")
    config = make_config(args)
    stages = chain_to(args.stage) if args.stage else [load_stage(name) for name in args.stages]
    tokenizer, card = load_tokenizer(args.tokenizer)
    tokenizer.to(accelerator.device)
    args.out.mkdir(parents=True, exist_ok=True)
    facts = {
        "config": config.to_dict(),
        "stages": [asdict(s) for s in stages],
        "seed": args.seed,
        "tokenizer_sha256": card["sha256"],
        "processes": accelerator.num_processes,
        "precision": args.precision,
        "start": started_from(load_card(args.start)) if args.start else {},
    } | environment()
    if accelerator.is_main_process:
        (args.out / "run.json").write_text(json.dumps(facts, indent=1))
    source = make_source(args, config, tokenizer)
    watched = []
    if accelerator.is_main_process:
        watched = choose(source, stages[0], seed=args.seed, held_out=args.held_out)
    training = Training(
        config,
        stages,
        source,
        args.out,
        seed=args.seed,
        tokenizer=tokenizer,
        accelerator=accelerator,
        writer=open_tensorboard(args.out) if args.tensorboard and accelerator.is_main_process else None,
        watched=watched,
    )
    training.decoder.gradient_checkpointing = args.gradient_checkpointing
    if args.start:
        state, _ = load_checkpoint(args.start, "decoder")
        training.decoder.load_state_dict({name: value.float() for name, value in state.items()})
    log.info("perceptual term: %s", training.perceptual.about)
    training.resume()
    training.run_all()


def open_tensorboard(run: Path) -> SummaryWriter:
    """Return a writer of curves; raises LyraSimError when the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise LyraSimError("--tensorboard needs the package tensorboard; install lyra-sim[train]") from error
    return SummaryWriter(str(run / "tensorboard"))


if __name__ == "__main__":
    main()
