"""The one job that a panel may run at a time, and what it shows of it."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from .jobs import Failure, JobError, Message, Progress, Result

MAX_INBOX = 10_000
"""Messages that may wait for the main thread; older ones are dropped, the last one never."""

CLOSE_TIMEOUT_S = 3.0
"""Seconds that a shutdown waits for the job to end by itself before it is killed."""


class Job(Protocol):
    """What a session needs of `ChildJob` and `RemoteJob`."""

    def cancel(self) -> None:
        """Ask for the end; returns at once."""

    def close(self, *, timeout_s: float) -> None:
        """End and wait."""


@dataclass
class Stage:
    """One stage of the running job."""

    name: str
    """Its name in the messages."""
    began: float
    """When its first message came, on the session's clock [s]."""
    ended: float | None = None
    """When the next stage, or the end, came."""


class Session:
    """Starts, follows, cancels and ends one job at a time; everything here runs on the main thread.

    The job delivers its messages from other threads into an inbox, which `pump` empties. A session outlives the
    window, so that closing the window need not wait for the job's end.

    Attributes:
        state: `idle`, `running`, or `cancelling`.
        stages: Stages seen so far, the current one last.
        progress: The newest progress.
        preview: Path of the newest picture.
        outcome: How the last job ended.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Make an idle session."""
        self.state: Literal["idle", "running", "cancelling"] = "idle"
        self.stages: list[Stage] = []
        self.progress = Progress(stage="", fraction=0.0)
        self.preview: str | None = None
        self.outcome: Result | Failure | None = None
        self._clock = clock
        self._inbox: collections.deque[Message] = collections.deque(maxlen=MAX_INBOX)
        self._job: Job | None = None
        self._began = 0.0
        self._ended = 0.0

    @property
    def busy(self) -> bool:
        """Whether a job has not ended yet."""
        return self.state != "idle"

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the job, up to its end."""
        return (self._clock() if self.busy else self._ended) - self._began

    def start(self, launch: Callable[[Callable[[Message], None]], Job]) -> None:
        """Start a job.

        Args:
            launch: Starts the job, given the receiver of its messages.

        Raises:
            JobError: A job is running, or the new one does not start; the session is as before.
        """
        if self.busy:
            raise JobError("A scene is being generated already")
        inbox: collections.deque[Message] = collections.deque(maxlen=MAX_INBOX)
        self._job = launch(inbox.append)
        # A new inbox for each job: nothing that an earlier one still says can be taken for this one's.
        self._inbox = inbox
        self.state = "running"
        self.stages = []
        self.progress = Progress(stage="", fraction=0.0)
        self.preview = None
        self.outcome = None
        self._began = self._clock()

    def pump(self) -> Result | Failure | None:
        """Take in what the job said since the last call; returns its end once, when it has come."""
        while self._inbox:
            message = self._inbox.popleft()
            if isinstance(message, Progress):
                self._advance(message)
            elif self.busy:
                self._finish(message)
                return message
        return None

    def cancel(self) -> None:
        """Ask the running job to end; returns at once, and `pump` tells when it has."""
        if self.state == "running" and self._job is not None:
            self.state = "cancelling"
            self._job.cancel()

    def close(self) -> None:
        """End the running job and wait until nothing of it is left; for shutdown."""
        if self.busy and self._job is not None:
            self._job.close(timeout_s=CLOSE_TIMEOUT_S)
            self.pump()

    def _advance(self, message: Progress) -> None:
        if not self.stages or self.stages[-1].name != message.stage:
            now = self._clock()
            if self.stages:
                self.stages[-1].ended = now
            self.stages.append(Stage(message.stage, now))
        self.progress = message
        self.preview = message.preview or self.preview

    def _finish(self, message: Result | Failure) -> None:
        self._ended = self._clock()
        if self.stages:
            self.stages[-1].ended = self._ended
        if isinstance(message, Result):
            self.preview = message.preview or self.preview
        self.outcome = message
        self.state = "idle"
        self._job = None


def describe_time(elapsed_s: float, eta_s: float | None) -> str:
    """Write times for people, such as `1:05, about 0:20 left`."""
    text = _clock_text(elapsed_s)
    return text if eta_s is None else f"{text}, about {_clock_text(eta_s)} left"


def describe_stages(session: Session) -> str:
    """Write the stages with their times, such as `world 0.4 s, teacher 12.1 s, decoder ...`."""
    words = [
        f"{stage.name} ..." if stage.ended is None else f"{stage.name} {stage.ended - stage.began:.1f} s"
        for stage in session.stages
    ]
    return ", ".join(words)


def _clock_text(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
