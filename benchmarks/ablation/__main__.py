"""Train and measure every row: `python -m benchmarks.ablation --scenes DIR --out RUN --steps N`.

Start it again and it goes on: with a row's training at its last checkpoint, with the table at its next row. The run
folder holds the trials, a folder per row (log, checkpoints, `measured.json`), and the table as far as it is.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ablation import trials
from benchmarks.ablation.rows import Row, make_rows
from benchmarks.ablation.table import mean_of, write_table
from benchmarks.ablation.trials import Trial, measure
from benchmarks.photographs import photographs
from generator import sizes
from generator.tokenizer import load_tokenizer
from lyra_sim.atomic import atomic_path
from lyra_sim.errors import LyraSimError
from training.dataset import SceneDataset
from training.distill import MINI, Training

log = logging.getLogger(__name__)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True, help="prepared scenes to train on")
    parser.add_argument("--out", type=Path, required=True, help="run folder; the table is table.md in it")
    parser.add_argument("--steps", type=int, default=300, help="training steps per row (300)")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--rows", nargs="+", help="rows to do, by name; all when left out")
    parser.add_argument("--worlds", type=int, default=len(trials.WORLDS), help="worlds to measure on")
    parser.add_argument(
        "--tokenizer", type=Path, default=sizes.MINI.tokenizer, help="card of the scenes' tokenizer"
    )
    return parser.parse_args()


def main() -> None:
    """Do the rows that are left and write the table after each."""
    args = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    source = SceneDataset(args.scenes)
    rgb, latents = (
        np.load(source.scenes[0] / f"{name}.npy", mmap_mode="r").shape for name in ("rgb", "latents")
    )
    rows = make_rows(replace(MINI, latent_channels=latents[2]), steps=args.steps, seed=args.seed)
    chosen = [row for row in rows if not args.rows or row.name in args.rows]
    if not chosen:
        raise LyraSimError(f"--rows {' '.join(args.rows)}: choose from {', '.join(r.name for r in rows)}")
    size = replace(sizes.MINI, height=rgb[2], width=rgb[3], frames=rgb[1])
    held_out = make_trials(args, size)
    began = time.monotonic()
    for index, row in enumerate(chosen):
        if index:
            left = (time.monotonic() - began) / index * (len(chosen) - index) / 60
            log.info("%d of %d rows done, about %.0f minutes left", index, len(chosen), left)
        do_row(row, source, args.out / row.name, held_out)
        text = write_table(rows, read_measured(rows, args.out), describe(args, rows, source, size))
        with atomic_path(args.out / "table.md") as part:
            part.write_text(text)
    sys.stdout.write(text)


def make_trials(args: argparse.Namespace, size: sizes.Size) -> dict[str, list[Trial]]:
    """Film and encode what the rows are measured on, or read it: `worlds`, the RGB-D `picture`, `photographs`."""
    tokenizer, _ = load_tokenizer(args.tokenizer)

    def keep(name: str, make: Callable[..., Trial], *of: Any) -> Trial:
        log.info("held out: %s", name)
        return trials.kept(args.out / f"{name}.npz", partial(make, *of, tokenizer, cell=MINI.cell))

    worlds = [
        keep(f"world_{index}", trials.make_world, prompt, size)
        for index, prompt in enumerate(trials.WORLDS[: args.worlds])
    ]
    pictures = [keep(name, trials.make_photograph, image) for name, image in photographs()]
    return {
        "worlds": worlds,
        "picture": [keep("motorcycle", trials.make_motorcycle)],
        "photographs": pictures,
    }


def do_row(row: Row, source: SceneDataset, folder: Path, held_out: dict[str, list[Trial]]) -> None:
    """Train a row to its end and measure what is not measured yet."""
    path = folder / "measured.json"
    document = json.loads(path.read_text()) if path.exists() else {"measured": {}}
    wanted = ("exact", "disturbed", "picture", "photographs") if row.cache_question else ("exact",)
    missing = [condition for condition in wanted if condition not in document["measured"]]
    if not missing:
        log.info("%s: done already", row.name)
        return
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text(
        json.dumps({"config": row.config.to_dict(), "stages": [asdict(s) for s in row.stages]}, indent=1)
    )
    log.info("%s: %s", row.name, row.about)
    training = Training(row.config, list(row.stages), source, folder, seed=row.seed)
    training.resume()
    training.run_all()
    decoder = training.decoder.eval()
    for condition in missing:
        scenes = held_out.get(condition, held_out["worlds"])
        wrong = condition == "disturbed"
        figures = [measure(decoder, trial, apart=row.apart, wrong=wrong) for trial in scenes]
        document["measured"][condition] = mean_of(figures)
    document["seconds"] = training.seconds
    with atomic_path(path) as part:
        part.write_text(json.dumps(document, indent=1))
    log.info("%s: %s", row.name, document["measured"])


def read_measured(rows: list[Row], out: Path) -> dict[str, Any]:
    """Return what is measured of every row that is done."""
    files = {row.name: out / row.name / "measured.json" for row in rows}
    return {name: json.loads(path.read_text())["measured"] for name, path in files.items() if path.exists()}


def describe(
    args: argparse.Namespace, rows: list[Row], source: SceneDataset, size: sizes.Size
) -> dict[str, Any]:
    """Return what the head of the table says."""
    files = [args.out / row.name / "measured.json" for row in rows]
    seconds = sum(json.loads(path.read_text())["seconds"] for path in files if path.exists())
    from generator.decoder import LyraDecoder

    return {
        "command": f"python -m benchmarks.ablation --scenes DIR --out RUN --steps {args.steps} --worlds {args.worlds}",
        "parameters": sum(p.numel() for p in LyraDecoder(rows[0].config).parameters()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": datetime.now(UTC).date().isoformat(),
        "steps": args.steps,
        "scenes": len(source),
        "size": f"{size.height}x{size.width}",
        "seed": args.seed,
        "minutes": seconds / 60,
        "worlds": args.worlds,
    }


if __name__ == "__main__":
    main()
