"""Child processes in groups of their own, so that everything they start can be ended with them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from .errors import JobError

_NEW_GROUP_ON_WINDOWS = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


def start_process(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program that leads its own process group, with pipes for its output and no input.

    Raises:
        JobError: The program does not start.
    """
    try:
        return subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            creationflags=_NEW_GROUP_ON_WINDOWS,
        )
    except OSError as error:
        raise JobError(f"{command[0]} was not found or does not start ({error.strerror})") from error


def signal_group(pid: int, *, kill: bool) -> None:
    """End the process group led by `pid`: politely, so that temporary files are removed, or at once.

    The Windows half follows the documentation of `taskkill` and has not been run.
    """
    if sys.platform == "win32":
        if kill:
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)
        else:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.CTRL_BREAK_EVENT)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL if kill else signal.SIGTERM)
