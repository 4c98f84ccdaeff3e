"""Wait for slow work on a thread without freezing the main thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Run `work` on a daemon thread and return what it returns, or raise what it raises.

    The executor of the event loop would do, but its threads hold up the simulator's exit until they end.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            value = work()
        except Exception as error:
            deliver(future.set_exception, error)
        else:
            deliver(future.set_result, value)

    def deliver(put: Callable, value: object) -> None:
        # The loop may be closed, and the waiting task cancelled, by the time the work is done.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if future.done() else put(value))

    threading.Thread(target=run, daemon=True).start()
    return await future
