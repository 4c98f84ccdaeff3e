"""Measure mini scenes at held-out cameras: `python -m benchmarks.quality [--out benchmarks/results/quality]`.

Ten prompts, two seeds each, that training never saw (its seeds start at one million). The Gaussians are those that
`lyra-sim gen` writes: pruned, cleaned, no per-scene optimisation. Renders are compared with the teacher at cameras
between the six paths, from which nothing is decoded.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from generator import metrics
from generator.cache import warp_depth
from generator.generate import Request, Run, decode, imagine
from generator.inputs import conditioning_depth
from generator.pipeline import LyraPipeline
from generator.render import render_views
from generator.sizes import MINI
from generator.start import begin
from generator.teachers.teacher import TeacherVideo
from lyra_sim.gaussians import Gaussians
from lyra_sim.progress import Progress

PROMPTS = (
    "warehouse aisle",
    "bright loading dock",
    "cluttered factory cell",
    "narrow office corridor",
    "open office, blue",
    "wooden kitchen",
    "living room, warm light",
    "tidy laboratory",
    "hospital room",
    "dim parking garage",
)
SEEDS = (11, 12)
COLUMNS = ("psnr_db", "ssim", "depth_error", "depth_error_outside")


def unseen(video: TeacherVideo) -> np.ndarray:
    """Return where the held-out cameras look past what the conditioning frame saw, (F, H, W) bool."""
    assert video.held_out is not None
    depth = torch.from_numpy(conditioning_depth(video))
    first, cameras = video.clips[0].cameras, video.held_out.cameras
    poses = (first.intrinsics[0], first.c2w[0], cameras.c2w, cameras.intrinsics)
    _, mask = warp_depth(
        depth,
        (depth > 0).float(),
        *(torch.from_numpy(x).float() for x in poses),
        height=cameras.height,
        width=cameras.width,
    )
    return mask.numpy() < 0.5


def measure(gaussians: Gaussians, video: TeacherVideo) -> dict[str, float]:
    """Return the table's columns for one scene."""
    held_out = video.held_out
    assert held_out is not None
    cameras = held_out.cameras
    views = render_views(
        gaussians, cameras.c2w, cameras.intrinsics, height=cameras.height, width=cameras.width
    )
    rgb, depth, truth = views.rgb.numpy(), views.depth.numpy(), held_out.rgb.astype(np.float32) / 255
    pairs = list(zip(rgb, truth, strict=True))
    return {
        "psnr_db": float(np.mean([metrics.psnr(a, b) for a, b in pairs])),
        "ssim": float(np.mean([metrics.ssim(a, b) for a, b in pairs])),
        "depth_error": metrics.relative_depth_error(depth, held_out.depth),
        "depth_error_outside": metrics.relative_depth_error(depth, held_out.depth, where=unseen(video)),
    }


def evaluate(pipeline: LyraPipeline, prompt: str, seed: int) -> dict[str, Any]:
    """Generate one scene and measure it."""
    run = Run(
        Request(prompt, Path("unused.usdz"), seed=seed), Progress("none", {"teacher": 1.0, "tokenizer": 1.0})
    )
    run.progress.update = lambda *args, **kwargs: None  # type: ignore[method-assign]
    video = imagine(run, MINI, begin(run, MINI))
    gaussians = decode(run, pipeline, video)
    return {"prompt": prompt, "seed": seed, "gaussians": len(gaussians)} | measure(gaussians, video)


def table(rows: list[dict[str, Any]], card: dict[str, Any]) -> str:
    """Write the rows as Markdown, means last."""
    lines = [
        f"Decoder {card['sha256'][:12]}, {platform.processor() or platform.machine()}, torch {torch.__version__}.",
        "",
        "| prompt | seed | Gaussians | PSNR [dB] | SSIM | median depth error | ... outside the conditioning view |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        numbers = _numbers(row)
        lines.append(f"| {row['prompt']} | {row['seed']} | {row['gaussians']:,} | {numbers} |")
    lines.append(f"| **mean of {len(rows)}** | | | {_numbers(means(rows))} |")
    return "\n".join(lines) + "\n"


def means(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean of every column."""
    return {name: float(np.nanmean([row[name] for row in rows])) for name in COLUMNS}


def _numbers(row: dict[str, Any]) -> str:
    share = (f"{row[name]:.1%}" for name in COLUMNS[2:])
    return " | ".join([f"{row['psnr_db']:.2f}", f"{row['ssim']:.3f}", *share])


def main() -> None:
    """Evaluate all prompts and seeds, print the table and write it with the numbers as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="write OUT.md and OUT.json")
    parser.add_argument("--tokenizer", type=Path, default=MINI.tokenizer, help="card of the tokenizer")
    parser.add_argument("--decoder", type=Path, default=MINI.decoder, help="card of the decoder")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    args = parser.parse_args()
    pipeline = LyraPipeline.from_cards(args.tokenizer, args.decoder)
    rows = []
    for prompt in PROMPTS:
        for seed in args.seeds:
            rows.append(evaluate(pipeline, prompt, seed))
            sys.stderr.write(f"{prompt} {seed}: {_numbers(rows[-1])}\n")
    text = table(rows, pipeline.cards["decoder"])
    sys.stdout.write(text)
    if args.out:
        args.out.with_suffix(".md").write_text(text)
        args.out.with_suffix(".json").write_text(
            json.dumps({"rows": rows, "mean": means(rows)}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
