"""Measure batches of mini scenes: `python -m benchmarks.batch PART... [--scenes N] [--at-most N] [--out OUT]`.

Parts, each of which goes on where its earlier calls ended, until it has made all scenes:

    single      `lyra-sim gen`, one scene after the other
    pool-1x2    `lyra-sim batch` with one worker of two threads, and ...
    pool-2x1    ... with two workers of one thread each
    ray         the same two on a Ray cluster on this machine (`--ray local`)

So `single pool-2x1 ray` is the whole comparison in one command, and `--at-most` cuts it into shorter ones. Every call
adds a row to OUT.json and writes OUT.md anew; scenes of other weights than those here are left out of both. A row says
the seconds, start of the processes included (a part in several calls pays for several starts), the processor seconds,
and how busy others kept the machine before, during and after. All parts make the same scenes, and the hashes of what
they made are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from generator.weights import mini
from generator.weights.checkpoint import load_card
from lyra_sim.batch.engines.pool import thread_variables

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
PARTS = ("single", "pool-1x2", "pool-2x1", "ray")
PAIRS = (("pool-1x2", "single"), ("pool-2x1", "single"), ("ray", "pool-2x1"))
"""Parts that are compared; Ray gives a core to each of its workers, as pool-2x1 does on two."""
HEADER = (
    "| part | scenes | calls | seconds | scenes per hour | processor s per scene | peak MiB per process "
    "| others' share of the processors before, during, after | date |"
)
LOOK_S = 2.0
"""Seconds that the machine is watched for before and after a part."""

Row = dict[str, Any]
SceneName = tuple[str, int]
"""Prompt and seed."""


def scene_names(count: int) -> list[SceneName]:
    """Return prompts in turn, then with the next seed."""
    return [(PROMPTS[number % len(PROMPTS)], number // len(PROMPTS)) for number in range(count)]


def spec(scenes: Sequence[SceneName], extra: str = "") -> str:
    """Return a spec of these scenes."""
    lines = ["version: 1", "make: {size: mini" + extra + "}", "scenes:"]
    lines += [f"  - {{prompts: {json.dumps([prompt])}, seeds: [{seed}]}}" for prompt, seed in scenes]
    return "\n".join(lines) + "\n"


def timed(work: Callable[[], Row]) -> Row:
    """Run something and return what it took and how busy others were, with what it returned."""
    cores = len(os.sched_getaffinity(0))
    before = busy_share()
    machine, own, began = busy_seconds(), own_seconds(), time.perf_counter()
    found = work()
    seconds = time.perf_counter() - began
    machine, own = busy_seconds() - machine, own_seconds() - own
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(own, 1),
        "machine_cpu_seconds": round(machine, 1),
        "others": [round(share, 3) for share in (before, (machine - own) / (seconds * cores), busy_share())],
        "date": time.strftime("%Y-%m-%d"),
        **found,
    }


def busy_seconds() -> float:
    """Return the processor seconds that anything on this machine has used (Linux)."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    # Without idle (3) and waiting for disks (4).
    return (sum(ticks[:3]) + sum(ticks[5:])) / os.sysconf("SC_CLK_TCK")


def busy_share() -> float:
    """Watch the machine for a moment and return the share of its processors that is in use."""
    before = busy_seconds()
    time.sleep(LOOK_S)
    return (busy_seconds() - before) / (LOOK_S * (os.cpu_count() or 1))


def own_seconds() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def single(scenes: Sequence[SceneName], folder: Path) -> Row:
    """Run `lyra-sim gen` for each scene."""
    made, peak = {}, 0
    for number, (prompt, seed) in enumerate(scenes, start=1):
        out = folder / f"{number}.usdz"
        words = [sys.executable, "-m", "lyra_sim", "gen", prompt, "--seed", str(seed), "--size", "mini"]
        child = subprocess.Popen([*words, "--out", str(out), "--progress", "none"])
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), words)
        peak = max(peak, usage.ru_maxrss)
        made[f"{prompt} {seed}"] = digest(out)
        note(f"{number} of {len(scenes)}")
    return {"scenes": made, "peak_mib": peak / 1024}


def batch(scenes: Sequence[SceneName], folder: Path, options: list[str]) -> Row:
    """Run `lyra-sim batch` for the same scenes."""
    (folder / "spec.yaml").write_text(spec(scenes))
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


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_part(part: str, scenes: Sequence[SceneName]) -> Row:
    """Run one part for some scenes, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if part == "single":
            row = timed(lambda: single(scenes, folder))
        else:
            workers = part.removeprefix("pool-").partition("x")[0]
            options = ["--ray", "local"] if part == "ray" else ["--workers", workers]
            row = timed(lambda: batch(scenes, folder, options))
    return {"part": part, "weights": weights(), **row}


def weights() -> str:
    """Return what identifies the networks of the mini size; scenes of others cannot be compared."""
    cards = (mini.TOKENIZER, mini.DECODER)
    return hashlib.sha256("".join(load_card(card)["sha256"] for card in cards).encode()).hexdigest()[:12]


class Record:
    """The rows of earlier calls and of this one, in OUT.json."""

    def __init__(self, path: Path) -> None:
        """Read what is there."""
        self._path = path
        self._rows: list[Row] = json.loads(path.read_text()) if path.is_file() else []

    def add(self, row: Row) -> None:
        """Append a row; rows of other weights go."""
        self._rows = [r for r in self._rows if r["weights"] == row["weights"]] + [row]
        self._path.write_text(json.dumps(self._rows, indent=1) + "\n")

    def rows(self, part: str) -> list[Row]:
        """Return the rows of a part."""
        return [row for row in self._rows if row["part"] == part]

    def missing(self, part: str, scenes: Sequence[SceneName]) -> list[SceneName]:
        """Return the scenes that a part has still to make."""
        made = {name for row in self.rows(part) if row["weights"] == weights() for name in row["scenes"]}
        return [(prompt, seed) for prompt, seed in scenes if f"{prompt} {seed}" not in made]


def table(record: Record) -> str:
    """Write the rows as Markdown."""
    machine = (
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    )
    lines = [
        f"`python -m benchmarks.batch {' '.join(p for p in PARTS if record.rows(p))}`, {machine}.",
        "",
        HEADER,
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for part in PARTS:
        if rows := record.rows(part):
            count, seconds = total(rows)
            # Ray's workers are children of its daemons, not ours: theirs is what the whole machine used.
            measure = "machine_cpu_seconds" if part == "ray" else "cpu_seconds"
            cpu = sum(row[measure] for row in rows) / count
            lines.append(
                f"| {part} | {count} | {len(rows)} | {seconds:.0f} | {3600 * count / seconds:.0f} | {cpu:.1f} | "
                f"{max(row['peak_mib'] for row in rows):.0f} | {'; '.join(map(others, rows))} | {rows[-1]['date']} |"
            )
    lines += ["", *comparisons(record)]
    return "\n".join(lines) + "\n"


def others(row: Row) -> str:
    """Write how busy others kept the machine."""
    before, during, after = row["others"]
    middle = "not told apart" if row["part"] == "ray" else f"{during:.0%}"
    return f"{before:.0%}, {middle}, {after:.0%}"


def total(rows: Sequence[Row]) -> tuple[int, float]:
    """Return how many scenes the calls of a part made, and their seconds."""
    return sum(len(row["scenes"]) for row in rows), sum(row["seconds"] for row in rows)


def comparisons(record: Record) -> list[str]:
    """Write what follows from pairs of parts."""
    lines = []
    for part, base in PAIRS:
        if (first := record.rows(part)) and (second := record.rows(base)):
            (count, seconds), (base_count, base_seconds) = total(first), total(second)
            ratio = base_seconds / base_count / (seconds / count)
            lines.append(f"{part}: {ratio:.2f} times the scenes per hour of {base}.")
    made = [
        {name: sha for row in rows for name, sha in row["scenes"].items()} for rows in map(record.rows, PARTS)
    ]
    made = [scenes for scenes in made if scenes]
    shared = set.intersection(*map(set, made)) if made else set()
    differing = sorted(scene for scene in shared if len({scenes[scene] for scenes in made}) > 1)
    said = f"{len(differing)} DIFFER: {', '.join(differing)}" if differing else "all have equal bytes"
    if len(made) > 1:
        lines.append(f"{len(shared)} scenes are in all {len(made)} parts; {said}.")
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
    parser.add_argument("--scenes", type=int, default=24, help="how many in all (24)")
    parser.add_argument("--at-most", type=int, help="end each part after this many further scenes")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/batch"), help="OUT.json, OUT.md")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for name in thread_variables(1):
        # Single runs shall have all cores, whatever the shell says; a batch shares them out itself.
        os.environ.pop(name, None)
    record = Record(args.out.with_suffix(".json"))
    for part in args.parts:
        scenes = scene_names(args.scenes)
        missing = record.missing(part, scenes)[: args.at_most]
        if missing:
            row = run_part(part, missing)
            record.add(row)
            args.out.with_suffix(".md").write_text(table(record))
            note(f"{part}: {len(missing)} scenes in {row['seconds']} s")
        else:
            note(f"{part}: has made all {len(scenes)} scenes")
    sys.stdout.write(table(record))


if __name__ == "__main__":
    main()
