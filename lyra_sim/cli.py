"""The `lyra-sim` command."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from lyra_sim import __version__
from lyra_sim.errors import LyraSimError

COMMANDS = (
    "gen",
    "doctor",
    "decode",
    "convert",
    "inspect",
    "validate",
    "render",
    "view",
    "eval",
    "sdg",
    "batch",
    "lab_cfg",
    "weights",
    "serve",
    "ext_path",
)
"""Modules of `lyra_sim.commands`, in the order of the help page."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="lyra-sim",
        description="Turn a sentence, a picture or a video into a simulation-ready 3D Gaussian scene for Isaac Sim.",
    )
    parser.add_argument("--version", action="version", version=f"lyra-sim {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"lyra_sim.commands.{name}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; users get one line about what went wrong."""
    args = build_parser().parse_args(argv)
    # Without a handler SIGTERM ends the process before temporary files are removed.
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return args.run(args)
    except LyraSimError as error:
        return _fail(args, str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail(args, "interrupted; nothing was written", 130)
    except MemoryError:
        return _fail(args, "out of memory; close other programs or use --size mini", 1)
    except BrokenPipeError:
        # The reader of our output is gone; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("LYRA_SIM_DEBUG"):
            traceback.print_exc()
        hint = "" if os.environ.get("LYRA_SIM_DEBUG") else " (set LYRA_SIM_DEBUG=1 for the traceback)"
        return _fail(args, f"internal error: {type(error).__name__}: {error}{hint}", 70)


def _fail(args: argparse.Namespace, message: str, status: int) -> int:
    message = " ".join(message.split())
    progress = getattr(args, "progress_reporter", None)
    if progress is not None:
        progress.error(message)
    else:
        sys.stderr.write(f"lyra-sim: error: {message}\n")
    return status


def _terminated(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
