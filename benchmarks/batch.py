"""Measure batches of mini scenes: `python -m benchmarks.batch PART [--scenes N] [--out benchmarks/results/batch]`.

Parts, each of which adds a row or replaces its own in OUT.json and writes OUT.md anew:

    single      N times `lyra-sim gen`, one after the other
    pool-1x2    `lyra-sim batch` with one worker of two threads, and ...
    pool-2x1    ... with two workers of one thread each
    ray         the same on a Ray cluster on this machine (`--ray local`)
    chaos       kill -9 of a worker or the driver at random, 20 times; hashes against an undisturbed run

Every row says the seconds, start of the processes included, the processor seconds of the whole process tree, and the
load average of the machine before (which lags: the recorded runs had the machine to themselves). All parts make the
same scenes, and the hashes of what they made are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROMPTS = (
    "warehouse aisle",
    "dim kitchen",
    "office corridor, blue",
    "tidy laboratory",
    "bright loading dock",
    "hospital room",
    "cluttered factory cell",
    "living room, warm light",
)
KILLS = 20
PARTS = ("single", "pool-1x2", "pool-2x1", "ray", "chaos")


def spec(count: int, extra: str = "") -> str:
    """Return a spec of `count` scenes: prompts in turn, then the next seed."""
    seeds = -(-count // len(PROMPTS))
    lines = ["version: 1", "make: {size: mini" + extra + "}", "scenes:"]
    for seed in range(seeds):
        chosen = PROMPTS[: count - seed * len(PROMPTS)]
        lines.append(f"  - {{prompts: {json.dumps(chosen)}, seeds: [{seed}]}}")
    return "\n".join(lines) + "\n"


def timed(work: Any) -> dict[str, Any]:
    """Run something and return what it took, with what it returned."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    load, began = os.getloadavg()[0], time.perf_counter()
    found = work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(cpu, 1),
        "load_before": round(load, 2),
        "date": time.strftime("%Y-%m-%d"),
        **found,
    }


def single(count: int, folder: Path) -> dict[str, Any]:
    """Run `lyra-sim gen` for each scene."""
    scenes = {}
    for number in range(count):
        prompt, seed = PROMPTS[number % len(PROMPTS)], number // len(PROMPTS)
        out = folder / f"{number}.usdz"
        command = [sys.executable, "-m", "lyra_sim", "gen", prompt, "--seed", str(seed), "--size", "mini"]
        subprocess.run([*command, "--out", str(out), "--progress", "none"], check=True)
        scenes[f"{prompt} {seed}"] = hashlib.sha256(out.read_bytes()).hexdigest()
        note(f"{number + 1} of {count}")
    return {"scenes": scenes, "peak_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}


def batch(count: int, folder: Path, options: list[str]) -> dict[str, Any]:
    """Run `lyra-sim batch` for the same scenes."""
    (folder / "spec.yaml").write_text(spec(count))
    subprocess.run([*command(folder), *options], check=True)
    rows = [json.loads(line) for line in (folder / "out" / "manifest.jsonl").read_text().splitlines()]
    journal = [json.loads(line) for line in (folder / "out" / "journal.jsonl").read_text().splitlines()]
    return {
        "scenes": {f"{r['prompt']} {r['seed']}": r["files"]["scene.usdz"]["sha256"] for r in rows},
        "peak_mib": max(event["peak_mib"] for event in journal),
    }


def command(folder: Path) -> list[str]:
    """Return the words of `lyra-sim batch` for a folder with a spec."""
    words = ["batch", str(folder / "spec.yaml"), "--out", str(folder / "out")]
    return [sys.executable, "-m", "lyra_sim", *words]


def chaos(count: int, folder: Path) -> dict[str, Any]:
    """Kill at random, finish, and compare every file with an undisturbed run."""
    text = spec(count, ", trajectories: [left], preview: false")
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
        "scenes": {},
        "kills": killed,
        "files": len(files[0]),
        "equal": files[0] == files[1],
        "once_each": len({json.loads(row)["id"] for row in rows}) == len(rows) == count,
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


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_part(part: str, count: int) -> dict[str, Any]:
    """Run one part in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if part == "single":
            row = timed(lambda: single(count, folder))
        elif part == "chaos":
            row = timed(lambda: chaos(count, folder))
        else:
            workers = part.removeprefix("pool-").partition("x")[0]
            options = ["--ray", "local"] if part == "ray" else ["--workers", workers]
            row = timed(lambda: batch(count, folder, options))
    return {"part": part, "count": count, **row}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Write the rows as Markdown."""
    lines = [
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}.",
        "",
        "| part | scenes | seconds | scenes per hour | processor s per scene | peak MiB per process | load | date |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for part in PARTS[:-1]:
        if row := rows.get(part):
            rate = 3600 * row["count"] / row["seconds"]
            # Ray's workers are children of its daemons, not ours.
            cpu = "not counted" if part == "ray" else f"{row['cpu_seconds'] / row['count']:.1f}"
            lines.append(
                f"| {part} | {row['count']} | {row['seconds']:.0f} | {rate:.0f} | "
                f"{cpu} | {row['peak_mib']:.0f} | {row['load_before']} | {row['date']} |"
            )
    lines += ["", *comparisons(rows)]
    return "\n".join(lines) + "\n"


def comparisons(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Write what follows from pairs of rows."""
    lines = []
    for part, base in (
        ("pool-1x2", "single"),
        ("pool-2x1", "single"),
        ("ray", "pool-1x2"),
        ("ray", "pool-2x1"),
    ):
        if part in rows and base in rows:
            first, second = rows[part], rows[base]
            ratio = second["seconds"] / second["count"] / (first["seconds"] / first["count"])
            lines.append(f"{part}: {ratio:.2f} times the scenes per hour of {base}.")
    made = [row["scenes"] for part, row in rows.items() if row["scenes"]]
    shared = set.intersection(*(set(scenes) for scenes in made)) if made else set()
    differing = sorted(scene for scene in shared if len({scenes[scene] for scenes in made}) > 1)
    said = f"{len(differing)} DIFFER: {', '.join(differing)}" if differing else "all have equal bytes"
    lines.append(f"{len(shared)} scenes are in all {len(made)} rows; {said}.")
    if row := rows.get("chaos"):
        lines.append(
            f"chaos: {row['kills']['worker']} workers and {row['kills']['driver']} drivers killed while making "
            f"{row['count']} scenes; every scene once: {row['once_each']}; {row['files']} files compared with an "
            f"undisturbed run, equal: {row['equal']}; {row['seconds']:.0f} s ({row['date']})."
        )
    return lines


def note(text: str) -> None:
    """Say how far it is."""
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """Run the parts asked for and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; none: only the table")
    parser.add_argument("--scenes", type=int, default=24, help="how many (24)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/batch"), help="OUT.json, OUT.md")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    store = args.out.with_suffix(".json")
    for part in args.parts:
        row = run_part(part, args.scenes)
        rows = json.loads(store.read_text()) if store.is_file() else {}
        rows[part] = row
        store.write_text(json.dumps(rows, indent=1) + "\n")
        note(f"{part}: {row['seconds']} s")
    text = table(json.loads(store.read_text()))
    args.out.with_suffix(".md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
