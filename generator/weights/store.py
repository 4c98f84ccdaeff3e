"""The folder of converted weights: one safetensors file and one card for each entry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from generator.weights.checkpoint import Card, load_card
from generator.weights.convert import Configuration, convert
from generator.weights.folder import Say, verify_folder
from generator.weights.registry import FOLDER, Entry
from generator.weights.write import file_hash, write_pair
from lyra_sim.atomic import atomic_path
from lyra_sim.doctor import weights_folder
from lyra_sim.errors import LyraSimError


class Store:
    """Keep converted weights in one folder, safely for several processes at once."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder, which need not exist yet; default is `lyra_sim.doctor.weights_folder()`."""
        self.folder = weights_folder() if folder is None else folder

    def card_path(self, entry: Entry) -> Path:
        """Return where the card of an entry lies, or would lie."""
        return self.folder / f"{entry.name}.json"

    def has(self, entry: Entry) -> bool:
        """Return whether an entry was converted into the store; its card is always written last."""
        return self.card_path(entry).is_file()

    @contextmanager
    def locked(self, entry: Entry, say: Say) -> Iterator[None]:
        """Hold the entry against other processes; waits for them, and says so."""
        self._make_folder()
        lock = FileLock(self.folder / f".{entry.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{entry.name}: waiting for another process that works on it (lock {lock.lock_file})")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def install(
        self,
        entry: Entry,
        files: Mapping[str, Path],
        *,
        configuration: Configuration | None = None,
        any_version: bool = False,
        say: Say = lambda line: None,
    ) -> Card:
        """Check published files, convert them, and write the result with its card; the caller holds the lock.

        Args:
            entry: What the files are.
            files: Paths by the names that the registry has for them.
            configuration: Arguments of the network; default is that of the published weights.
            any_version: Whether to go on when a checksum differs from the published one.
            say: Receives a line per step.

        Raises:
            LyraSimError: A file is not the published one or cannot be converted, or the disk is full.
        """
        for leftover in self.folder.glob(f".{entry.name}-*.part*"):
            # The lock is ours, so this is from a process that was killed in mid-write.
            leftover.unlink(missing_ok=True)
        source = {name: self._check(entry, name, path, any_version) for name, path in files.items()}
        say(f"{entry.name}: converting to {self.card_path(entry).with_suffix('.safetensors')}")
        tensors, built = convert(entry, files, configuration)
        facts: dict[str, Any] = {"licence": entry.licence, "licence_page": entry.page}
        facts["source"] = {"repository": entry.repository, "files": source}
        if entry.rays is not None:
            facts["rays"] = entry.rays
        write_pair(self.folder, entry.name, entry.kind, tensors, built, facts)
        return self.verify(entry)

    def verify(self, entry: Entry) -> Card:
        """Read an entry's card and compare the checksum of its weights; raises LyraSimError when they differ."""
        remedy = f"run lyra-sim weights remove {entry.name}, then pull or import it again"
        if not self.has(entry):
            raise LyraSimError(
                f"{entry.name} is not in {self.folder}; run lyra-sim weights pull {entry.name}"
            )
        if entry.layout == FOLDER:
            return verify_folder(entry, self)
        card = load_card(self.card_path(entry))
        path = self.folder / f"{entry.name}.safetensors"
        if not path.is_file():
            raise LyraSimError(f"{path} is missing beside its card; {remedy}")
        size, found = path.stat().st_size, file_hash(path, "sha256")
        if found != card["sha256"]:
            raise LyraSimError(
                f"{path}: expected {card['bytes']} bytes with SHA-256 {card['sha256'][:12]}, found {size} bytes "
                f"with {found[:12]}; {remedy}"
            )
        return card

    def remove(self, entry: Entry, say: Say) -> None:
        """Delete an entry's card, then its weights; raises LyraSimError when it is not there."""
        with self.locked(entry, say):
            if not self.has(entry):
                raise LyraSimError(f"{entry.name} is not in {self.folder}; nothing to remove")
            self.card_path(entry).unlink()
            (self.folder / f"{entry.name}.safetensors").unlink(missing_ok=True)
            if entry.layout == FOLDER:
                shutil.rmtree(self.folder / entry.name, ignore_errors=True)

    def accepted(self, entry: Entry) -> bool:
        """Return whether the entry's licence was accepted for this store."""
        return entry.licence_key in self._licences()

    def accept(self, entry: Entry) -> None:
        """Remember that the entry's licence was accepted."""
        self._make_folder()
        with FileLock(self.folder / ".licences.lock"), atomic_path(self.folder / "licences.json") as path:
            known = sorted({*self._licences(), entry.licence_key})
            path.write_text(json.dumps({"accepted": known}, indent=1) + "\n", encoding="utf-8")

    def _licences(self) -> list[str]:
        try:
            record: Any = json.loads((self.folder / "licences.json").read_text(encoding="utf-8"))
            return list(record["accepted"])
        except (OSError, ValueError, KeyError, TypeError):
            # A damaged record only means that the question is asked once more.
            return []

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LyraSimError(
                f"cannot make the weights folder {self.folder} ({error.strerror}); set LYRA_SIM_WEIGHTS to another"
            ) from None

    def _check(self, entry: Entry, name: str, path: Path, any_version: bool) -> dict[str, Any]:
        """Return size and MD5 of a published file; raises LyraSimError when it is not the stated one."""
        if not path.is_file():
            raise LyraSimError(f"{path} does not exist; give {name} of {entry.repository}")
        found, size = file_hash(path, "md5"), path.stat().st_size
        expected = next(file.md5 for file in entry.files if file.name == name)
        if expected and found != expected and not any_version:
            raise LyraSimError(
                f"{path}: expected {name} of {entry.repository} with MD5 {expected}, found {size} bytes with MD5 "
                f"{found}: cut off, or another version; download it again, or add --any-version to take it as it is"
            )
        return {"name": path.name, "bytes": size, "md5": found}


def existing_ancestor(path: Path) -> Path:
    """Return the nearest folder above a path, or the path itself, that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
