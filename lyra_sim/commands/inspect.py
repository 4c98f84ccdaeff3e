"""`lyra-sim inspect`: what a file holds, who shows it, what it lacks."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lyra_sim.inspect import Inspection


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `inspect` command."""
    parser = subparsers.add_parser(
        "inspect",
        help="say what a file of Gaussians holds and lacks",
        description="Say what a file holds, its units and bounds, which Isaac Sim shows it, and what it lacks.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a file that `lyra-sim convert` reads")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Inspect and print."""
    from lyra_sim.inspect import inspect_file

    found = inspect_file(args.file)
    sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n" if args.json else as_text(found))
    return 0


def as_text(found: Inspection) -> str:
    """Return the description for people."""
    low, high = found.bounds_m
    rows = {
        "file": f"{found.path} ({found.bytes / 1e6:.1f} MB)",
        "splats": f"{found.gaussians} as {' and '.join(found.forms)}, SH degree {found.sh_degree}, "
        f"median sigma {found.median_sigma_m * 100:.2f} cm",
        "shown by": ", ".join(found.shown_by) or "no Isaac Sim",
        "bounds": " x ".join(f"{a:.2f}..{b:.2f}" for a, b in zip(low, high, strict=True)) + " m (x, y, z)",
        "stage": f"up axis {found.up_axis}, {found.meters_per_unit} m per unit, default prim {found.default_prim}",
        "rounding": f"{' and '.join(found.half_forms)} in float16: centres up to "
        f"{(found.position_rounding_m or 0) * 1000:.2f} mm off, other numbers 0.05%",
        "collider": f"{found.collider}, {found.collider_faces} faces, approximation {found.collider_approximation}",
        "labels": ", ".join(f"{name} ({count})" for name, count in found.labels.items()) or "none",
        "instances": str(found.instances),
        "made from": _origin(found),
    }
    if found.up_axis is None:
        for row in ("stage", "collider", "labels", "instances"):
            del rows[row]
    if found.position_rounding_m is None:
        del rows["rounding"]
    lines = [f"{name:>10}  {text}" for name, text in rows.items()]
    lines += [f"{'missing' if i == 0 else '':>10}  {text}" for i, text in enumerate(found.missing)]
    return "\n".join(lines) + "\n"


def _origin(found: Inspection) -> str:
    known = [
        f"{key} {found.provenance[key]!r}" for key in ("prompt", "seed", "size") if key in found.provenance
    ]
    return ", ".join(known) or ("see provenance (--json)" if found.provenance else "unknown")
