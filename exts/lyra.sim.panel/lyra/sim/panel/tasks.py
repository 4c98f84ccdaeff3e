"""The coroutines of one window, which end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class Tasks:
    """Runs coroutines on the main thread's event loop."""

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        """Take the receiver of errors that a coroutine did not handle."""
        self._on_error = on_error
        self._running: set[asyncio.Task] = set()

    def run(self, work: Coroutine) -> None:
        """Start a coroutine."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._finished)

    def cancel(self) -> None:
        """End all of them."""
        for task in list(self._running):
            task.cancel()
        self._running.clear()

    def _finished(self, task: asyncio.Task) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(error)
