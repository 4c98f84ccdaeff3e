"""The append-only record of what happened to each scene of a batch."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from lyra_sim.ledger import append_line, open_ledger


class Journal:
    """Append JSON lines that survive a crash at any moment.

    Every line is on the disk before `append` returns. A line that a crash or a full disk left unfinished is cut
    off when the journal is opened the next time; one that was damaged otherwise is passed over and counted.

    Attributes:
        events: The records found when it was opened, in order.
        damaged: Lines that could not be read, the unfinished last one aside.
    """

    def __init__(self, path: Path) -> None:
        """Open or begin a journal; only the holder of the folder's lock may."""
        self.path = path
        self._file, content = open_ledger(path)
        self.events, self.damaged = parse(content)

    def append(self, event: str, **fields: Any) -> None:
        """Write one record with the time.

        Raises:
            LyraSimError: The disk is full or failing; `__cause__` is the OSError.
        """
        record = {"event": event, "time": round(time.time(), 3), **fields}
        append_line(self._file, self.path, json.dumps(record, separators=(",", ":")))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def parse(content: bytes) -> tuple[list[dict[str, Any]], int]:
    """Return the records of whole lines, and how many lines were none."""
    events, damaged = [], 0
    for line in content.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict) and isinstance(record.get("event"), str):
            events.append(record)
        else:
            damaged += 1
    return events, damaged
