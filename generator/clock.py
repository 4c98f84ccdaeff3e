"""Seconds and peak memory of each stage."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StageClock:
    """Collect wall-clock seconds and peak resident memory per stage, in the order they ran."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as stage `name`; the same name adds up."""
        _reset_peak()
        began = time.perf_counter()
        try:
            yield
        finally:
            record = self.stages.setdefault(name, {"seconds": 0.0, "peak_mib": 0.0})
            record["seconds"] = round(record["seconds"] + time.perf_counter() - began, 3)
            record["peak_mib"] = max(record["peak_mib"], round(peak_mib(), 1))


def peak_mib() -> float:
    """Return the peak resident memory [MiB] since the last reset (since process start where Linux is not)."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _reset_peak() -> None:
    # Writing 5 clears the high-water mark; where that is refused the peak is the process's so far.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
