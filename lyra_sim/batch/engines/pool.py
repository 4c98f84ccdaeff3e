"""Worker processes on this machine, each with the networks loaded once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from lyra_sim.batch.work import Outcome, Task, work

_PATIENCE_S = 1.0
"""How long `wait` waits before it lets its caller look around."""


class ProcessPool:
    """Keep one process per environment in `environments`, started when first needed and again when it dies."""

    def __init__(self, environments: list[dict[str, str]]) -> None:
        """Plan the workers.

        Args:
            environments: For each worker, variables to set before it starts: its threads and its GPU.
        """
        self._slots = [_Slot(environment) for environment in environments]

    @property
    def capacity(self) -> int:
        """Number of workers."""
        return len(self._slots)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that live now."""
        return [s.process.pid for s in self._slots if s.process and s.process.is_alive() and s.process.pid]

    def submit(self, task: Task) -> None:
        """Give a task to an idle worker; there must be one."""
        next(slot for slot in self._slots if slot.task is None).send(task)

    def wait(self) -> list[tuple[Task, Outcome]]:
        """Return tasks whose workers answered or died."""
        busy = [slot for slot in self._slots if slot.task is not None]
        wait([slot.connection for slot in busy if slot.connection], timeout=_PATIENCE_S)
        return [ended for slot in busy if (ended := slot.poll()) is not None]

    def close(self) -> None:
        """Kill the workers; nothing of theirs counts before the driver has moved it into place."""
        for slot in self._slots:
            slot.end()


class _Slot:
    """One worker process, and the next one should it die."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.process: SpawnProcess | None = None
        self.connection: Connection | None = None
        self.task: Task | None = None

    def send(self, task: Task) -> None:
        self.task = task
        for _ in range(2):
            if self.connection is None:
                self._start()
            assert self.connection is not None
            # A worker may have died while idle; then a new one gets the task.
            with suppress(OSError):
                self.connection.send(task)
                return
            self.end()

    def poll(self) -> tuple[Task, Outcome] | None:
        """Return the task and its end, if it has ended."""
        task = self.task
        if task is None or self.connection is None:
            # `send` failed twice.
            self.task = None
            return (task, Outcome("lost")) if task is not None else None
        try:
            if not self.connection.poll():
                return None
            outcome = self.connection.recv()
        except (EOFError, OSError):
            outcome = self._lost()
        self.task = None
        return task, outcome

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process.close()
        if self.connection is not None:
            self.connection.close()
        self.process = self.connection = None

    def _lost(self) -> Outcome:
        assert self.process is not None
        self.process.join(5.0)
        status = self.process.exitcode or 0
        how = f"signal {-status}" if status < 0 else f"status {status}"
        advice = "; the system may have run out of memory, try fewer --workers" if status == -9 else ""
        self.end()
        reason = f"the worker ended with {how}{advice}"
        return Outcome("lost", attempts=({"seed": None, "reasons": [reason]},))

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,), daemon=True)
        with _environment(self.environment | _quiet_tracker()):
            self.process.start()
        theirs.close()


def serve(connection: Connection) -> None:
    """Work on tasks that arrive until the driver is gone; runs in a worker process."""
    # Ctrl-C in a terminal reaches every process; the driver decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            connection.send(work(connection.recv()))


def _end_with_driver() -> None:
    """End this process when the driver ends, even if it is killed in the middle of a scene."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    wait([driver.sentinel])
    os._exit(1)


def _quiet_tracker() -> dict[str, str]:
    """Return what keeps Python from warning of semaphores that killed workers leave; it removes them anyway."""
    given = os.environ.get("PYTHONWARNINGS")
    return {"PYTHONWARNINGS": ",".join([*([given] if given else []), "ignore:resource_tracker"])}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for processes started inside; libraries read their thread counts when they load."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def thread_variables(threads: int) -> dict[str, str]:
    """Return the variables that hold every library of a worker to a number of threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return dict.fromkeys(names, str(threads))
