"""Kill workers and driver of a batch at random: `python -m benchmarks.batch_chaos [--scenes N] [--out FILE.md]`.

The same scenes are made once undisturbed and once with `KILLS` kill -9 at random moments, the batch started again after
each that hit the driver; then every file of both is compared. Linux only. Fails when a scene is missing or differs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.batch import SceneName, command, digest, note, scene_names, spec
from benchmarks.report import report

KILLS = 20


def chaos(scenes: Sequence[SceneName], folder: Path) -> dict[str, Any]:
    """Kill at random, finish, and compare every file with an undisturbed run."""
    text = spec(scenes, ", trajectories: [left], preview: false")
    calm, wild = folder / "calm", folder / "wild"
    for place in (calm, wild):
        place.mkdir()
        (place / "spec.yaml").write_text(text)
    subprocess.run([*command(calm), "--workers", "2", "--progress", "none"], check=True)
    note("undisturbed run done")
    killed = kill_at_random([*command(wild), "--workers", "2", "--progress", "none"], random.Random(7))
    subprocess.run([*command(wild), "--workers", "2", "--progress", "none"], check=True)
    files = [{str(p.relative_to(place)): digest(p) for p in files_of(place)} for place in (calm, wild)]
    rows = (wild / "out" / "manifest.jsonl").read_text().splitlines()
    return {
        "count": len(scenes),
        "kills": killed,
        "files": len(files[0]),
        "equal": files[0] == files[1],
        "once_each": len({json.loads(row)["id"] for row in rows}) == len(rows) == len(scenes),
    }


def kill_at_random(words: list[str], chance: random.Random) -> dict[str, int]:
    """Start the batch again and again, and kill the driver or one of its workers after random times."""
    killed = {"driver": 0, "worker": 0}
    process = subprocess.Popen(words)
    while sum(killed.values()) < KILLS:
        time.sleep(chance.uniform(1.0, 12.0))
        if process.poll() is not None:
            note(f"finished after {killed}; the kills that are left hit nothing")
            return killed
        workers = worker_processes(process.pid)
        who = "worker" if workers and chance.random() < 0.6 else "driver"
        os.kill(chance.choice(workers) if who == "worker" else process.pid, signal.SIGKILL)
        killed[who] += 1
        note(f"killed {killed}")
        if who == "driver":
            process.wait()
            process = subprocess.Popen(words)
    process.kill()
    process.wait()
    killed["driver"] += 1
    return killed


def worker_processes(pid: int) -> list[int]:
    """Return the workers of a driver (Linux)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(c) for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]


def files_of(place: Path) -> list[Path]:
    """Return the scenes' files and the manifest."""
    out = place / "out"
    return [p for p in sorted((out / "scenes").rglob("*")) if p.is_file()] + [out / "manifest.jsonl"]


def main() -> None:
    """Run and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=14, help="how many (14)")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    args = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        found = chaos(scene_names(args.scenes), Path(name))
    report(
        f"`python -m benchmarks.batch_chaos --scenes {args.scenes}`, {time.strftime('%Y-%m-%d')}, "
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}.\n\n"
        f"{found['kills']['worker']} workers and {found['kills']['driver']} drivers killed while making "
        f"{found['count']} scenes; every scene once: {found['once_each']}; {found['files']} files compared with an "
        f"undisturbed run, equal: {found['equal']}; {time.perf_counter() - began:.0f} s.\n",
        args.out,
    )
    if not (found["equal"] and found["once_each"]):
        sys.exit(1)


if __name__ == "__main__":
    main()
