"""Turn a tokenizer run into a checkpoint: `python -m training.tokenizer_freeze --run RUN --clips DIR [DIR ...]`.

Takes the averaged weights, folds the latents' measured mean and standard deviation into the 1x1x1 convolutions on
both sides of the latents (so that raw latents have zero mean and unit scale per channel, and reconstructions stay
what they were), stores half precision, loads that back and measures it on worlds that no training sees.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from generator.teachers.procedural import ProceduralTeacher
from generator.tokenizer import CosmosTokenizer, load_tokenizer
from generator.worlds import KINDS, parse_prompt
from training.card import write_checkpoint
from training.clips import ClipSet
from training.tokenizer import TokenizerTrainer, TokenizerTraining
from training.tokenizer_loss import psnr

EVALUATION_SEED = 4_000
"""Seed of the first world that the metrics are measured on; training worlds start at 1,000,000."""
STATISTICS_STEP = 1 << 40
"""Step whose crops the statistics come from: beyond any training step."""

log = logging.getLogger(__name__)


@torch.no_grad()
def fold_statistics(tokenizer: CosmosTokenizer, mean: Tensor, std: Tensor) -> None:
    """Make raw latents `(latents - mean) / std` per channel, leaving what is decoded unchanged.

    Args:
        tokenizer: Changed in place.
        mean: Mean of each latent channel, (C,).
        std: Standard deviation of each latent channel, (C,).
    """
    into, out = tokenizer.network.quant_conv, tokenizer.network.post_quant_conv
    into.weight.div_(std.view(-1, 1, 1, 1, 1))
    into.bias.sub_(mean).div_(std)
    out.bias.add_(out.weight[:, :, 0, 0, 0] @ mean)
    out.weight.mul_(std.view(1, -1, 1, 1, 1))


@torch.no_grad()
def latent_statistics(tokenizer: CosmosTokenizer, clips: ClipSet, *, count: int) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each latent channel over whole training clips, (C,) each."""
    batches = (clips.batch(STATISTICS_STEP + n, size=1, frames=17, crop=(176, 320)) for n in range(count))
    latents = torch.cat([tokenizer.encode(video).transpose(0, 1).flatten(1) for video in batches], dim=1)
    return latents.mean(1), latents.std(1)


@torch.no_grad()
def evaluate(tokenizer: CosmosTokenizer, *, worlds: int) -> dict[str, Any]:
    """Return PSNR [dB] of reconstructions, of colours and of colours per 4x4 cell, per kind of unseen worlds.

    Args:
        tokenizer: What to measure.
        worlds: Worlds per kind; each is filmed along two trajectories.
    """
    teacher = ProceduralTeacher(held_out=0)
    teacher.trajectories = (teacher.trajectories[0], teacher.trajectories[5])
    table: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        scores = []
        for seed in range(EVALUATION_SEED, EVALUATION_SEED + worlds):
            for clip in teacher.imagine(parse_prompt(kind.replace("_", " ")), seed=seed).clips:
                video = torch.from_numpy(clip.rgb).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
                decoded = tokenizer(video).clamp(-1, 1)
                scores.append((psnr(decoded, video), psnr(_cells(decoded), _cells(video))))
        full, cells = np.mean(scores, axis=0)
        table[kind] = {"psnr": round(float(full), 2), "psnr_cells_4x4": round(float(cells), 2)}
        log.info("%s: %.2f dB, %.2f dB per 4x4 cell", kind, full, cells)
    mean = {
        key: round(float(np.mean([row[key] for row in table.values()])), 2)
        for key in next(iter(table.values()))
    }
    return {
        "what": f"unseen worlds, seeds from {EVALUATION_SEED}, {worlds} per kind, left and clockwise",
        "mean": mean,
    } | {"kinds": table}


def _cells(video: Tensor) -> Tensor:
    return F.avg_pool3d(video, (1, 4, 4))


def averaged(run: Path, clips: ClipSet) -> tuple[TokenizerTrainer, dict[str, Any]]:
    """Return the trainer of a run with the averaged weights in its tokenizer, and the run's record."""
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    trainer = TokenizerTrainer(record["configuration"], TokenizerTraining(**record["options"]), clips)
    trainer.load(run)
    trainer.tokenizer.network.load_state_dict(trainer.average, strict=False)
    return trainer, record


def main() -> None:
    """Freeze a run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="run folder of training.tokenizer")
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="folders that it was trained on")
    parser.add_argument("--out", type=Path, default=Path("generator/weights/mini"))
    parser.add_argument("--worlds", type=int, default=2, help="unseen worlds per kind to measure on")
    parser.add_argument("--note", default="", help="what else the card should say about the training")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    clips = ClipSet(args.clips)
    trainer, record = averaged(args.run, clips)
    fold_statistics(trainer.tokenizer, *latent_statistics(trainer.tokenizer, clips, count=24))
    training = {
        "command": "python -m training.tokenizer, then python -m training.tokenizer_freeze",
        "options": record["options"],
        "steps": trainer.step,
        "hours": round(trainer.seconds / 3600, 2),
        "clip_files": dict(zip([folder.name for folder in args.clips], record["clips"], strict=False)),
        "note": args.note,
    }
    state = trainer.tokenizer.network.state_dict()
    write_checkpoint(args.out, "tokenizer", state, record["configuration"], training=training, metrics={})
    tokenizer, _ = load_tokenizer(args.out / "tokenizer.json")
    metrics = evaluate(tokenizer, worlds=args.worlds)
    write_checkpoint(
        args.out, "tokenizer", state, record["configuration"], training=training, metrics=metrics
    )
    log.info("wrote %s: %s", args.out, metrics["mean"])


if __name__ == "__main__":
    main()
