"""The jobs of a server in SQLite, so that their states survive a restart."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lyra_sim.errors import LyraSimError

JobState = Literal["queued", "running", "cancelling", "done", "failed", "cancelled"]
ACTIVE: tuple[JobState, ...] = ("queued", "running", "cancelling")

MAX_EVENTS = 5000
"""Progress messages kept per job; the last message is kept in any case."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, request TEXT NOT NULL, created REAL NOT NULL,
    started REAL, finished REAL, pid INTEGER
);
CREATE TABLE IF NOT EXISTS events (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, number INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (job, number)
);
"""


@dataclass(frozen=True)
class Job:
    """One row of the job table."""

    id: str
    """Random name of the job."""
    state: JobState
    """Where the job stands."""
    request: Mapping[str, object]
    """Fields of `lyra_sim.jobs.GenRequest`; inputs are names of files in the job's folder."""
    created: float
    """When it was submitted, in seconds since 1970."""
    started: float | None
    """When its child process started."""
    finished: float | None
    """When it ended."""
    pid: int | None
    """Process id of its child."""


class QueueFullError(Exception):
    """The queue has as many waiting jobs as it may have."""


class JobStore:
    """Jobs and their messages; safe to use from several threads, open in one process at a time."""

    def __init__(self, path: Path) -> None:
        """Open or make the database.

        Raises:
            LyraSimError: Another server has it open, or it cannot be written.
        """
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, timeout=0.5, check_same_thread=False, isolation_level=None)
            # An exclusive lock, held while the process lives, keeps a second server out of this folder.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.execute("COMMIT")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise LyraSimError(
                f"{path}: cannot be opened ({error}); another `lyra-sim serve` may be using this folder, "
                "choose another with --data"
            ) from error

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    def add(self, request: Callable[[str], Mapping[str, object]], *, queue_length: int) -> Job:
        """Queue a new job, if there is room.

        Args:
            request: Called with the job's new id when there is room; returns what to store, or raises.
            queue_length: Jobs that may wait.

        Raises:
            QueueFullError: `queue_length` jobs are waiting already.
        """
        job = secrets.token_hex(16)
        with self._lock:
            (waiting,) = self._db.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()
            if waiting >= queue_length:
                raise QueueFullError
            self._db.execute(
                "INSERT INTO jobs (id, state, request, created) VALUES (?, 'queued', ?, ?)",
                (job, json.dumps(dict(request(job))), time.time()),
            )
            return self._get(job)

    def get(self, job: str) -> Job | None:
        """Return one job."""
        with self._lock:
            return self._find(job)

    def jobs(self, *, limit: int = 100) -> list[Job]:
        """Return the newest jobs, newest first."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM jobs ORDER BY created DESC, rowid DESC LIMIT ?", (limit,))
            return [_job(row) for row in rows]

    def position(self, job: str) -> int | None:
        """Return how many waiting jobs come before a waiting job; None for one that does not wait."""
        with self._lock:
            queue = [row[0] for row in self._db.execute(f"{_QUEUE} LIMIT 10000")]
        return queue.index(job) if job in queue else None

    def take_next(self) -> Job | None:
        """Mark the oldest waiting job as running and return it."""
        with self._lock:
            row = self._db.execute(f"{_QUEUE} LIMIT 1").fetchone()
            if row is None:
                return None
            self._db.execute(
                "UPDATE jobs SET state = 'running', started = ? WHERE id = ?", (time.time(), row[0])
            )
            return self._get(row[0])

    def set_pid(self, job: str, pid: int) -> None:
        """Record the child process of a job, so that a later server can end it if this one dies."""
        with self._lock:
            self._db.execute("UPDATE jobs SET pid = ? WHERE id = ?", (pid, job))

    def request_cancel(self, job: str) -> Job | None:
        """End a waiting job, or mark a running one for its worker; a finished one stays as it is."""
        with self._lock:
            found = self._find(job)
            if found is None:
                return None
            if found.state == "queued":
                self._finish(job, "cancelled", {"type": "error", "message": "Cancelled", "cancelled": True})
            elif found.state == "running":
                self._db.execute("UPDATE jobs SET state = 'cancelling' WHERE id = ?", (job,))
            return self._get(job)

    def append(self, job: str, record: Mapping[str, object]) -> None:
        """Keep one progress message."""
        with self._lock:
            if self._last_number(job) < MAX_EVENTS:
                self._append(job, record)

    def finish(self, job: str, state: JobState, record: Mapping[str, object]) -> None:
        """Keep the last message and set the final state."""
        with self._lock:
            self._finish(job, state, record)

    def events(self, job: str, *, after: int) -> list[tuple[int, str]]:
        """Return (number, JSON text) of the messages after a number; numbers count from 1."""
        with self._lock:
            rows = self._db.execute(
                "SELECT number, record FROM events WHERE job = ? AND number > ? ORDER BY number", (job, after)
            )
            return rows.fetchall()

    def last_event(self, job: str) -> dict[str, object] | None:
        """Return the newest message of a job."""
        with self._lock:
            row = self._db.execute(
                "SELECT record FROM events WHERE job = ? ORDER BY number DESC LIMIT 1", (job,)
            ).fetchone()
            return None if row is None else json.loads(row[0])

    def interrupted(self) -> list[Job]:
        """Return the jobs that were running when an earlier server died."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM jobs WHERE state IN ('running', 'cancelling')")
            return [_job(row) for row in rows]

    def surplus(self, *, keep: int) -> list[str]:
        """Return the finished jobs beyond the newest `keep`."""
        with self._lock:
            rows = self._db.execute(
                f"SELECT id FROM jobs WHERE state NOT IN {ACTIVE} ORDER BY finished DESC LIMIT -1 OFFSET ?",
                (keep,),
            )
            return [row[0] for row in rows]

    def delete(self, jobs: Iterable[str]) -> None:
        """Forget jobs and their messages."""
        with self._lock:
            self._db.executemany("DELETE FROM jobs WHERE id = ?", [(job,) for job in jobs])

    def _find(self, job: str) -> Job | None:
        row = self._db.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
        return None if row is None else _job(row)

    def _get(self, job: str) -> Job:
        found = self._find(job)
        assert found is not None
        return found

    def _last_number(self, job: str) -> int:
        return self._db.execute(
            "SELECT coalesce(max(number), 0) FROM events WHERE job = ?", (job,)
        ).fetchone()[0]

    def _append(self, job: str, record: Mapping[str, object]) -> None:
        self._db.execute(
            "INSERT INTO events VALUES (?, ?, ?)", (job, self._last_number(job) + 1, json.dumps(dict(record)))
        )

    def _finish(self, job: str, state: JobState, record: Mapping[str, object]) -> None:
        # One transaction: a reader never finds a finished job without its last message.
        with self._db:
            self._db.execute("BEGIN")
            self._append(job, record)
            self._db.execute(
                "UPDATE jobs SET state = ?, finished = ?, pid = NULL WHERE id = ?", (state, time.time(), job)
            )


_QUEUE = "SELECT id FROM jobs WHERE state = 'queued' ORDER BY created, rowid"


def _job(row: tuple) -> Job:
    job, state, request, *times = row
    return Job(job, state, json.loads(request), *times)
