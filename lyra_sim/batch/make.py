"""Make scenes of a batch with the generator; each worker process loads the networks once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyra_sim.batch.work import PREVIEW, SCENE, Task
from lyra_sim.progress import Progress
from lyra_sim.stages import STAGE_WEIGHTS

if TYPE_CHECKING:
    from generator.networks import Networks


def generate_scene(task: Task, seed: int, folder: Path) -> Mapping[str, Any]:
    """Write `scene.usdz`, and `preview.png` when asked for, into `folder`.

    Raises:
        LyraSimError: The scene cannot be made.
    """
    from generator.generate import generate
    from generator.request import Request

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
    result = generate(request, Progress("none", STAGE_WEIGHTS), networks=_networks())
    if make["preview"]:
        (folder / SCENE).with_suffix(".png").rename(folder / PREVIEW)
    report = result["report"]
    return {"report": report, "peak_mib": max(stage["peak_mib"] for stage in report["stages"].values())}


@cache
def _networks() -> Networks:
    """Return the networks of this worker process."""
    from generator.networks import Networks

    return Networks(keep=True)
