"""`lyra-sim validate`: check a scene against our rules, OpenUSD's and NVIDIA's."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `validate` command."""
    parser = subparsers.add_parser(
        "validate",
        help="check a USD scene with every rule set at hand",
        description="Check a USD scene against our rules, OpenUSD's validators and, where installed, NVIDIA's.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help=".usdz, .usd, .usda or .usdc")
    parser.add_argument("--strict", action="store_true", help="fail on warnings too")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Validate, print, and end with 1 when something is wrong."""
    from lyra_sim.validate import validate_file

    result = validate_file(args.file)
    passed = result.passed(strict=args.strict)
    if args.json:
        sys.stdout.write(json.dumps({"passed": passed, **asdict(result)}, indent=2) + "\n")
    else:
        for finding in result.findings:
            sys.stdout.write(f"{finding.severity}: {finding.source} {finding.rule}: {finding.message}\n")
        verdict = "passed" if passed else "failed"
        sys.stdout.write(
            f"{args.file}: {verdict}, {len(result.findings)} findings ({', '.join(result.checked_by)})\n"
        )
    return 0 if passed else 1
