"""Film the scenes of a plan and write them, with a manifest that says which are complete."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from generator.generate import imagine
from generator.request import Request, Run
from generator.sizes import Size
from generator.start import begin
from generator.tokenizer import CosmosTokenizer, load_tokenizer
from lyra_sim import __version__
from lyra_sim.atomic import disk_error
from lyra_sim.errors import LyraSimError
from lyra_sim.ledger import append_line, open_ledger, sole_holder
from lyra_sim.progress import Progress
from training.sdg.layout import REVERSED_FROM, reversed_clip, write_scene
from training.sdg.plan import Item

MANIFEST = "manifest.jsonl"
LEAST_FREE = 64 << 20
"""Room on the disk below which no scene is counted as made [bytes]."""
VIEWS = ("left", "right", "up", "zoom_out", "zoom_in", "clockwise")
"""Camera paths in the order of the published view folders 0 to 5."""


@dataclass(frozen=True)
class DataSettings:
    """Say how the scenes of a run are made."""

    teacher: str | None = None
    """Name of the teacher; None takes the one for the input and size."""
    trajectories: tuple[str, ...] = VIEWS
    """Camera paths to film."""
    movement: float = 1.0
    """Factor on the movement distance of every path."""
    backwards: bool = False
    """Whether views 6 to 11 are written too: the paths run backwards, encoded anew, with their own poses."""

    def words(self, size: Size) -> str:
        """Return what identifies the settings, so that scenes made otherwise are other scenes."""
        return " ".join(
            (
                self.teacher or "default",
                f"{size.name} {size.height}x{size.width}x{size.frames}",
                ",".join(self.trajectories),
                str(self.movement),
                "backwards" if self.backwards else "forwards",
            )
        )


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the lines of a manifest by scene; a last line that was cut off by a crash is left out.

    Raises:
        LyraSimError: Another line is damaged.
    """
    path = folder / MANIFEST
    lines = path.read_text().splitlines() if path.is_file() else []
    entries = {}
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            entries[entry["stem"]] = entry
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise LyraSimError(
                f"{path}, line {number}: is no entry of a manifest; restore or remove it"
            ) from error
    return entries


def make_data(
    items: Sequence[Item], folder: Path, size: Size, settings: DataSettings, progress: Progress
) -> dict[str, int]:
    """Make every scene that the manifest does not name yet; safe to stop anywhere and to start again.

    Returns:
        How many scenes were made, were there already, and failed (a line of `failures.jsonl` says why).

    Raises:
        LyraSimError: Another run works on the folder, the disk is full, or no scene could be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refusal = f"{folder}: another run works on this folder; wait for it or choose another"
    with sole_holder(folder / ".lock", lambda holder: refusal), _ledger(folder / MANIFEST) as manifest:
        done = read_manifest(folder)
        todo = [item for item in items if item.stem not in done]
        tokenizer, card = load_tokenizer(size.tokenizer)
        failed, began = 0, time.monotonic()
        for index, item in enumerate(todo):
            each = (time.monotonic() - began) / index if index else float("nan")
            progress.update(
                "sdg", index / len(todo), f"{item.stem} ({index + 1} of {len(todo)}, {each:.1f} s each)"
            )
            try:
                entry = make_scene(item, folder, size, settings, tokenizer, str(card["sha256"]))
            except LyraSimError as error:
                failed += 1
                with _ledger(folder / "failures.jsonl") as failures:
                    failures({"stem": item.stem, "reason": str(error)})
                progress.note(f"{item.stem}: {error}")
                continue
            except OSError as error:
                raise disk_error(error, folder) from error
            manifest(entry)
        if todo and failed == len(todo):
            raise LyraSimError(f"none of {failed} scenes could be made; {folder / 'failures.jsonl'} says why")
        return {"made": len(todo) - failed, "present": len(items) - len(todo), "failed": failed}


@contextmanager
def _ledger(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Open a file of JSON lines and yield what appends one to it, as long as the disk has room."""
    file, _ = open_ledger(path)

    def append(entry: dict[str, Any]) -> None:
        if shutil.disk_usage(path.parent).free < LEAST_FREE:
            raise LyraSimError(
                f"{path.parent}: less than 64 MB left on the disk; free some and run the command again"
            )
        append_line(file, path, json.dumps(entry))

    try:
        yield append
    finally:
        os.close(file)


def make_scene(
    item: Item,
    folder: Path,
    size: Size,
    settings: DataSettings,
    tokenizer: CosmosTokenizer,
    tokenizer_sha256: str,
) -> dict[str, Any]:
    """Film and write one scene; returns its line of the manifest."""
    began = time.monotonic()
    request = Request(
        prompt=item.prompt,
        out=folder / item.stem,
        seed=item.seed,
        image=item.image,
        video=item.video,
        teacher=settings.teacher,
        trajectories=settings.trajectories,
        movement=settings.movement,
    )
    run = Run(request, Progress("none", {"picture": 1.0, "teacher": 1.0, "world": 1.0}))
    start = begin(run, size)
    video = imagine(run, size, start)
    clips = {VIEWS.index(clip.name): clip for clip in video.clips}
    if settings.backwards:
        clips |= {number + REVERSED_FROM: reversed_clip(clip) for number, clip in sorted(clips.items())}
    shard = folder / f"shard_{item.shard:05d}"
    encoder = partial(encode, tokenizer)
    files = write_scene(shard, item.stem, clips, encoder, tokenizer_sha256=tokenizer_sha256)
    return {
        "stem": item.stem,
        "shard": shard.name,
        "split": item.split,
        "views": sorted(clips),
        "prompt": item.prompt,
        "seed": item.seed,
        "source": video.source,
        "size": size.name,
        "unit_m": start.unit if video.metric else None,
        "frames": size.frames,
        "height": size.height,
        "width": size.width,
        "bytes": sum(path.stat().st_size for path in files),
        "seconds": round(time.monotonic() - began, 2),
        "lyra_sim": __version__,
    }


@torch.inference_mode()
def encode(tokenizer: CosmosTokenizer, rgb: np.ndarray) -> np.ndarray:
    """Return the raw latents (C, t, h, w) of frames (T, H, W, 3) uint8."""
    return tokenizer.encode_frames(rgb).numpy()
