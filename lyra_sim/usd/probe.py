"""Try a USD file in a child process, because OpenUSD crashes on some damaged layers instead of raising."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from lyra_sim.errors import LyraSimError
from lyra_sim.usd.check_package import check_package

PROCESSOR_LIMIT = 120
"""Opening maps a file instead of reading it, so even the largest scene takes far less [processor s]."""

TIME_LIMIT = 1200.0
"""Longest wait [s]; a machine may be slow for other reasons, hence the limit above."""

_REFUSED = 3


def probe(path: str | Path) -> None:
    """Raise LyraSimError when a USD file cannot be opened and composed, crashes included."""
    path = Path(path)
    if path.suffix.lower() == ".usdz" and path.is_file():
        # Most damage shows here already, without a process of its own.
        check_package(path)
    done = _attempt(path)
    if done.returncode == -signal.SIGABRT:
        # Under load OpenUSD has aborted once on an intact file; damage crashes it every time.
        done = _attempt(path)
    if done.returncode == _REFUSED:
        raise LyraSimError(done.stdout.strip())
    if sys.platform != "win32" and done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise LyraSimError(f"{path} is damaged (OpenUSD does not finish opening it)")
    if done.returncode:
        raise LyraSimError(f"{path} is damaged (OpenUSD crashes on it, status {done.returncode})")


def _attempt(path: Path) -> subprocess.CompletedProcess[str]:
    """Open the file in a child process."""
    command = [sys.executable, "-m", "lyra_sim.usd.probe", str(path)]
    try:
        # A crash leaves a report in the temporary folder, which therefore is one that goes away.
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "TMPDIR": folder}
            return subprocess.run(
                command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False, env=environment
            )
    except subprocess.TimeoutExpired as error:
        raise LyraSimError(f"{path} is damaged (OpenUSD does not finish opening it)") from error


def main() -> int:
    """Open the file named on the command line and visit its prims."""
    from lyra_sim.usd.reader import describe_stage, open_stage

    path = Path(sys.argv[1])
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_LIMIT, PROCESSOR_LIMIT))
    try:
        with open_stage(path, package_checked=True) as stage:
            describe_stage(stage)
    except LyraSimError as error:
        sys.stdout.write(str(error))
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
