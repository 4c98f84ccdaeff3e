"""What a worker does, on whatever machine and under whatever engine: make one scene and judge it."""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lyra_sim.batch.folder import JOURNAL, REPORT, describe_files, sync
from lyra_sim.batch.measure import measure, reasons_to_reject
from lyra_sim.batch.scenes import PlannedScene, retry_seed
from lyra_sim.errors import LyraSimError

SCENE, PREVIEW, THUMBNAIL = "scene.usdz", "preview.png", "thumbnail.jpg"
MAP_IMAGE, MAP, COLLIDER = "map.pgm", "map.yaml", "collider.usdc"

Generate = Callable[["Task", int, Path], Mapping[str, Any]]
"""Makes `scene.usdz` (and `preview.png`) of a task with a seed in a folder; returns the report and peak memory."""


@dataclass(frozen=True)
class Task:
    """Hold all that a worker needs."""

    scene: PlannedScene
    """What to make."""
    recipe: Mapping[str, Any]
    """How; see `Plan.recipe`."""
    work: str
    """Folder in which every execution makes one of its own."""
    generate: str = "lyra_sim.batch.make:generate_scene"
    """Who makes scenes, as `module:function`."""


Kind = Literal["made", "rejected", "failed", "disk full", "lost"]


@dataclass(frozen=True)
class Outcome:
    """Say how a task ended."""

    kind: Kind
    """`made`; `rejected` by the quality gate; `failed` with an error; `lost` with its worker."""
    folder: str = ""
    """Where the made scene lies."""
    row: Mapping[str, Any] = field(default_factory=dict)
    """What the made scene says about itself; equal whenever the scene is."""
    attempts: tuple[Mapping[str, Any], ...] = ()
    """Seed and reasons of every attempt that was no good."""
    seconds: float = 0.0
    """Time the task took."""
    peak_mib: float = 0.0
    """Most memory that the worker held meanwhile."""
    picture: str = ""
    """Small picture of the last try of a rejected scene."""

    @property
    def reason(self) -> str:
        """The last reason against it."""
        return "; ".join(self.attempts[-1]["reasons"]) if self.attempts else ""


def work(task: Task) -> Outcome:
    """Make a scene, with further seeds while it is rejected and tries are left; never raises for a bad scene."""
    began = time.perf_counter()
    root = Path(task.work)
    if not (root.parent / JOURNAL).is_file():
        # Say it here: the generator would only find that some folder does not exist.
        return _failed(
            f"{root.parent} is not there on {socket.gethostname()}; every machine must see the output folder"
        )
    module, _, name = task.generate.partition(":")
    generate: Generate = getattr(importlib.import_module(module), name)
    attempts: list[Mapping[str, Any]] = []
    peak, picture = 0.0, ""
    kind: Kind = "failed"
    for attempt in range(1 + int(task.recipe["quality"]["retries"])):
        seed = retry_seed(task.scene, attempt)
        folder = root / f"{task.scene.id}-{uuid.uuid4().hex[:8]}"
        kind, row, reasons, memory = _attempt(task, generate, seed, folder, attempts)
        peak = max(peak, memory)
        if kind == "made":
            if picture:
                Path(picture).unlink(missing_ok=True)
            seconds = time.perf_counter() - began
            return Outcome("made", str(folder), row, tuple(attempts), round(seconds, 3), peak)
        picture = _keep_picture(folder, picture) if kind == "rejected" else picture
        shutil.rmtree(folder, ignore_errors=True)
        attempts.append({"seed": seed, "reasons": reasons})
        if kind == "disk full":
            break
    seconds = round(time.perf_counter() - began, 3)
    return Outcome(kind, picture=picture, attempts=tuple(attempts), seconds=seconds, peak_mib=peak)


def _attempt(
    task: Task, generate: Generate, seed: int, folder: Path, before: list[Mapping[str, Any]]
) -> tuple[Kind, Mapping[str, Any], list[str], float]:
    """Return how one seed ended, the row of a made scene, reasons against it, and peak memory [MiB]."""
    try:
        folder.mkdir()
        made = generate(task, seed, folder)
        row = _finish(task, seed, folder, made["report"], before)
        reasons = reasons_to_reject(row["metrics"], task.recipe["quality"])
        return ("rejected" if reasons else "made"), row, reasons, float(made["peak_mib"])
    except (Exception, MemoryError) as error:
        if is_disk_full(error):
            return "disk full", {}, [str(error)], 0.0
        if isinstance(error, LyraSimError):
            return "failed", {}, [str(error)], 0.0
        return "failed", {}, [" ".join(f"internal error: {type(error).__name__}: {error}".split())], 0.0


def _finish(
    task: Task, seed: int, folder: Path, report: Mapping[str, Any], before: list[Mapping[str, Any]]
) -> dict[str, Any]:
    """Measure the scene, write what goes with it, and return its row of the manifest."""
    scene, recipe = task.scene, task.recipe
    measured = measure(folder / SCENE, report, recipe["maps"], seed=seed)
    names = [SCENE]
    if (folder / PREVIEW).is_file():
        _thumbnail(folder)
        names += [PREVIEW, THUMBNAIL]
    if measured.collider is not None and measured.grid is not None:
        from lyra_sim.usd.collider_file import write_collider

        write_collider(folder / COLLIDER, measured.collider)
        (folder / MAP_IMAGE).write_bytes(measured.grid.pgm())
        (folder / MAP).write_text(measured.grid.yaml(MAP_IMAGE))
        names += [COLLIDER, MAP_IMAGE, MAP]
    row = {
        "id": scene.id,
        "prompt": scene.prompt,
        "picture": Path(scene.picture).name if scene.picture else None,
        "picture_sha256": scene.picture_sha256,
        "slots": dict(scene.slots),
        "requested_seed": scene.seed,
        "seed": seed,
        "rejected": list(before),
        "size": recipe["make"]["size"],
        "target": recipe["make"]["target"],
        "files": describe_files(folder, names),
        "metrics": measured.metrics,
        "bounds_m": measured.bounds,
        "spawn_points": measured.spawn_points,
        "robot": dict(recipe["maps"]["robot"]),
        "licences": licences(measured.provenance),
        "provenance": measured.provenance,
    }
    report_file = folder / REPORT
    # Without the seconds of its stages a report, too, is equal whenever the scene is.
    rest = {name: value for name, value in report.items() if name not in ("stages", "inputs")}
    report_file.write_text(json.dumps(row | {"report": rest}, indent=1) + "\n")
    sync(report_file)
    sync(folder)
    return row


def _thumbnail(folder: Path) -> None:
    from PIL import Image

    with Image.open(folder / PREVIEW) as picture:
        small = picture.convert("RGB")
        small.thumbnail((640, 640))
        small.save(folder / THUMBNAIL, quality=80)


def _keep_picture(folder: Path, before: str) -> str:
    """Put the thumbnail of a scene that goes beside its folder, in place of an earlier try's; return its path."""
    kept = folder.with_suffix(".jpg")
    try:
        os.replace(folder / THUMBNAIL, kept)
    except OSError:
        # Without a preview there is none.
        return before
    if before:
        Path(before).unlink(missing_ok=True)
    return str(kept)


def licences(provenance: object) -> list[str]:
    """Return every licence that a provenance names, once each."""
    found: set[str] = set()
    waiting = [provenance]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            found |= {str(v) for k, v in value.items() if k in ("licence", "license") and isinstance(v, str)}
            waiting += list(value.values())
        elif isinstance(value, (list, tuple)):
            waiting += list(value)
    return sorted(found)


def is_disk_full(error: BaseException | None) -> bool:
    """Say whether an error, or what caused it, is a full disk or quota."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def _failed(reason: str) -> Outcome:
    return Outcome("failed", attempts=({"seed": None, "reasons": [reason]},))
