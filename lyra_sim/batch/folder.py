"""The output folder of a batch: its lock, and how scenes get into it whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lyra_sim.atomic import disk_error, require_parent
from lyra_sim.errors import LyraSimError
from lyra_sim.ledger import sole_holder

JOURNAL, MANIFEST, TABLE, PAGE = "journal.jsonl", "manifest.jsonl", "manifest.parquet", "index.html"
SPEC = "spec.yaml"
SCENES = "scenes"
REJECTED = "rejected"
REPORT = "report.json"
_LOCK, _WORK = ".lock", ".work"


class BatchFolder:
    """Where everything of a batch lies.

    Workers write into folders of their own below `.work`; only the driver, which holds the lock, moves them to
    `scenes/<id>`. So whatever is in `scenes` is whole, and a worker that outlives its driver changes nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.scenes = self.path / SCENES
        self.work = self.path / _WORK

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder if need be and hold it alone; the lock goes when this process ends, however it ends.

        Raises:
            LyraSimError: Another driver has it, it holds something else, or it cannot be written.
        """
        self.check()
        try:
            self.path.mkdir(exist_ok=True)
            with sole_holder(self.path / _LOCK, self._refusal):
                try:
                    (self.path / JOURNAL).touch()
                    self.scenes.mkdir(exist_ok=True)
                    shutil.rmtree(self.work, ignore_errors=True)
                    self.work.mkdir(exist_ok=True)
                    yield
                finally:
                    # Only the holder may: what lies there while another driver holds the lock is being made.
                    shutil.rmtree(self.work, ignore_errors=True)
        except OSError as error:
            raise disk_error(error, self.path) from error

    def check(self) -> None:
        """Raise LyraSimError unless the folder is new, empty or a batch's."""
        require_parent(self.path)
        if self.path.is_file():
            raise LyraSimError(f"--out {self.path}: is a file; name a folder")
        try:
            foreign = self.path.is_dir() and any(self.path.iterdir()) and not (self.path / JOURNAL).is_file()
        except OSError as error:
            raise disk_error(error, self.path) from error
        if foreign:
            raise LyraSimError(f"--out {self.path}: is not empty and no batch; name a new folder")

    def _refusal(self, holder: str) -> str:
        return f"--out {self.path}: {holder} is working on this folder; wait for it or end it"

    def publish(self, work: Path, scene: str) -> None:
        """Move a finished scene into place and make sure that it stays there.

        Raises:
            OSError: The disk fails.
        """
        target = self.scenes / scene
        if target.exists():
            shutil.rmtree(target)
        os.rename(work, target)
        sync(self.scenes)

    def publish_rejected(self, picture: Path, scene: str) -> None:
        """Move the picture of a rejected scene to where the page shows it.

        Raises:
            OSError: The disk fails.
        """
        target = self.path / rejected_picture(scene)
        target.parent.mkdir(exist_ok=True)
        os.replace(picture, target)

    def report(self, scene: str) -> dict[str, Any] | None:
        """Return what a finished scene says about itself; None when there is none or files are missing."""
        try:
            row = json.loads((self.scenes / scene / REPORT).read_bytes())
        except (OSError, ValueError):
            return None
        return row if isinstance(row, dict) and row.get("id") == scene and self.complete(row) else None

    def complete(self, row: Mapping[str, Any]) -> bool:
        """Say whether all files of a scene are there with the right sizes."""
        try:
            folder = self.scenes / str(row["id"])
            return (folder / REPORT).is_file() and all(
                (folder / name).stat().st_size == facts["bytes"] for name, facts in row["files"].items()
            )
        except (OSError, KeyError, TypeError, AttributeError):
            return False


def rejected_picture(scene: str) -> str:
    """Return the path of a rejected scene's picture in the folder."""
    return f"{REJECTED}/{scene}.jpg"


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def describe_files(folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """Return hash and size of files, after making sure that they are on the disk."""
    facts = {}
    for name in names:
        sync(folder / name)
        with open(folder / name, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        facts[name] = {"sha256": digest, "bytes": (folder / name).stat().st_size}
    return facts
