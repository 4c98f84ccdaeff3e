"""Find the `lyra-sim` command of the user's own Python."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from .errors import JobError


def find_command(setting: str, *, near: Path | None = None, search_path: str | None = None) -> list[str]:
    """Return the words that start lyra-sim.

    Args:
        setting: What the user wrote: a command name, a path, or a whole command such as
            `/opt/venv/bin/python -m lyra_sim`. Empty means `lyra-sim`.
        near: A file of ours; the virtual environment or checkout around it is searched when PATH has no
            `lyra-sim`.
        search_path: Replaces the environment's PATH.

    Raises:
        JobError: No such program.
    """
    words = shlex.split(setting, posix=os.name == "posix") or ["lyra-sim"]
    program = os.path.expanduser(words[0])
    if found := shutil.which(program, path=search_path):
        return [found, *words[1:]]
    if words == ["lyra-sim"] and near is not None:
        for candidate in _candidates(near):
            if os.access(candidate, os.X_OK) and candidate.is_file():
                return [str(candidate)]
    raise JobError(
        f"lyra-sim was not found ({program}): install it with `pip install lyra-sim` in its own environment, "
        "then set the path of its `lyra-sim` command in the panel's settings"
    )


def _candidates(near: Path) -> Iterator[Path]:
    name, folder = ("lyra-sim.exe", "Scripts") if sys.platform == "win32" else ("lyra-sim", "bin")
    for parent in near.resolve().parents:
        yield parent / folder / name
        yield parent / ".venv" / folder / name
