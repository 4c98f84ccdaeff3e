"""Time the procedural teacher on one core: where the seconds of one scene's film go.

Run `python -m benchmarks.teacher [KIND ...] [--out benchmarks/results/teacher.md]`. For every kind it films
seed 0 at 176x320 (six clips of 17 frames and 12 held-out cameras) and prints processor seconds per part with
their shares. The last column relates the whole to the bare Embree search of the same primary rays in the same
run, a figure that machines share where seconds differ.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from generator.teachers import raycast
from generator.teachers.procedural import ProceduralTeacher
from generator.teachers.quads import QuadScene
from generator.worlds import KINDS, build_world, parse_prompt
from generator.worlds.world import World

PARTS = ("build", "bake", "rays", "shade", "other")


class Stopwatch:
    """Add up the processor seconds that wrapped functions take, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.rays = 0

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time added to `name`."""

        def timed(*args: Any, **options: Any) -> Any:
            start = time.process_time()
            result = function(*args, **options)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start
            if name == "rays":
                self.rays += len(result)
            return result

        return timed


def film(world: World, teacher: ProceduralTeacher, watch: Stopwatch) -> float:
    """Film a world with its parts under the watch; return the processor seconds of the whole."""
    bake, shade, first_quad = raycast.bake, raycast.shade, QuadScene.first_quad
    try:
        raycast.bake = watch.wrap("bake", bake)
        raycast.shade = watch.wrap("shade", shade)  # type: ignore[assignment]
        QuadScene.first_quad = watch.wrap("rays", first_quad)  # type: ignore[method-assign]
        start = time.process_time()
        teacher.film(world, seed=0)
        return time.process_time() - start
    finally:
        raycast.bake, raycast.shade, QuadScene.first_quad = bake, shade, first_quad  # type: ignore[method-assign]


def measure(kind: str, teacher: ProceduralTeacher) -> str:
    """Return one row of the table."""
    watch = Stopwatch()
    world = watch.wrap("build", build_world)(parse_prompt(kind.replace("_", " ")), seed=0)
    total = film(world, teacher, watch)
    seconds = watch.seconds
    seconds["other"] = total - sum(seconds[part] for part in ("bake", "rays", "shade"))
    total += seconds["build"]
    cells = [f"{seconds[part]:6.2f} {100 * seconds[part] / total:3.0f}%" for part in PARTS]
    rate = watch.rays / seconds["rays"] / 1e6
    return f"{kind:16} {len(world.corners):6} {' '.join(cells)} {total:7.2f} {rate:8.2f} {total / seconds['rays']:8.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "kinds", nargs="*", default=list(KINDS), metavar="KIND", help="kinds of world (default: all)"
    )
    parser.add_argument("--out", type=Path, help="also write the table to this Markdown file")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    numba.set_num_threads(1)
    teacher = ProceduralTeacher()
    # Load (or compile) the kernels before anything is timed.
    small = ProceduralTeacher(height=16, width=32, frames=2, held_out=0)
    small.film(build_world(parse_prompt(arguments.kinds[0].replace("_", " ")), seed=0), seed=0)
    heads = " ".join(f"{part + ' [s]':>11}" for part in PARTS)
    rows = [f"{'kind':16} {'quads':>6} {heads} {'all [s]':>7} {'Mray/s':>8} {'all/rays':>8}"]
    sys.stdout.write(rows[0] + "\n")
    for kind in arguments.kinds:
        rows.append(measure(kind, teacher))
        sys.stdout.write(rows[-1] + "\n")
        sys.stdout.flush()
    if arguments.out:
        machine = f"Processor seconds on one core; {platform.machine()}, Python {platform.python_version()}, 176x320."
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text("\n".join([machine, "", "```", *rows, "```", ""]))


if __name__ == "__main__":
    main()
