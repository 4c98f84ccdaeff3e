"""The messages of a job: one JSON object per line from the child, the same objects in server-sent events."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

MAX_LINE_BYTES = 1 << 20
"""A longer line is not a message of ours; readers stop collecting there, so that garbage cannot fill memory."""

MAX_TEXT = 2000
"""Characters kept of a message text."""


@dataclass(frozen=True)
class Progress:
    """Say how far a job is."""

    stage: str
    """Name of the stage at work, such as `teacher`."""
    fraction: float
    """Share of the whole job that is done, 0..1."""
    message: str = ""
    """What is being done, for people."""
    elapsed_s: float | None = None
    """Seconds since the start of the job, as the child counts them."""
    eta_s: float | None = None
    """Estimated seconds left."""
    preview: str | None = None
    """Absolute path (from a child) or URL path (from a server) of a picture made so far."""


@dataclass(frozen=True)
class Result:
    """Say that a job succeeded; always the last message."""

    scene: str
    """Absolute path or URL path of the scene, a USDZ file."""
    message: str = ""
    """A sentence for people."""
    preview: str | None = None
    """Absolute path or URL path of the scene's picture."""
    report: Mapping[str, object] = field(default_factory=dict)
    """What the command reports about the scene (JSON types)."""


@dataclass(frozen=True)
class Failure:
    """Say that a job failed or was cancelled; always the last message."""

    message: str
    """One line: what was wrong and what to do."""
    stage: str = ""
    """The stage that was at work."""
    fraction: float = 0.0
    """Share of the job that was done, 0..1."""
    cancelled: bool = False
    """Whether somebody asked for the end."""


Message = Progress | Result | Failure

_TYPES: dict[type, str] = {Progress: "progress", Result: "result", Failure: "error"}


def as_record(message: Message) -> dict[str, object]:
    """Return the JSON object of a message; the inverse of `from_record`."""
    record: dict[str, object] = {"type": _TYPES[type(message)], **asdict(message)}
    if isinstance(message, Result):
        record |= {"stage": "done", "fraction": 1.0}
    return record


def parse_line(line: str | bytes) -> Message | None:
    """Read one line; None for anything that is not a message (a library's print, a cut line, a newer type)."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return from_record(record)


def from_record(record: object) -> Message | None:
    """Read one decoded JSON object; None when it is not a message."""
    if not isinstance(record, dict):
        return None
    kind = record.get("type")
    if kind == "progress":
        return Progress(
            stage=_text(record.get("stage")),
            fraction=_fraction(record.get("fraction")),
            message=_text(record.get("message")),
            elapsed_s=_seconds(record.get("elapsed_s")),
            eta_s=_seconds(record.get("eta_s")),
            preview=_path(record.get("preview")),
        )
    if kind == "result" and (scene := _path(record.get("scene"))):
        report = record.get("report")
        return Result(
            scene=scene,
            message=_text(record.get("message")),
            preview=_path(record.get("preview")),
            report=report if isinstance(report, dict) else {},
        )
    if kind == "error":
        return Failure(
            message=_text(record.get("message")) or "lyra-sim failed without saying why",
            stage=_text(record.get("stage")),
            fraction=_fraction(record.get("fraction")),
            cancelled=record.get("cancelled") is True,
        )
    return None


def _text(value: object) -> str:
    return " ".join(value.split())[:MAX_TEXT] if isinstance(value, str) else ""


def _path(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 4096 and "\0" not in value else None


def _fraction(value: object) -> float:
    number = _seconds(value)
    return 0.0 if number is None else min(number, 1.0)


def _seconds(value: object) -> float | None:
    # bool is an int in Python, and JSON readers of ours accept NaN and 1e999.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value) if abs(value) < 1e15 else math.inf
    return max(number, 0.0) if math.isfinite(number) else None
