"""Time `lyra-sim gen` as a user runs it: `python -m benchmarks.gen [--out benchmarks/results/gen.md]`.

Whole process, imports included; seconds and share per stage, peak memory, and a second run that must give the same
bytes. The limits of the mini size are 180 s and 6 GB on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def run_once(prompt: str, folder: Path) -> tuple[float, float, dict[str, Any], str]:
    """Run the command; return seconds, peak memory [MiB], the report and the SHA-256 of the scene."""
    scene = folder / "scene.usdz"
    command = [sys.executable, "-m", "lyra_sim", "gen", prompt, "--out", str(scene), "--progress", "json"]
    began = time.perf_counter()
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    report = json.loads(output.splitlines()[-1])["report"]
    return seconds, peak, report, hashlib.sha256(scene.read_bytes()).hexdigest()


def table(prompt: str, seconds: float, peak: float, report: dict[str, Any], same: bool) -> str:
    """Write the figures as Markdown."""
    cores = len(os.sched_getaffinity(0))
    lines = [
        f"`lyra-sim gen {prompt!r}`, {platform.machine()}, {cores} cores, Python {platform.python_version()}",
        "",
        "| stage | seconds | share | peak MiB |",
        "| --- | --- | --- | --- |",
    ]
    spent = 0.0
    for name, stage in report["stages"].items():
        spent += stage["seconds"]
        lines.append(
            f"| {name} | {stage['seconds']:.1f} | {stage['seconds'] / seconds:.0%} | {stage['peak_mib']:.0f} |"
        )
    lines.append(f"| start, imports, end | {seconds - spent:.1f} | {1 - spent / seconds:.0%} | |")
    lines.append(f"| **whole process** | **{seconds:.1f}** | | **{peak:.0f}** |")
    lines += ["", f"Limit 180 s: {seconds / 180:.2f} of it. Limit 6 GB: {peak * 2**20 / 6e9:.2f} of it."]
    lines.append(f"Second run gave {'the same' if same else 'DIFFERENT'} bytes.")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run twice, print the table of the second run (compiled kernels cached) and compare the bytes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompt", default="warehouse aisle")
    parser.add_argument("--out", type=Path, help="write the table there too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first = run_once(args.prompt, Path(folder))
        second = run_once(args.prompt, Path(folder))
    text = table(args.prompt, second[0], second[1], second[2], first[3] == second[3])
    text += f"First run (kernels compiled where no cache existed): {first[0]:.1f} s.\n"
    sys.stdout.write(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
