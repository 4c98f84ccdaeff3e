"""Where workers run: processes of this machine, or a Ray cluster."""

from __future__ import annotations

from typing import Protocol

from lyra_sim.batch.work import Outcome, Task


class Engine(Protocol):
    """Run tasks elsewhere. Whatever happens to a worker, every task submitted comes back from `wait` once."""

    @property
    def capacity(self) -> int:
        """How many tasks to keep submitted; it may change as machines come and go."""
        ...

    def submit(self, task: Task) -> None:
        """Start a task, or queue it on the cluster."""
        ...

    def wait(self) -> list[tuple[Task, Outcome]]:
        """Return tasks that ended; waits for the first, at most about a second."""
        ...

    def close(self) -> None:
        """End all workers at once, with what they are at."""
        ...
