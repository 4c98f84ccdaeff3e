"""Let child processes heed Ctrl-C even where the tests themselves run as a background job."""

from __future__ import annotations

import signal


def heed_interrupts() -> None:
    """Undo what a shell does to its background jobs; for `preexec_fn` of a child that a test interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
