"""Write files and folders so that a reader sees the old one or the whole new one, never a part."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lyra_sim.errors import LyraSimError


def require_parent(target: Path, *, option: str = "--out") -> None:
    """Raise LyraSimError unless the folder that will hold `target` exists and can be written."""
    parent = target.absolute().parent
    if not parent.is_dir():
        raise LyraSimError(f"{option} {target}: folder {parent} does not exist; create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise LyraSimError(
            f"{option} {target}: folder {parent} is read-only; choose a folder you may write to"
        )


@contextmanager
def atomic_path(target: str | Path, *, option: str = "--out") -> Iterator[Path]:
    """Yield a temporary path beside `target`, moved over it when the block succeeds and removed otherwise.

    The temporary name keeps the suffix of the target, because some writers choose the format by it.

    Raises:
        LyraSimError: The folder is missing or read-only, `target` is a folder, or the disk is full.
    """
    target = Path(target)
    require_replaceable_file(target, option=option)
    handle, name = tempfile.mkstemp(
        prefix=f".{target.stem}-", suffix=f".part{target.suffix}", dir=target.absolute().parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        raise disk_error(error, target, option=option) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(
    target: str | Path, *, option: str = "--keep", marker: str = "report.json"
) -> Iterator[Path]:
    """Yield a temporary folder beside `target`, moved into its place when the block succeeds.

    An existing `target` is replaced only when it is empty or holds the file `marker` (an earlier result).

    Raises:
        LyraSimError: The place cannot be written, or holds something that is not ours.
    """
    target = Path(target)
    require_replaceable_folder(target, option=option, marker=marker)
    temporary = Path(
        tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".part", dir=target.absolute().parent)
    )
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    except OSError as error:
        raise disk_error(error, target, option=option) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_replaceable_file(target: Path, *, option: str = "--out") -> None:
    """Raise LyraSimError unless a file can be put at `target`, in place of an earlier one or not."""
    require_parent(target, option=option)
    if target.is_dir():
        raise LyraSimError(f"{option} {target}: is a folder; name a file")


def require_replaceable_folder(target: Path, *, option: str = "--keep", marker: str = "report.json") -> None:
    """Raise LyraSimError unless `target` is absent, empty, or an earlier result that holds `marker`."""
    require_parent(target, option=option)
    if target.is_file():
        raise LyraSimError(f"{option} {target}: is a file; name a folder")
    if target.is_dir() and any(target.iterdir()) and not (target / marker).is_file():
        raise LyraSimError(
            f"{option} {target}: folder is not empty and was not made by lyra-sim; choose another"
        )


def disk_error(error: OSError, target: Path, *, option: str = "--out") -> LyraSimError:
    """Say in one line why writing `target` failed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LyraSimError(f"{option} {target}: the disk is full; free some space and run the command again")
    return LyraSimError(f"{option} {target}: cannot be written ({error.strerror or error})")


def _umask() -> int:
    # os has no way to read the umask without setting it.
    value = os.umask(0)
    os.umask(value)
    return value
