"""What a batch would make and what its folder holds already, before anything is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyra_sim.batch.driver import recover
from lyra_sim.batch.folder import JOURNAL, BatchFolder
from lyra_sim.batch.journal import parse

if TYPE_CHECKING:
    from lyra_sim.batch.expand import Plan

SHOWN = 12
"""Scenes that are listed."""


def outlook(plan: Plan, out: Path | None) -> dict[str, Any]:
    """Return what a run would make (JSON types); nothing is written.

    Raises:
        LyraSimError: `out` holds something else.
    """
    scenes = [
        {
            "id": scene.id,
            "split": scene.split,
            "seed": scene.seed,
            "prompt": scene.prompt,
            "picture": Path(scene.picture).name if scene.picture else None,
        }
        for scene in plan.scenes[:SHOWN]
    ]
    return {
        "size": plan.recipe["make"]["size"],  # type: ignore[index]
        "scenes": len(plan.scenes),
        "dropped": plan.dropped,
        "splits": dict(sorted(Counter(scene.split for scene in plan.scenes).items())),
        "first_scenes": scenes,
        **(_standing(plan, out) if out is not None else {}),
    }


def describe(facts: Mapping[str, Any]) -> str:
    """Write an outlook for a person."""
    dropped = f", {facts['dropped']:,} dropped" if facts["dropped"] else ""
    splits = ", ".join(f"{count:,} {split}" for split, count in facts["splits"].items())
    lines = [f"{facts['scenes']:,} scenes of size {facts['size']}{dropped}: {splits}"]
    if "missing" in facts:
        lines.append(_standing_line(facts))
    for scene in facts["first_scenes"]:
        picture = f" from {scene['picture']}" if scene["picture"] else ""
        lines.append(
            f"  {scene['id']}  {scene['split']:<10}  seed {scene['seed']:<6}  {scene['prompt']!r}{picture}"
        )
    if facts["scenes"] > SHOWN:
        lines.append(f"  ... and {facts['scenes'] - SHOWN:,} more")
    return "\n".join(lines) + "\n"


def _standing(plan: Plan, out: Path) -> dict[str, Any]:
    """Return how a folder stands, and what the rest would take by what the earlier scenes took."""
    folder = BatchFolder(out)
    folder.check()
    try:
        events, _ = parse((folder.path / JOURNAL).read_bytes())
    except OSError:
        events = []
    state = recover(plan, folder, events)
    missing = len(plan.scenes) - len(state.done) - len(state.rejected)
    facts = {"done": len(state.done), "rejected": len(state.rejected), "missing": missing}
    made = [e for e in events if e["event"] == "made" and e.get("id") in state.done]
    seconds = [e["seconds"] for e in made if isinstance(e.get("seconds"), (int, float))]
    if not seconds:
        return facts | {"worker_hours": None, "gigabytes": None}
    sizes = [sum(file["bytes"] for file in row["files"].values()) for row in state.done.values()]
    return facts | {
        "worker_hours": missing * sum(seconds) / len(seconds) / 3600,
        "gigabytes": missing * sum(sizes) / len(sizes) / 1e9,
    }


def _standing_line(facts: Mapping[str, Any]) -> str:
    text = f"{facts['done']:,} done, {facts['rejected']:,} rejected, {facts['missing']:,} to make"
    if not facts["done"]:
        text = "none made yet" + (f", {facts['rejected']:,} rejected" if facts["rejected"] else "")
    if facts["worker_hours"] is None:
        return f"{text}; time and room are known after the first ones"
    if not facts["missing"]:
        return text
    return (
        f"{text}: about {facts['worker_hours']:.1f} worker hours and {facts['gigabytes']:.2f} GB, "
        "by those made so far"
    )
