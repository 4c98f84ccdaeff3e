"""Files of lines that survive a crash at any moment, and the lock of whoever may write them."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lyra_sim.atomic import disk_error
from lyra_sim.errors import LyraSimError


@contextmanager
def sole_holder(path: Path, refusal: Callable[[str], str]) -> Iterator[None]:
    """Hold a lock file alone; the lock goes when this process ends, however it ends.

    Args:
        path: The file, made if need be; it names its holder.
        refusal: Makes the error's message from the name of the present holder.

    Raises:
        LyraSimError: Another process holds it.
        OSError: The file cannot be written.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(lock, 200, 0).decode(errors="replace").strip() or "another process"
            raise LyraSimError(refusal(holder)) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(lock)


def open_ledger(path: Path) -> tuple[int, bytes]:
    """Open or begin a file of lines, for its only writer, and cut off a last line that a crash left unfinished.

    Returns:
        Its descriptor for `append_line`, to be closed by the caller, and the whole lines that it holds.

    Raises:
        LyraSimError: The file cannot be written.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(file, whole)
    except OSError as error:
        raise disk_error(error, path) from error
    return file, content[:whole]


def append_line(file: int, path: Path, line: str) -> None:
    """Append a line to what `open_ledger` opened at `path`; it is on the disk before this returns.

    Raises:
        LyraSimError: The disk is full or failing; `__cause__` is the OSError.
    """
    content = line.encode() + b"\n"
    try:
        written = os.write(file, content)
        if written < len(content):
            # A disk that fills up takes a part; the rest says why.
            os.write(file, content[written:])
        os.fsync(file)
    except OSError as error:
        raise disk_error(error, path) from error
