"""Time `lyra-sim gen` as a user runs it: `python -m benchmarks.gen [--out benchmarks/results/gen.md]`.

Whole process, imports included; seconds and share per stage, peak memory, and a second run that must give the same
bytes. The limits of the mini size on two cores are 6 GB, 180 s for a prompt and 240 s for a picture (`--image PHOTO`,
or `--image astronaut`, which scikit-image carries).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import report


def processor_seconds() -> float:
    """Return the processor time of all children so far, which a busy machine changes little."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_once(words: list[str], folder: Path) -> tuple[float, float, dict[str, Any], str]:
    """Run the command; return seconds, peak memory [MiB], the report and the SHA-256 of the scene."""
    scene = folder / "scene.usdz"
    command = [sys.executable, "-m", "lyra_sim", "gen", *words, "--out", str(scene), "--progress", "json"]
    began = time.perf_counter()
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    report = json.loads(output.splitlines()[-1])["report"]
    return seconds, peak, report, hashlib.sha256(scene.read_bytes()).hexdigest()


def table(
    words: list[str], limit: float, seconds: float, peak: float, report: dict[str, Any], same: bool | None
) -> str:
    """Write the figures as Markdown; `limit` is that of the seconds."""
    cores = len(os.sched_getaffinity(0))
    lines = [
        f"`lyra-sim gen {shlex.join(words)}`, {platform.machine()}, {cores} cores, Python {platform.python_version()}",
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
    lines += [
        "",
        f"Limit {limit:.0f} s: {seconds / limit:.2f} of it. Limit 6 GB: {peak * 2**20 / 6e9:.2f} of it.",
    ]
    if same is not None:
        lines.append(f"Second run gave {'the same' if same else 'DIFFERENT'} bytes.")
    return "\n".join(lines) + "\n"


def picture(name: str, folder: Path) -> Path:
    """Return a path as it is, or write one of scikit-image's pictures and return its path."""
    from PIL import Image
    from skimage import data

    if Path(name).is_file() or not hasattr(data, name):
        return Path(name)
    path = folder / f"{name}.png"
    Image.fromarray(getattr(data, name)()).save(path)
    return path


def main() -> None:
    """Run twice, print the table of the second run (compiled kernels cached) and compare the bytes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompt", default="warehouse aisle")
    parser.add_argument("--image", help="a picture in place of the prompt: a path, or a name in skimage.data")
    parser.add_argument("--depth", help="depth map of the picture; without it, it is estimated")
    parser.add_argument("--once", action="store_true", help="run once; bytes are not compared")
    parser.add_argument("--out", type=Path, help="write the table there too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = [args.prompt] if args.image is None else ["--image", str(picture(args.image, Path(folder)))]
        words += ["--depth", args.depth] if args.depth else []
        first = run_once(words, Path(folder))
        last = first if args.once else run_once(words, Path(folder))
    shown = words[:1] if args.image is None else [Path(word).name if "/" in word else word for word in words]
    same = None if args.once else first[3] == last[3]
    text = table(shown, 180.0 if args.image is None else 240.0, last[0], last[1], last[2], same)
    text += f"Processor time of {'the run' if args.once else 'both runs'}: {processor_seconds():.0f} s.\n"
    if not args.once:
        text += f"First run (kernels compiled where no cache existed): {first[0]:.1f} s.\n"
    report(text, args.out)


if __name__ == "__main__":
    main()
