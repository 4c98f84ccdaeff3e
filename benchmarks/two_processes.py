"""Train on two processes and on one, and compare: `python -m benchmarks.two_processes --scenes DIR [--out FILE.md]`.

Two processes that average the gradients of one scene each must end where one process ends that averages over the same
two scenes. With `--zero` (DeepSpeed installed, `DS_ACCELERATOR=cpu` on a CPU) one process does the same with ZeRO-2, at
once and stopped half-way; several cannot on CPUs, where accelerate 1.15 counts one process under DeepSpeed. Processes
are started by torchrun and speak gloo, because `accelerate launch --cpu` starts one whatever `--num_processes` says.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DeepSpeedPlugin

from benchmarks.report import report
from training.dataset import SceneDataset
from training.distill import MINI, Training
from training.stage import load_stage

STEPS = 4
WINDOW = (80, 160)
"""Height and width [px] of what a step sees, to be quick."""


def train(scenes: Path, run: Path, *, samples: int, zero: bool, until: int) -> None:
    """Do some steps of the mini decoder through the renderer, with a number of scenes per process."""
    run.mkdir(exist_ok=True)
    stage = replace(load_stage("mini_2_render"), steps=STEPS, samples=samples, size=None, window=WINDOW)
    plugin = DeepSpeedPlugin(zero_stage=2, gradient_clipping=1.0) if zero else None
    source = SceneDataset(scenes)
    channels = np.load(source.scenes[0] / "latents.npy", mmap_mode="r").shape[2]
    config = replace(MINI, latent_channels=channels)
    # accelerate leaves DeepSpeed out where it is told to use the CPU; without a GPU it takes the CPU anyway.
    accelerator = Accelerator(cpu=not zero, deepspeed_plugin=plugin)
    training = Training(config, [stage], source, run, seed=1, accelerator=accelerator)
    if training.zero != zero:
        raise SystemExit(f"ZeRO is {'on' if training.zero else 'off'}, and should not be")
    training.resume()
    while training.step < until < STEPS:
        training.train_step(stage)
        training.step += 1
        training.total_steps += 1
    if until < STEPS:
        training.save()
        return
    training.run_all()
    count = accelerator.num_processes
    (run / f"rank_{training.accelerator.process_index}").write_text(str(count))


def start(scenes: Path, run: Path, *, processes: int, zero: bool = False, until: int = STEPS) -> None:
    """Train on two scenes per step in processes of their own, up to a step."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    worker = ["-m", "benchmarks.two_processes", "--scenes", str(scenes), "--worker", str(run)]
    command = [sys.executable, *launcher, *worker, "--samples", str(2 // processes), "--until", str(until)]
    command += ["--zero"] if zero else []
    device = {"ACCELERATE_TORCH_DEVICE": "cpu"} if zero else {"ACCELERATE_USE_CPU": "true"}
    subprocess.run(command, check=True, env=os.environ | device)


def main() -> None:
    """Run both and say how far their weights are apart."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True, help="prepared scenes")
    parser.add_argument("--out", type=Path, help="write the report there too")
    parser.add_argument("--zero", action="store_true", help="compare ZeRO-2, too")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=int, default=STEPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        train(args.scenes, args.worker, samples=args.samples, zero=args.zero, until=args.until)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start(args.scenes, folder / "one", processes=1)
        start(args.scenes, folder / "ddp", processes=2)
        rows = [("two processes, DDP", _apart(folder / "one", folder / "ddp"))]
        if args.zero:
            start(args.scenes, folder / "zero", processes=1, zero=True)
            rows.append(("one process, ZeRO-2", _apart(folder / "one", folder / "zero")))
            for until in (STEPS // 2, STEPS):
                start(args.scenes, folder / "stopped", processes=1, zero=True, until=until)
            resumed = "one process, ZeRO-2, stopped half-way and resumed, against ZeRO-2 at once"
            rows.append((resumed, _apart(folder / "zero", folder / "stopped")))
        counts = {path.read_text() for path in (folder / "ddp").glob("rank_*")}
    if counts != {"2"}:
        raise SystemExit(f"the processes counted {counts}, not 2 each")
    lines = [f"| {what} | {apart:.2g} |" for what, apart in rows]
    text = (
        f"`python -m benchmarks.two_processes --scenes DIR{' --zero' if args.zero else ''}`, {platform.machine()},"
        f" {os.cpu_count()} cores, torch {torch.__version__}{_deepspeed() if args.zero else ''}.\n\n"
        f"{STEPS} steps of the mini decoder through the renderer, two scenes per step: two processes (gloo) with one"
        " scene each against one process with both, unless said otherwise.\n\n"
        "| run | largest difference of a weight at the end |\n| --- | --- |\n" + "\n".join(lines) + "\n"
    )
    report(text, args.out)


def _apart(one: Path, other: Path) -> float:
    """Return the largest difference of a weight at the end of two runs."""
    first, second = (
        torch.load(run / "end_mini_2_render.pt", weights_only=True)["decoder"] for run in (one, other)
    )
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def _deepspeed() -> str:
    return f", DeepSpeed {version('deepspeed')} (on the CPU, gloo)"


if __name__ == "__main__":
    main()
