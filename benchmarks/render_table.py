"""The page that `benchmarks.render` writes: its cases as rows, and what they say about the targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

FORWARD_OPERATIONS, BACKWARD_OPERATIONS = 42, 75
SIZES = ((176, 320), (352, 640))
COUNTS = (20_000, 100_000, 500_000)
CASES = [f"cloud:{count}:{height}x{width}" for height, width in SIZES for count in COUNTS]
CASES += ["room:72000:176x320", "room:360000:176x320", "compile"]
PROTOTYPE = (44.0, 121.0)
"""Forward, and forward and backward, of the numba prototype at 100k Gaussians, 176x320, without projection [ms]."""


def table(cases: dict[str, dict[str, Any]]) -> str:
    """Return the Markdown page of all cases."""
    timed = [cases[case] for case in CASES if case in cases and case != "compile"]
    rows = [row for case in timed for row in case_rows(case)]
    machines = sorted({case["machine"] for case in cases.values()})
    loads = [case["load"] for case in timed]
    rates = [case["rate"] / 1e6 for case in timed]
    lines = [
        "# Rendering on the CPU",
        "",
        "`python -m benchmarks.render`; what each row means stands at the top of that file.",
        "",
        *machines,
        "",
        f"Load when cases began: {min(loads):.1f} to {max(loads):.1f}; other work was held. One thread does",
        f"{min(rates):.0f} to {max(rates):.0f} G float32 operations per second. Milliseconds per view.",
        "",
        "```",
        "                                   busy, one thread   wall, two threads",
        "scene   count size    what         forward +backward  forward +backward",
        *rows,
        "```",
        "",
        *verdicts(cases),
    ]
    return "\n".join(lines) + "\n"


def case_rows(case: dict[str, Any]) -> list[str]:
    """Return the lines of one case."""
    scene, count, size = case["case"].split(":")
    head = f"{scene:5} {count:>7} {size}"
    floors = floor(case)
    counts = f"{case['visible']} visible, {case['pairs'] / 1e6:.1f} M pairs"
    rows = [f"{head} floor     {_pair(floors)}   one thread; {counts}"]
    for kind, times in case["times"].items():
        rows.append(f"{head} {kind:9} {_pair(times.get('busy'))} {_pair(times['wall'])}")
    return rows


def floor(case: dict[str, Any]) -> tuple[float, float]:
    """Return the least milliseconds forward, and forward and backward, that the pairs' arithmetic takes."""
    operations = (FORWARD_OPERATIONS, FORWARD_OPERATIONS + BACKWARD_OPERATIONS)
    forward, both = (case["pairs"] * count / case["rate"] for count in operations)
    return forward, both


def verdicts(cases: dict[str, dict[str, Any]]) -> list[str]:
    """Return what the figures say about the targets, for the cases that are there."""
    lines = []
    main = cases.get("cloud:100000:176x320")
    if main is not None:
        walls = {kind: times["wall"] for kind, times in main["times"].items()}
        share = [ours / theirs for ours, theirs in zip(walls["cpu"], PROTOTYPE, strict=True)]
        lines.append(
            f"- 100k, 176x320: {share[0]:.2f} / {share[1]:.2f} of the {PROTOTYPE[0]:.0f} / {PROTOTYPE[1]:.0f} ms of the"
            " numba prototype without projection (an earlier run on this kind of machine); the target was 1.3."
        )
        above = [busy / least for busy, least in zip(main["times"]["cpu"]["busy"], floor(main), strict=True)]
        lines.append(
            f"- Above the arithmetic floor, same case, one thread: {above[0]:.0f} and {above[1]:.0f} times."
        )
    for other in ("reference", "taichi"):
        ratios = [
            [
                theirs / ours
                for theirs, ours in zip(c["times"][other]["wall"], c["times"]["cpu"]["wall"], strict=True)
            ]
            for c in cases.values()
            if other in c.get("times", {})
        ]
        if ratios:
            forward, both = zip(*ratios, strict=True)
            goal = "; the target was 15" if other == "reference" else "; it sorts and bins in numpy"
            name = {"reference": "the PyTorch reference", "taichi": "the Taichi twin"}[other]
            lines.append(
                f"- Ahead of {name} by {min(forward):.0f} to {max(forward):.0f} times forward, {min(both):.0f} to"
                f" {max(both):.0f} with backward, on two threads{goal}."
            )
    for size in ("176x320", "352x640"):
        small, large = (cases.get(f"cloud:{count}:{size}") for count in (COUNTS[0], COUNTS[-1]))
        if small is not None and large is not None:
            growth = [
                b / a
                for a, b in zip(small["times"]["cpu"]["wall"], large["times"]["cpu"]["wall"], strict=True)
            ]
            lines.append(
                f"- From {COUNTS[0]} to {COUNTS[-1]} Gaussians, {COUNTS[-1] // COUNTS[0]} times as many, at {size}:"
                f" {growth[0]:.0f} times the time forward, {growth[1]:.0f} with backward."
            )
    if "compile" in cases:
        named = ", ".join(f"{name} {value:.1f} s" for name, value in cases["compile"]["seconds"].items())
        lines.append(f"- Compilation: {named}.")
    return lines


def _pair(times: Sequence[float] | None) -> str:
    return " ".join(f"{value:8.1f}" for value in times) if times else " " * 17
