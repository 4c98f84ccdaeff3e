"""The one worker of a server: it runs the queued jobs, one child process at a time."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lyra_sim.jobs import (
    Capabilities,
    ChildJob,
    Failure,
    GenRequest,
    JobError,
    Message,
    Progress,
    Result,
    as_record,
    query_capabilities,
)
from lyra_sim.jobs.request import INPUTS
from lyra_sim.server.config import ServerConfig
from lyra_sim.server.store import ACTIVE, Job, JobState, JobStore

SCENE = "scene.usdz"
MIN_INTERVAL_S = 0.1
"""Seconds between stored progress messages of one stage that bring no picture; a chattier child is thinned out."""

_MARK = "LYRA_SIM_JOB"
_log = logging.getLogger(__name__)


class Worker:
    """Runs jobs on a thread of its own; `capabilities` answers what the command can do."""

    def __init__(self, config: ServerConfig, store: JobStore) -> None:
        """Take the store; `start` begins."""
        self._config = config
        self._store = store
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._current: tuple[str, ChildJob] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._capabilities: Capabilities | None = None
        self._capabilities_lock = threading.Lock()

    def start(self) -> None:
        """Settle what an earlier server left, and begin to run jobs."""
        for job in self._store.interrupted():
            if job.pid is not None:
                _end_orphan(job.pid, job.id)
            cancelled = job.state == "cancelling"
            state: JobState = "cancelled" if cancelled else "failed"
            why = "Cancelled" if cancelled else "The server was restarted while this job ran; send it again"
            self._store.finish(job.id, state, as_record(Failure(why, cancelled=cancelled)))
        self._thread.start()

    def stop(self) -> None:
        """End the running job and the thread; waiting jobs stay in the store."""
        with self._lock:
            self._stopping = True
            current = self._current
        if current is not None:
            current[1].close()
        self._wake.set()
        self._thread.join(timeout=15)

    def wake(self) -> None:
        """Look at the queue again."""
        self._wake.set()

    def cancel(self, job: str) -> Job | None:
        """Cancel a job in any state; None when there is no such job."""
        with self._lock:
            found = self._store.request_cancel(job)
            if (
                found is not None
                and found.state == "cancelling"
                and self._current
                and self._current[0] == job
            ):
                self._current[1].cancel()
        return found

    def folder(self, job: str) -> Path:
        """Return the folder of a job's files."""
        return self._config.data / "jobs" / job

    def capabilities(self) -> Capabilities:
        """Ask the command once what it can do; takes seconds the first time.

        Raises:
            JobError: The command does not answer.
        """
        with self._capabilities_lock:
            if self._capabilities is None:
                self._capabilities = query_capabilities(self._config.command, environment=os.environ)
            return self._capabilities

    def prune(self) -> None:
        """Remove the oldest finished jobs and their files."""
        surplus = self._store.surplus(keep=self._config.keep_jobs)
        self._store.delete(surplus)
        for job in surplus:
            shutil.rmtree(self.folder(job), ignore_errors=True)

    def _run(self) -> None:
        while True:
            self._wake.clear()
            child = self._start_next()
            if child is not None:
                child.done.wait()
                self._settle()
            elif self._stopping:
                return
            else:
                self._wake.wait()

    def _settle(self) -> None:
        """Leave no job running in the store after its child has ended, and make room."""
        with self._lock:
            job, _ = self._current or ("", None)
            self._current = None
        try:
            found = self._store.get(job)
            if found is not None and found.state in ACTIVE:
                # Its last message could not be stored, for example because the disk was full then.
                self._store.finish(job, "failed", as_record(Failure("The server could not store the result")))
            self.prune()
        except sqlite3.Error:
            _log.exception("Cannot store the end of job %s; it counts as interrupted after a restart", job)

    def _start_next(self) -> ChildJob | None:
        with self._lock:
            if self._stopping or (job := self._store.take_next()) is None:
                return None
            receiver = _Receiver(self._store, job.id, self.folder(job.id), stopping=lambda: self._stopping)
            try:
                child = ChildJob(
                    self._command(job), environment={**os.environ, _MARK: job.id}, on_message=receiver
                )
            except (JobError, OSError) as error:
                receiver(Failure(str(error)))
                self._wake.set()
                return None
            self._current = (job.id, child)
            self._store.set_pid(job.id, child.pid)
            return child

    def _command(self, job: Job) -> list[str]:
        folder = self.folder(job.id)
        folder.mkdir(parents=True, exist_ok=True)
        fields = dict(job.request)
        for name in INPUTS:
            if fields.get(name):
                fields[name] = str(folder / str(fields[name]))
        fields["trajectories"] = tuple(fields.get("trajectories") or ())  # type: ignore[arg-type]
        request = GenRequest(**fields)  # type: ignore[arg-type]
        return [*self._config.command, *request.arguments(str(folder / SCENE))]


class _Receiver:
    """Puts a child's messages into the store, with URL paths in place of this machine's."""

    def __init__(self, store: JobStore, job: str, folder: Path, *, stopping: Callable[[], bool]) -> None:
        self._store = store
        self._job = job
        self._folder = folder
        self._stopping = stopping
        self._last = ("", 0.0)

    def __call__(self, message: Message) -> None:
        if isinstance(message, Progress):
            stage, when = self._last
            now = time.monotonic()
            if message.preview is None and message.stage == stage and now - when < MIN_INTERVAL_S:
                return
            self._last = (message.stage, now)
            self._store.append(self._job, self._record(message))
        elif isinstance(message, Result):
            self._finish_with(message)
        else:
            self._fail(message)

    def _finish_with(self, result: Result) -> None:
        if self._url(result.scene) is None:
            self._fail(Failure("lyra-sim reported a scene that is not there"))
        else:
            self._store.finish(self._job, "done", self._record(result))

    def _fail(self, failure: Failure) -> None:
        state: JobState = "cancelled" if failure.cancelled else "failed"
        if failure.cancelled and self._stopping():
            state, failure = "failed", Failure("The server was stopped while this job ran; send it again")
        self._store.finish(self._job, state, self._record(failure))

    def _record(self, message: Message) -> dict[str, object]:
        """Return the JSON object that clients see."""
        record = as_record(message)
        urls = {name: self._url(record[name]) for name in ("scene", "preview") if name in record}
        return {key: _without(value, f"{self._folder}{os.sep}") for key, value in (record | urls).items()}

    def _url(self, path: object) -> str | None:
        """Return the URL path of a file in the job's folder; None for anything else."""
        if not isinstance(path, str) or not Path(path).is_file():
            return None
        if Path(path).resolve().parent != self._folder.resolve():
            return None
        return f"/jobs/{self._job}/files/{Path(path).name}"


def _without(value: object, prefix: str) -> object:
    """Return JSON data with this machine's folder removed from every text."""
    if isinstance(value, str):
        return value.replace(prefix, "")
    if isinstance(value, list):
        return [_without(item, prefix) for item in value]
    if isinstance(value, dict):
        return {key: _without(item, prefix) for key, item in value.items()}
    return value


def _end_orphan(pid: int, job: str) -> None:
    """End the child of a server that died, if `pid` is still that child (Linux; elsewhere it ends by itself).

    An orphan also ends at its next progress line, because nobody reads its pipe any more; until then it would
    share the GPU with the next job.
    """
    with contextlib.suppress(OSError):
        marks = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if f"{_MARK}={job}".encode() in marks:
            _log.warning("Ending process group %d, left by an earlier server", pid)
            os.killpg(pid, signal.SIGKILL)
