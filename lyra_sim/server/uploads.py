"""Pictures, depth maps and videos that clients send; the server alone names the files."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from lyra_sim.jobs.server_api import UPLOAD_TYPES

MAX_PENDING = 16
"""Uploads that may wait for a job; the oldest go first."""

MAX_AGE_S = 3600.0
"""Seconds that an upload waits for a job."""

SUFFIXES = {kind: suffix for suffix, kind in UPLOAD_TYPES.items() if suffix not in (".jpeg", ".tiff")}


class Uploads:
    """A folder of uploads that no job has taken yet."""

    def __init__(self, folder: Path) -> None:
        """Make the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    async def save(self, chunks: AsyncIterator[bytes], *, suffix: str) -> tuple[str, int]:
        """Store a body and return (id, bytes); nothing stays of one that breaks off."""
        self._prune()
        upload = secrets.token_hex(16)
        target = self._folder / f"{upload}{suffix}"
        partial = target.with_suffix(".part")
        size = 0
        try:
            with partial.open("wb") as file:
                async for chunk in chunks:
                    size += file.write(chunk)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        return upload, size

    def take(self, uploads: Mapping[str, str], into: Path) -> dict[str, str]:
        """Move all of a job's uploads into its folder, or none.

        Args:
            uploads: Id of the upload by what it is for, such as `image`.
            into: Folder of the job; made when there are uploads and all of them are there.

        Returns:
            Names of the files in the folder, by what they are for.

        Raises:
            LookupError: There is no such upload; the argument is what it was for.
        """
        found = {what: self._find(what, upload) for what, upload in uploads.items()}
        if len(set(found.values())) < len(found):
            raise LookupError(list(found)[-1])
        if found:
            into.mkdir(parents=True, exist_ok=True)
        names = {what: f"input-{source.stem[:8]}{source.suffix}" for what, source in found.items()}
        moved: list[str] = []
        try:
            for what, source in found.items():
                os.replace(source, into / names[what])
                moved.append(what)
        except FileNotFoundError as error:
            # It became too old in this moment.
            for what in moved:
                os.replace(into / names[what], found[what])
            into.rmdir()
            raise LookupError(list(found)[len(moved)]) from error
        return names

    def _find(self, what: str, upload: str) -> Path:
        """Return the file of an upload; raises LookupError when there is none."""
        # The pattern leaves no character that means anything in a path or a glob.
        files = self._folder.glob(f"{upload}.*") if re.fullmatch(r"[0-9a-f]{32}", upload) else ()
        for file in files:
            if file.suffix in SUFFIXES.values():
                return file
        raise LookupError(what)

    def _prune(self) -> None:
        files = sorted(self._folder.iterdir(), key=lambda file: file.stat().st_mtime)
        for index, file in enumerate(files):
            age = time.time() - file.stat().st_mtime
            if age > MAX_AGE_S or (len(files) - index >= MAX_PENDING and file.suffix != ".part"):
                file.unlink(missing_ok=True)
