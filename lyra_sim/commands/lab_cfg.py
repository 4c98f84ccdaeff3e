"""`lyra-sim lab-cfg`: a batch as a Python module for Isaac Lab."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

EPILOG = """\
example:
  lyra-sim lab-cfg aisles/ --split train > scenes_cfg.py

The module needs Isaac Lab, not lyra-sim. In it: SCENES, scene_cfgs(split), and of these one_for_all(),
one_per_environment() and terrain(). docs/batch.md says when to use which.
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `lab-cfg` command."""
    parser = subparsers.add_parser(
        "lab-cfg",
        help="write the scenes of a batch as Isaac Lab configurations",
        description="Print a Python module with the scenes of a batch as Isaac Lab configurations.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="output folder of `lyra-sim batch`")
    parser.add_argument("--split", choices=("train", "validation", "test"), help="only scenes of this split")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the module."""
    from lyra_sim.lab import scene_cfgs, write_module

    sys.stdout.write(write_module(scene_cfgs(args.folder, split=args.split)))
    return 0
