"""Make a batch from pictures with two workers: `python -m benchmarks.batch_pictures [--keep DIR] [--out FILE.md]`.

Frames of procedural worlds and photographs of `skimage.data`, estimated depth, teacher mini, a quality gate with one
further try. Tells seconds per scene, memory, and how the gate judged each. `--keep` leaves the batch, with its page.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from skimage import data

from benchmarks.batch import others, timed
from benchmarks.report import report
from generator.sizes import MINI
from generator.teachers.procedural import ProceduralTeacher
from generator.worlds import parse_prompt

WORLDS = ("warehouse aisle", "kitchen", "office corridor, blue", "living room, warm light")
PHOTOGRAPHS = ("coffee", "chelsea", "rocket", "stereo_motorcycle")
WORKERS = 2
SPEC = """\
version: 1
make: {size: mini, teacher: mini}
scenes:
  - {pictures: "worlds/*.png", prompt: a place indoors}
  - {pictures: "photographs/*.png"}
quality: {max_collider_gap_cm: 1.5, min_free_floor_m2: 2, retries: 1}
"""


def write_pictures(folder: Path) -> None:
    """Write the frames and photographs."""
    for name in ("worlds", "photographs"):
        (folder / name).mkdir()
    teacher = ProceduralTeacher.for_size(replace(MINI, height=360, width=640), trajectories=())
    for seed, prompt in enumerate(WORLDS):
        picture, _ = teacher.photograph(parse_prompt(prompt), seed=seed)
        Image.fromarray(picture.rgb).save(folder / "worlds" / f"{prompt.partition(',')[0]}.png")
    for name in PHOTOGRAPHS:
        found = getattr(data, name)()
        rgb = found[0] if isinstance(found, tuple) else found
        Image.fromarray(rgb).save(folder / "photographs" / f"{name}.png")


def run(folder: Path) -> dict[str, Any]:
    """Run the batch and return its journal and summary."""
    words = ["batch", str(folder / "spec.yaml"), "--out", str(folder / "out"), "--workers", str(WORKERS)]
    # Finished trajectories of an earlier run would be taken up.
    environment = os.environ | {"LYRA_SIM_TRAJECTORIES": str(folder / "trajectories")}
    subprocess.run([sys.executable, "-m", "lyra_sim", *words], check=True, env=environment)
    events = [json.loads(line) for line in (folder / "out" / "journal.jsonl").read_text().splitlines()]
    return {"part": "pictures", "events": events}


def tries_of(event: dict[str, Any]) -> int:
    """Return how often a scene was made and judged; the journal lists the tries that were no good."""
    return len(event["attempts"]) + (event["event"] == "made")


def table(found: dict[str, Any], folder: Path) -> str:
    """Write what was measured as Markdown."""
    events = found["events"]
    data_of_page = (folder / "out" / "index.html").read_text().split("const DATA = ", 1)[1].split(";\n", 1)[0]
    scenes = {scene["id"]: scene for scene in json.loads(data_of_page)["scenes"]}
    tries = sum(tries_of(event) for event in events)
    lines = [
        (
            f"`python -m benchmarks.batch_pictures`, {found['date']}, {platform.machine()}, "
            f"{len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}."
        ),
        "",
        (
            f"{len(events)} pictures in {found['seconds']:.0f} s with {WORKERS} workers of one thread, start of the "
            f"processes included; {tries} scenes were made and judged, {found['seconds'] / tries:.1f} s each; "
            f"{found['cpu_seconds'] / tries:.1f} processor seconds each; at most "
            f"{max(event['peak_mib'] for event in events):.0f} MiB per worker. Others' share of the processors before, "
            f"during and after: {others(found)}."
        ),
        "",
        f"```yaml\n{SPEC}```",
        "",
        "| picture | seconds | tries | collider gap, cm | free floor, m2 | outcome |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for event in events:
        scene = scenes[event["id"]]
        metrics = scene.get("metrics", {})
        gap, floor = (
            f"{metrics[m]:.2f}" if m in metrics else "" for m in ("collider_gap_cm", "free_floor_m2")
        )
        lines.append(
            f"| {scene['from']} | {event['seconds']:.1f} | {tries_of(event)} | "
            f"{gap} | {floor} | {event['event']}{': ' if event.get('reason') else ''}{event.get('reason', '')} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the pictures, run the batch, and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="new folder that stays")
    parser.add_argument("--out", type=Path, metavar="FILE", help="Markdown file to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(exist_ok=True)
        write_pictures(folder)
        (folder / "spec.yaml").write_text(SPEC)
        report(table(timed(lambda: run(folder)), folder), args.out)


if __name__ == "__main__":
    main()
