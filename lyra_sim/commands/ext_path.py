"""`lyra-sim ext-path`: where the Isaac Sim extension is."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import lyra_sim
from lyra_sim.errors import LyraSimError

EXTENSION = "lyra.sim.panel"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `ext-path` command."""
    parser = subparsers.add_parser(
        "ext-path",
        help="print the folder that holds the Isaac Sim extension",
        description="Print the folder for Isaac Sim's --ext-folder option: "
        './isaac-sim.sh --ext-folder "$(lyra-sim ext-path)" --enable lyra.sim.panel',
    )
    parser.add_argument(
        "--copy",
        type=Path,
        metavar="DIR",
        help="put a copy that needs no lyra-sim beside it into DIR, for a machine without lyra-sim",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the folder, of the installed extension or of the copy."""
    folder = extensions_folder()
    if args.copy is not None:
        copy_extension(args.copy)
        folder = args.copy.absolute()
    sys.stdout.write(f"{folder}\n")
    return 0


def extensions_folder() -> Path:
    """Return the folder that holds the extension's folder: in the installed package, or in the checkout.

    Raises:
        LyraSimError: Neither holds it.
    """
    package = Path(lyra_sim.__file__).resolve().parent
    for folder in (package / "exts", package.parent / "exts"):
        if (folder / EXTENSION / "config" / "extension.toml").is_file():
            return folder
    raise LyraSimError(f"The extension {EXTENSION} is missing from {package}: install lyra-sim again")


def copy_extension(target: Path) -> None:
    """Put the extension into `target`, with the job modules that it otherwise takes from `lyra_sim`.

    Raises:
        LyraSimError: `target` holds such an extension already, or cannot be written.
    """
    destination = target / EXTENSION
    if destination.exists():
        raise LyraSimError(f"--copy {target}: {destination} is there already; remove it first")
    jobs = Path(lyra_sim.__file__).resolve().parent / "jobs"
    clutter = shutil.ignore_patterns("__pycache__", "*.pyc")
    try:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copytree(extensions_folder() / EXTENSION, destination, ignore=clutter)
        inside = destination / "lyra" / "sim" / "panel" / "jobs"
        # The extension's own `jobs/__init__.py` would look for these files elsewhere.
        shutil.copytree(jobs, inside, ignore=clutter, dirs_exist_ok=True)
    except OSError as error:
        shutil.rmtree(destination, ignore_errors=True)
        raise LyraSimError(f"--copy {target}: cannot be written ({error.strerror or error})") from error
