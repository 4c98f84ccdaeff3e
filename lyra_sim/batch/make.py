"""Make scenes of a batch with the generator; each worker process loads the networks once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from lyra_sim.batch.work import PREVIEW, SCENE, Task
from lyra_sim.progress import Progress


def generate_scene(task: Task, seed: int, folder: Path) -> Mapping[str, Any]:
    """Write `scene.usdz`, and `preview.png` when asked for, into `folder`.

    Raises:
        LyraSimError: The scene cannot be made.
    """
    from generator.generate import generate
    from generator.request import Request
    from lyra_sim.commands.gen import STAGE_WEIGHTS

    make, scene = task.recipe["make"], task.scene
    request = Request(
        prompt=scene.prompt,
        image=Path(scene.picture) if scene.picture else None,
        camera_height=scene.camera_height,
        out=folder / SCENE,
        seed=seed,
        **{name: make[name] for name in ("size", "teacher", "strict", "target", "movement", "estimator")},
        **{name: make[name] for name in ("collider", "labels", "proxy", "preview")},
        trajectories=tuple(make["trajectories"]),
    )
    result = generate(request, Progress("none", STAGE_WEIGHTS), pipeline=_pipeline(make["size"]))
    if make["preview"]:
        (folder / SCENE).with_suffix(".png").rename(folder / PREVIEW)
    report = result["report"]
    return {"report": report, "peak_mib": max(stage["peak_mib"] for stage in report["stages"].values())}


@lru_cache(maxsize=1)
def _pipeline(size: str) -> Any:
    from generator.pipeline import LyraPipeline
    from generator.sizes import resolve

    return LyraPipeline.for_size(resolve(size))
