"""Say what was measured, and keep it."""

from __future__ import annotations

import sys
from pathlib import Path


def report(text: str, out: Path | None) -> None:
    """Print a report, and write it to `out` when given."""
    sys.stdout.write(text)
    if out:
        out.write_text(text)
