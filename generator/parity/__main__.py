"""Check a folder of golden vectors and print a table; the exit status is 0 only when every gate holds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from generator.parity import gen3c_geometry, gen3c_model, lyra_geometry, lyra_model, lyra_parts  # noqa: F401  (importing registers the checks)
from generator.parity.registry import FolderResult, check_folder
from lyra_sim.errors import LyraSimError


def table(result: FolderResult) -> str:
    """Return the comparisons as aligned text."""
    rows = [("file", "tensor", "max abs error", "gate", "pass")]
    for file, c in result.comparisons:
        rows.append((file, c.tensor, c.note or f"{c.error:.2e}", c.gate, "yes" if c.passed else "NO"))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]]) for row in rows
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the checks; returns 0 when all passed, 1 when one failed, 2 when nothing could be checked."""
    parser = argparse.ArgumentParser(prog="python -m generator.parity", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of golden vectors, such as golden/lyra")
    args = parser.parse_args(arguments)
    try:
        result = check_folder(args.folder)
    except LyraSimError as error:
        sys.stderr.write(f"parity: {error}\n")
        return error.exit_code
    if not result.comparisons:
        sys.stderr.write(f"parity: {args.folder} holds no golden file that a check knows\n")
        return 2
    failed = sum(not comparison.passed for _, comparison in result.comparisons)
    sys.stdout.write(table(result) + "\n")
    if result.unknown:
        sys.stdout.write(f"not checked: {', '.join(result.unknown)}\n")
    sys.stdout.write(f"{len(result.comparisons)} tensors compared, {failed} beyond their gate\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
