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
    from generator.sizes import resolve

    make, scene = task.recipe["make"], task.scene
    # A procedural world is known in metres; a size that imagines a picture of a prompt estimates its depth.
    estimated = scene.picture is not None or resolve(make["size"]).text_to_image is not None
    request = Request(
        prompt=scene.prompt,
        image=Path(scene.picture) if scene.picture else None,
        camera_height=scene.camera_height,
        out=folder / SCENE,
        seed=seed,
        **{name: make[name] for name in ("size", "teacher", "strict", "target", "movement", "fit", "refine")},
        **{name: make[name] for name in ("collider", "collider_faces", "collider_approximation")},
        **{name: make[name] for name in ("labels", "proxy", "preview")},
        resolution=frame_size(make["resolution"]),
        estimator=make["estimator"] if estimated else None,
        trajectories=tuple(make["trajectories"]),
    )
    result = generate(request, Progress("none", STAGE_WEIGHTS), networks=_networks())
    if make["preview"]:
        (folder / SCENE).with_suffix(".png").rename(folder / PREVIEW)
    report = result["report"]
    return {"report": report, "peak_mib": max(stage["peak_mib"] for stage in report["stages"].values())}


def frame_size(text: str | None) -> tuple[int, int] | None:
    """Return the height and width that a spec's `WIDTHxHEIGHT` means."""
    if text is None:
        return None
    width, height = text.split("x")
    return int(height), int(width)


@cache
def _networks() -> Networks:
    """Return the networks of this worker process."""
    from generator.networks import Networks

    return Networks(keep=True)
