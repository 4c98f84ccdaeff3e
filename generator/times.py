"""The files of a scene that moves: one per target time, and a stage that plays them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from lyra_sim.atomic import atomic_path
from lyra_sim.usd.sequence import FRAMES_PER_SECOND, write_sequence


def file_for(path: Path, time: float | None, times: Sequence[float]) -> Path:
    """Return the file of one target time: `scene.usdz`, or `scene_t060.usdz` where there are several times."""
    if time is None or len(times) < 2:
        return path
    return path.with_name(f"{path.stem}_t{time:03g}{path.suffix}")


def stage_of(name: str, time: float | None) -> str:
    """Return the name of a stage of progress, which repeats for every target time."""
    return name if time is None else f"{name} t{time:g}"


def write_index(
    outputs: ExitStack, out: Path, times: Sequence[float], *, frames_per_second: float = FRAMES_PER_SECOND
) -> str:
    """Write the stage that shows the scenes of all target times one after another; return its path.

    Args:
        outputs: Moves the file into its place at the end.
        out: The scene that was asked for; the stage lies beside it, *.usda.
        times: Target times [frames].
        frames_per_second: How fast they pass.
    """
    place = out.with_suffix(".usda")
    scenes = [(time, file_for(out, time, times).name) for time in sorted(times)]
    write_sequence(outputs.enter_context(atomic_path(place)), scenes, frames_per_second=frames_per_second)
    return str(place.absolute())
