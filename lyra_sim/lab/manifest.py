"""From the manifest of a batch to Isaac Lab configurations."""

from __future__ import annotations

import json
from dataclasses import astuple
from importlib.resources import files
from pathlib import Path
from typing import Any

from lyra_sim.batch.manifest import read_manifest
from lyra_sim.errors import LyraSimError
from lyra_sim.lab.cfgs import LabScene, SceneCfgs


def scene_cfgs(folder: str | Path, *, split: str | None = None) -> SceneCfgs:
    """Return the scenes of a batch as Isaac Lab configurations.

    Args:
        folder: Output folder of `lyra-sim batch`.
        split: `train`, `validation` or `test`; None for all.

    Raises:
        LyraSimError: There is no usable manifest, a scene is gone, or the split is empty.
    """
    folder = Path(folder).absolute()
    scenes = [_lab_scene(folder, row) for row in read_manifest(folder, split=split)]
    if not scenes:
        which = f"of split {split} " if split else ""
        raise LyraSimError(f"{folder}: no scene {which}is finished; run the batch, or choose another split")
    return SceneCfgs(scenes)


def write_module(scenes: SceneCfgs) -> str:
    """Return a Python module with the scenes that needs Isaac Lab but not lyra-sim.

    It offers `SCENES` (all of them) and `scene_cfgs(split)`.
    """
    source = (files("lyra_sim.lab") / "cfgs.py").read_text(encoding="utf-8")
    rows = "".join(f"    {_literal(astuple(scene))},\n" for scene in scenes)
    return (
        f"{source}\n\n"
        f"SCENES = from_rows([\n{rows}])\n"
        '"""Every scene; `lyra-sim lab-cfg` wrote this list."""\n\n\n'
        "def scene_cfgs(split: str | None = None) -> SceneCfgs:\n"
        '    """Return the scenes of a split: train, validation or test; all without one."""\n'
        "    return SceneCfgs([scene for scene in SCENES if split in (None, scene.split)])\n"
    )


def _literal(value: Any) -> str:
    """Return a Python literal of nested tuples, texts and numbers; texts are quoted as JSON quotes them."""
    if isinstance(value, tuple):
        return f"({''.join(f'{_literal(item)}, ' for item in value).strip()})"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _lab_scene(folder: Path, row: dict[str, Any]) -> LabScene:
    try:
        low, high = row["bounds_m"]
        return LabScene(
            id=row["id"],
            split=row["split"],
            prompt=row["prompt"],
            usd_path=str(folder / row["scene"]),
            collider_path=str(folder / row["collider"]) if row.get("collider") else None,
            spawn_points=tuple((p["x"], p["y"], p["yaw"]) for p in row["spawn_points"]),
            low=tuple(map(float, low)),  # type: ignore[arg-type]
            high=tuple(map(float, high)),  # type: ignore[arg-type]
            metric=bool(row.get("metric", True)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LyraSimError(
            f"{folder}: the manifest's row of scene {row['id']} is damaged ({error!r}); run the batch again"
        ) from error
