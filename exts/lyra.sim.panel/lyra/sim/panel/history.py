"""The scenes a user has generated, kept as one JSON file in the output folder."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

MAX_ENTRIES = 50
FILE = "history.json"


@dataclass(frozen=True)
class Entry:
    """One generated scene."""

    title: str
    """The prompt, or the name of the picture or video."""
    seed: int
    """The seed."""
    scene: str
    """Absolute path of the scene."""
    preview: str | None
    """Absolute path of its picture."""
    command_line: str
    """The command that makes it again."""
    created: float
    """When, in seconds since 1970."""


def load_history(folder: Path) -> list[Entry]:
    """Return the entries, newest first; a damaged file, or an entry that makes no sense, counts as none."""
    try:
        records = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(records, list):
        return []
    return [entry for record in records[:MAX_ENTRIES] if (entry := _read(record))]


def add_to_history(folder: Path, entry: Entry) -> list[Entry]:
    """Put an entry first, write the file whole or not at all, and return the entries."""
    entries = [entry, *load_history(folder)][:MAX_ENTRIES]
    handle, name = tempfile.mkstemp(prefix=".history-", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump([asdict(entry) for entry in entries], file, indent=1)
        os.replace(name, folder / FILE)
    finally:
        Path(name).unlink(missing_ok=True)
    return entries


def new_scene_path(output: Path, title: str, seed: int, *, now: float | None = None) -> Path:
    """Make a folder for a new scene and return the path for the scene in it.

    The name tells people what it is, as in `narrow-warehouse-aisle_7_20261122-205500/scene.usdz`.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or "scene"
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    name = f"{slug}_{seed}_{stamp}"
    for attempt in range(1000):
        folder = output / (name if attempt == 0 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder / "scene.usdz"
    raise FileExistsError(f"{output / name} and its like are all taken")


def discard_scene_folder(scene: Path) -> None:
    """Remove the folder made for a scene that did not come, if nothing was left in it."""
    try:
        scene.parent.rmdir()
    except OSError:
        # What a failed job leaves may be worth a look.
        return


def _read(record: object) -> Entry | None:
    if not isinstance(record, dict) or set(record) != {field.name for field in fields(Entry)}:
        return None
    entry = Entry(**record)
    texts = (entry.title, entry.scene, entry.command_line)
    if not all(isinstance(text, str) for text in texts) or not isinstance(entry.preview, str | None):
        return None
    if not isinstance(entry.seed, int) or not isinstance(entry.created, int | float):
        return None
    return entry
