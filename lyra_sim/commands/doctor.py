"""`lyra-sim doctor`: what this machine can do, and what to install for more."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from lyra_sim.doctor import examine


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `doctor` command."""
    parser = subparsers.add_parser(
        "doctor",
        help="say what this machine can do, and what to install for more",
        description="Look at the GPU, kernels, weights, memory and disk, and say which sizes can run here.",
    )
    parser.add_argument("--json", action="store_true", help="print the facts as one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings; the exit status is 0 when at least the mini size can run."""
    facts: dict[str, Any] = examine() | capabilities()
    if args.json:
        sys.stdout.write(json.dumps(facts, indent=1) + "\n")
    else:
        sys.stdout.write(report(facts))
    return 0 if facts["sizes"]["mini"]["available"] else 1


def capabilities() -> dict[str, list[str]]:
    """Return the commands and the options of `gen` that this version has (front ends ask before they offer)."""
    from lyra_sim.cli import COMMANDS, build_parser

    subparsers = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    options = [o for a in subparsers.choices["gen"]._actions for o in a.option_strings if o.startswith("--")]
    return {"commands": [name.replace("_", "-") for name in COMMANDS], "gen_options": options}


def report(facts: dict) -> str:
    """Write the findings for a person."""
    from generator.memory import memory_lines

    gpu = facts["gpu"]
    lines = [
        f"lyra-sim {facts['version']}, Python {facts['python']}, {facts['platform']}",
        (
            f"  processor   {facts['cpu_cores']} cores, {facts['memory_gib']} GiB memory, "
            f"{facts['free_disk_gib']} GiB free disk"
        ),
        f"  GPU         {gpu['name'] + ', ' + str(gpu['memory_gib']) + ' GiB' if gpu else 'none that torch can use'}",
        *(f"  {what:<17} {kernel}" for what, kernel in facts["kernels"].items()),
        "  packages    "
        + ", ".join(f"{name} {version or '(not installed)'}" for name, version in facts["packages"].items()),
        "",
    ]
    for size, state in facts["sizes"].items():
        lines.append(f"  --size {size}: {'ready' if state['available'] else 'cannot run'} - {state['why']}")
    lines += [
        "",
        f"  weights     {facts['weights_folder']}; each is bound to its licence:",
        *_weights(facts["weights"]),
    ]
    checker = facts["safety_checker"]
    lines += ["", f"  safety checker at full size: {'on' if checker['on'] else 'off'} - {checker['why']}"]
    lines += memory_lines()
    if not facts["sizes"]["full"]["available"]:
        lines += [
            "",
            "  For more: a CUDA GPU, `pip install 'lyra-sim[cuda,teacher]'`, and `lyra-sim weights pull NAME` into",
            f"  {facts['weights_folder']} (or set LYRA_SIM_WEIGHTS). The mini size needs none of these.",
        ]
    return "\n".join(lines) + "\n"


def _weights(entries: list[dict]) -> list[str]:
    """Return a line per published model: whether it is here, and the licence that binds its user."""
    return [
        f"    {entry['name']:<17} {'here' if entry['here'] else 'not here':<9} {entry['licence']}"
        f"{' (accepted)' if entry['licence_accepted'] else ''}"
        for entry in entries
    ]
