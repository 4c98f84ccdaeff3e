"""Pictures, depth maps and videos that clients send; the server alone names the files."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import AsyncIterator
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

    def take(self, upload: str, into: Path) -> str | None:
        """Move an upload into a job's folder and return its file name there; None when there is no such upload."""
        # The pattern leaves no character that means anything in a path or a glob.
        if not re.fullmatch(r"[0-9a-f]{32}", upload):
            return None
        for source in self._folder.glob(f"{upload}.*"):
            if source.suffix in SUFFIXES.values():
                into.mkdir(parents=True, exist_ok=True)
                name = f"input-{upload[:8]}{source.suffix}"
                os.replace(source, into / name)
                return name
        return None

    def _prune(self) -> None:
        files = sorted(self._folder.iterdir(), key=lambda file: file.stat().st_mtime)
        for index, file in enumerate(files):
            age = time.time() - file.stat().st_mtime
            if age > MAX_AGE_S or (len(files) - index >= MAX_PENDING and file.suffix != ".part"):
                file.unlink(missing_ok=True)
