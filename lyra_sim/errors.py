"""The error that a user is meant to read."""

from __future__ import annotations


class LyraSimError(Exception):
    """Report bad input or a missing prerequisite in one line: what, which value, what to do.

    The command line prints the message without a traceback and exits with `exit_code`; everything
    else that escapes is a defect of ours.
    """

    def __init__(self, message: str, *, exit_code: int = 2) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code
