"""One `lyra-sim` child process: its messages, its end, and the end of everything that it started."""

from __future__ import annotations

import collections
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

from .messages import MAX_LINE_BYTES, Failure, Message, Progress, Result, parse_line
from .process import signal_group, start_process

LOG_LINES = 200
"""Lines of the child's other output that are kept, for the message about a crash."""

PIPE_TIMEOUT_S = 30.0
"""Seconds to wait for the last message of an ended child, should a process that left its group hold the pipes."""

KILL_TIMEOUT_S = 2.0
"""Seconds that `close` waits for the end of a killed child."""

_log = logging.getLogger(__name__)


class ChildJob:
    """A running child that speaks the protocol; it starts when the object is made.

    `on_message` gets every message in order, on a thread of this object, and last of all exactly one `Result`
    or `Failure`, however the child ends. It must be quick and must not raise; append to a queue.

    Attributes:
        done: Set after the last message.
        outcome: The last message, once `done` is set.
        pid: Process id of the child, also the id of its process group.
        log: The last lines the child printed that were not messages.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        on_message: Callable[[Message], None],
        grace_s: float = 5.0,
    ) -> None:
        """Start the child in a process group of its own.

        Args:
            command: Program and arguments.
            environment: The whole environment of the child.
            on_message: Receiver of the messages.
            grace_s: Seconds between asking the tree to end and killing it.

        Raises:
            JobError: The program does not start.
        """
        self.done = threading.Event()
        self.outcome: Result | Failure | None = None
        self.log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._on_message = on_message
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._cancelled = False
        self._last = Progress(stage="", fraction=0.0)
        self._final: Result | Failure | None = None
        self._process = start_process(command, environment)
        self.pid = self._process.pid
        self._readers = [
            threading.Thread(target=self._read_messages, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def cancel(self) -> None:
        """Ask the whole process tree to end, and kill it after the grace; returns at once, safe to repeat."""
        with self._lock:
            if self._cancelled or self.done.is_set():
                return
            self._cancelled = True
        threading.Thread(target=self._end_tree, daemon=True).start()

    def close(self, *, timeout_s: float = 10.0) -> None:
        """Cancel if still running, and wait until nothing of the child is left."""
        self.cancel()
        if not self.done.wait(timeout_s):
            signal_group(self.pid, kill=True)
            self.done.wait(KILL_TIMEOUT_S)

    def _end_tree(self) -> None:
        signal_group(self.pid, kill=False)
        if not self.done.wait(self._grace_s):
            signal_group(self.pid, kill=True)

    def _watch(self) -> None:
        status = self._process.wait()
        # Grandchildren would hold the pipes open and the GPU busy.
        signal_group(self.pid, kill=True)
        self._drain()
        self.outcome = self._judge(status)
        self._deliver(self.outcome)
        self.done.set()

    def _drain(self) -> None:
        """Wait until all that the child said is read; its last message is enough."""
        deadline = time.monotonic() + PIPE_TIMEOUT_S
        for reader in self._readers:
            while reader.is_alive() and self._final is None and time.monotonic() < deadline:
                reader.join(0.05)

    def _judge(self, status: int) -> Result | Failure:
        # A scene is moved into place whole before the result is printed, so a result counts even when the
        # child stumbled afterwards or the cancellation came too late.
        if self._final is not None and (isinstance(self._final, Result) or not self._cancelled):
            return self._final
        stage, fraction = self._last.stage, self._last.fraction
        if self._cancelled:
            return Failure("Cancelled", stage=stage, fraction=fraction, cancelled=True)
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        said = f": {self.log[-1]}" if self.log else ""
        return Failure(f"lyra-sim {how} without a result{said}", stage=stage, fraction=fraction)

    def _read_messages(self, pipe: IO[bytes]) -> None:
        for line in _lines(pipe):
            message = parse_line(line)
            if message is None:
                self._keep(line)
            elif isinstance(message, Progress):
                if self._final is None:
                    self._last = message
                    self._deliver(message)
            else:
                self._final = message

    def _read_log(self, pipe: IO[bytes]) -> None:
        for line in _lines(pipe):
            self._keep(line)

    def _keep(self, line: bytes) -> None:
        if text := line.decode(errors="replace").strip():
            self.log.append(text[:1000])

    def _deliver(self, message: Message) -> None:
        try:
            self._on_message(message)
        except Exception:
            # A reader that stops leaves a full pipe, and the child would hang.
            _log.exception("The receiver of job messages failed")


def _lines(pipe: IO[bytes]) -> Iterator[bytes]:
    """Yield lines, cut at the longest that can be a message; ends with the pipe."""
    # A pipe of a killed Windows process may raise instead of ending.
    with contextlib.suppress(ValueError, OSError), pipe:
        while line := pipe.readline(MAX_LINE_BYTES):
            yield line
