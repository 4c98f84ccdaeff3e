"""Tell a person or a program how far a long command is."""

from __future__ import annotations

import json
import sys
import time
from typing import IO, Literal

ProgressMode = Literal["auto", "json", "none"]


class Progress:
    """Report stages of known weight; fractions are of the whole command.

    `json` prints one object per line on `out` (the protocol of the panel and the server); `auto` writes lines
    for people to `err`, over one another when it is a terminal; `none` is silent.
    """

    def __init__(
        self,
        mode: ProgressMode,
        weights: dict[str, float],
        *,
        out: IO[str] | None = None,
        err: IO[str] | None = None,
    ) -> None:
        self._mode = mode
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self.expect(weights)
        self._began = time.monotonic()
        self._line_open = False
        self.stage = next(iter(weights))
        self.fraction = 0.0

    def expect(self, weights: dict[str, float]) -> None:
        """Take other weights, once more is known about the work; the fraction told never falls."""
        total = sum(weights.values())
        self._spans: dict[str, tuple[float, float]] = {}
        start = 0.0
        for stage, weight in weights.items():
            self._spans[stage] = (start, weight / total)
            start += weight / total

    def update(self, stage: str, fraction: float, message: str, **paths: str) -> None:
        """Report that `fraction` (0..1) of `stage` is done; extra keywords are absolute paths made so far."""
        start, span = self._spans[stage]
        self.stage = stage
        self.fraction = max(self.fraction, start + span * min(max(fraction, 0.0), 1.0))
        elapsed = time.monotonic() - self._began
        eta = elapsed * (1 - self.fraction) / self.fraction if self.fraction > 0.02 else None
        if self._mode == "json":
            record = {
                "type": "progress",
                "stage": stage,
                "fraction": round(self.fraction, 4),
                "message": message,
            }
            record |= {
                "elapsed_s": round(elapsed, 1),
                "eta_s": None if eta is None else round(eta, 1),
                **paths,
            }
            self._emit(record)
        elif self._mode == "auto":
            left = "" if eta is None else f", about {eta:.0f} s left"
            self._human(f"[{self.fraction:4.0%}] {stage}: {message} ({elapsed:.0f} s{left})")

    def relay(self, stage: str, fraction: float, message: str) -> None:
        """Report what another process says: `fraction` (0..1) is already of the whole command."""
        self._spans[stage] = (fraction, 0.0)
        self.update(stage, 1.0, message)

    def result(self, message: str, **fields: object) -> None:
        """Report success as the last line."""
        if self._mode == "json":
            self._emit({"type": "result", "stage": "done", "fraction": 1.0, "message": message, **fields})
        else:
            self._close_line()
            if self._mode == "auto":
                self._err.write(message + "\n")

    def error(self, message: str) -> None:
        """Report failure as the last line; people always see it, on `err`."""
        self._close_line()
        if self._mode == "json":
            fraction = round(self.fraction, 4)
            self._emit({"type": "error", "stage": self.stage, "fraction": fraction, "message": message})
        self._err.write(f"lyra-sim: error: {message}\n")

    def note(self, message: str) -> None:
        """Tell people something that is not progress, such as how a prompt was understood."""
        self._close_line()
        if self._mode != "none":
            self._err.write(message + "\n")

    def _emit(self, record: dict[str, object]) -> None:
        self._out.write(json.dumps(record) + "\n")
        self._out.flush()

    def _human(self, line: str) -> None:
        if self._err.isatty():
            self._err.write(f"\r\x1b[2K{line}")
            self._line_open = True
        else:
            self._err.write(line + "\n")
        self._err.flush()

    def _close_line(self) -> None:
        if self._line_open:
            self._err.write("\n")
            self._line_open = False
