"""The error of this folder, which may not import `lyra_sim.errors`."""

from __future__ import annotations


class JobError(Exception):
    """Say in one line what was wrong with a job, which value, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class UnreachableError(JobError):
    """Say that a server did not answer; it may answer later."""
