"""Measure the decoder's depth guide: `python -m benchmarks.cache [--seed N] [--out benchmarks/results/cache.md]`.

For every kind of world, one conditioning depth is warped into the 102 frames of the six trajectories and compared
with the ray caster's depth: where the conditioning frame saw the surface (mask 1) and where the guide is a guess
(mask 0). Beside the guess stands the plain fill of the holes from the background, without the planes that bound
the scene. Time is processor time on one thread, also as a share of building the world and ray casting the same
frames.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

from generator.cache import fill_holes, warp_depth
from generator.teachers.procedural import ProceduralTeacher
from generator.worlds import KINDS, parse_prompt

_HEAD = (
    "| world | seen | median error, seen | beyond 5%, seen | median error, guessed | mean error, guessed "
    "| median error, plain fill | mean error, plain fill | guide [s] | share of building and casting the world |"
)


def measure(kind: str, seed: int) -> list[float]:
    """Return the figures of one world: shares and relative errors in percent, seconds."""
    began = time.process_time()
    video = ProceduralTeacher(held_out=0, supersample=1).imagine(
        parse_prompt(kind.replace("_", " ")), seed=seed
    )
    casting = time.process_time() - began
    truth = np.concatenate([clip.depth for clip in video.clips])
    poses, intrinsics = (
        torch.from_numpy(np.concatenate([getattr(clip.cameras, name) for clip in video.clips]))
        for name in ("c2w", "intrinsics")
    )
    first = torch.from_numpy(truth[0])
    began = time.process_time()
    depth, mask = warp_depth(
        first, (first > 0).float(), intrinsics[0], poses[0], poses, intrinsics, height=176, width=320
    )
    seconds = time.process_time() - began
    plain = fill_holes(depth * mask, mask)
    seen, hit = mask.numpy() > 0, truth > 0
    error, plain_error = (np.abs(d.numpy() - truth) / np.maximum(truth, 1e-6) for d in (depth, plain))
    known, guessed = error[seen & hit], error[~seen & hit]
    filled = plain_error[~seen & hit]
    shares = [seen.mean(), np.median(known), (known > 0.05).mean(), np.median(guessed), guessed.mean()]
    shares += [np.median(filled), filled.mean()]
    return [*(100 * float(s) for s in shares), seconds, seconds / casting]


def main() -> None:
    """Print the table, and write it where `--out` says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = {kind: measure(kind, args.seed) for kind in KINDS}
    rows["mean"] = [float(np.mean(column)) for column in zip(*rows.values(), strict=True)]
    lines = [_HEAD, "|---" * 10 + "|"]
    for kind, row in rows.items():
        cells = [f"{value:.2f}%" for value in row[:7]] + [f"{row[7]:.2f}", f"{row[8]:.2f}"]
        lines.append(f"| {kind.replace('_', ' ')} | " + " | ".join(cells) + " |")
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if args.out is not None:
        args.out.write_text(f"# The depth guide against ray-cast truth (seed {args.seed})\n\n{text}")


if __name__ == "__main__":
    main()
