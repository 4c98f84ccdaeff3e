"""Measure what a large batch costs beside its scenes: `python -m benchmarks.manifest BATCH [--out FILE]`.

Takes one real row from the output folder of a batch, repeats it under other ids, with files of the right sizes
but without content, and times the tables and the recovery after a restart. Figures are per scene.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import report
from lyra_sim.batch.driver import State, recover
from lyra_sim.batch.expand import Plan
from lyra_sim.batch.folder import MANIFEST, PAGE, REPORT, TABLE, BatchFolder
from lyra_sim.batch.journal import Journal
from lyra_sim.batch.manifest import write_manifest
from lyra_sim.batch.page import write_page
from lyra_sim.batch.scenes import PlannedScene


def repeat(row: dict[str, Any], count: int) -> tuple[Plan, State]:
    """Return a plan of `count` scenes that are all done, each with a row like the one given."""
    made = {k: v for k, v in row.items() if k not in ("split", "scene", "preview", "map", "collider")}
    ids = [hashlib.sha256(str(n).encode()).hexdigest()[:16] for n in range(count)]
    scenes = tuple(
        PlannedScene(i, row["prompt"], n, row["slots"], None, None, None, split="train")
        for n, i in enumerate(ids)
    )
    return Plan(scenes, {}, 0, ""), State(done={i: made | {"id": i} for i in ids})


def fill(folder: BatchFolder, state: State) -> None:
    """Make the files of every scene, as holes of the right size."""
    for name, row in state.done.items():
        (folder.scenes / name).mkdir()
        for file, facts in row["files"].items():
            with open(folder.scenes / name / file, "wb") as handle:
                os.truncate(handle.fileno(), facts["bytes"])
        (folder.scenes / name / REPORT).write_text("{}")


def seconds(work: Any) -> float:
    """Return the wall-clock seconds of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(row: dict[str, Any], count: int, parent: Path) -> dict[str, float]:
    """Return bytes and milliseconds per scene."""
    plan, state = repeat(row, count)
    folder = BatchFolder(parent / "out")
    folder.scenes.mkdir(parents=True)
    fill(folder, state)
    journal = Journal(folder.path / "journal.jsonl")
    some = list(state.done.items())[:200]
    append = seconds(
        lambda: [journal.append("made", id=i, row=r, seconds=1.0, peak_mib=1.0) for i, r in some]
    )
    for i, r in list(state.done.items())[200:]:
        line = {"event": "made", "time": 0.0, "id": i, "row": r, "seconds": 1.0, "peak_mib": 1.0}
        os.write(journal._file, json.dumps(line).encode() + b"\n")
    journal.close()
    write_manifest(folder, plan, state)
    tables = seconds(lambda: (write_manifest(folder, plan, state), write_page(folder, plan, state)))

    def restart() -> None:
        again = Journal(folder.path / "journal.jsonl")
        assert len(recover(plan, folder, again.events).done) == count
        again.close()

    sizes = {
        name: (folder.path / name).stat().st_size / count for name in (MANIFEST, TABLE, PAGE, "journal.jsonl")
    }
    times = {"journal line with fsync": append / len(some), "tables again": tables / count}
    times["recovery"] = seconds(restart) / count
    return {f"{k} [bytes]": v for k, v in sizes.items()} | {f"{k} [ms]": 1000 * v for k, v in times.items()}


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("batch", type=Path, help="output folder of a batch with a finished scene")
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="write the table there too")
    args = parser.parse_args()
    row = json.loads((args.batch / MANIFEST).read_text().splitlines()[0])
    with tempfile.TemporaryDirectory() as name:
        found = measure(row, args.scenes, Path(name))
    total = sum(facts["bytes"] for facts in row["files"].values())
    lines = [
        (
            f"{platform.machine()}, local disk, {args.scenes:,} scenes, each like {row['prompt']!r}, "
            f"size {row['size']} ({total / 1e6:.2f} MB in {len(row['files']) + 1} files), {time.strftime('%Y-%m-%d')}."
        ),
        "",
        "| what | per scene | for 100,000 scenes |",
        "| --- | --- | --- |",
    ]
    for what, value in found.items():
        many = f"{value * 1e5 / 1e6:.0f} MB" if "bytes" in what else f"{value * 1e5 / 1000:.1f} s"
        lines.append(f"| {what} | {value:.2f} | {many} |")
    text = "\n".join(lines) + "\n"
    report(text, args.out)


if __name__ == "__main__":
    main()
