"""Train on two processes and on one, and compare: `python -m benchmarks.two_processes --scenes DIR [--out FILE.md]`.

Two processes that average the gradients of one scene each must end where one process ends that averages over the same
two scenes. On CPUs the processes are started by torchrun and speak gloo, because `accelerate launch --cpu` starts one
process whatever `--num_processes` says (accelerate 1.15).
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from benchmarks.report import report
from training.dataset import SceneDataset
from training.distill import MINI, Training
from training.stage import load_stage

STEPS = 4
WINDOW = (80, 160)
"""Height and width [px] of what a step sees, to be quick."""


def train(scenes: Path, run: Path, *, samples: int) -> None:
    """Do some steps of the mini decoder through the renderer, with a number of scenes per process."""
    run.mkdir(exist_ok=True)
    stage = replace(load_stage("mini_2_render"), steps=STEPS, samples=samples, size=None, window=WINDOW)
    source = SceneDataset(scenes)
    channels = np.load(source.scenes[0] / "latents.npy", mmap_mode="r").shape[2]
    config = replace(MINI, latent_channels=channels)
    training = Training(config, [stage], source, run, seed=1, accelerator=Accelerator(cpu=True))
    training.run_all()
    count = training.accelerator.num_processes
    (run / f"rank_{training.accelerator.process_index}").write_text(str(count))


def start(scenes: Path, run: Path, *, processes: int) -> None:
    """Train on two scenes per step in processes of their own."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    worker = ["-m", "benchmarks.two_processes", "--scenes", str(scenes), "--worker", str(run)]
    command = [sys.executable, *launcher, *worker, "--samples", str(2 // processes)]
    subprocess.run(command, check=True, env=os.environ | {"ACCELERATE_USE_CPU": "true"})


def main() -> None:
    """Run both and say how far their weights are apart."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True, help="prepared scenes")
    parser.add_argument("--out", type=Path, help="write the report there too")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, default=1, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        train(args.scenes, args.worker, samples=args.samples)
        return
    with tempfile.TemporaryDirectory() as folder:
        runs = {count: Path(folder) / f"{count}" for count in (1, 2)}
        for count, run in runs.items():
            start(args.scenes, run, processes=count)
        ranks = sorted(path.read_text() for path in runs[2].glob("rank_*"))
        ends = [
            torch.load(run / "end_mini_2_render.pt", weights_only=True)["decoder"] for run in runs.values()
        ]
    apart = max(float((ends[0][name] - ends[1][name]).abs().max()) for name in ends[0])
    text = (
        f"`python -m benchmarks.two_processes --scenes DIR`, {platform.machine()}, {os.cpu_count()} cores,"
        f" torch {torch.__version__}.\n\n"
        f"{STEPS} steps of the mini decoder through the renderer: two processes (gloo, DDP, each counts"
        f" {' and '.join(ranks)}), one scene each, against one process with two scenes per step.\n\n"
        f"Largest difference of a weight at the end: {apart:.2g}.\n"
    )
    report(text, args.out)


if __name__ == "__main__":
    main()
