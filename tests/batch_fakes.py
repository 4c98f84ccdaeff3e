"""A stand-in for the generator in tests of batches: real scene files in milliseconds, and trouble on request.

Worker processes import it by name. The first word of a prompt says how it behaves; `FAKE_NOTES` names a folder in
which every call leaves a note, so that tests can count calls across processes.
"""

from __future__ import annotations

import errno
import os
import signal
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lyra_sim.batch.work import PREVIEW, SCENE, Outcome, Task, work
from lyra_sim.collider.floor import floor_tiles
from lyra_sim.collider.fuse import merge
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import Scene, TriangleMesh
from lyra_sim.usd.writer import write_usdz

GENERATE = f"{Path(__file__).stem}:generate"
ROOM = np.array([[-2.0, -1.5], [2.0, 1.5]])
"""Corners of the floor [m]."""


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> TriangleMesh:
    """Return the surface of a box."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = [face for a, b, c, d in quads for face in ([a, b, c], [a, c, d])]
    vertices = np.where(corners, high, low).astype(np.float32)
    return TriangleMesh(vertices, np.array(faces, np.int32))


def room(seed: int = 0) -> Scene:
    """Return a floor with a box somewhere on it, the floor covered with splats."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-1.0, 0.5, 2)
    mesh = merge(floor_tiles(ROOM[0], ROOM[1], margin=1.0), box((x, y, 0.0), (x + 0.5, y + 0.4, 0.6)))
    means = np.stack(np.meshgrid(np.arange(-2, 2, 0.2), np.arange(-1.5, 1.5, 0.2)), axis=-1).reshape(-1, 2)
    means = np.column_stack([means, np.zeros(len(means))]).astype(np.float32)
    count = len(means)
    gaussians = Gaussians(
        means=means,
        scales=np.full((count, 3), 0.05, np.float32),
        rotations=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        opacities=np.full(count, 0.9, np.float32),
        sh=rng.normal(scale=0.3, size=(count, 1, 3)).astype(np.float32),
    )
    licences = {"decoder": {"sha256": "0" * 64, "licence": "Apache-2.0"}}
    return Scene(gaussians, mesh, provenance={"generator": "fake", "seed": seed, "checkpoints": licences})


def generate(task: Task, seed: int, folder: Path) -> Mapping[str, Any]:
    """Behave as the first word of the prompt says."""
    mood = task.scene.prompt.split()[0]
    earlier = note(task, seed)
    if mood == "die" or (mood == "diesonce" and not earlier):
        os.kill(os.getpid(), signal.SIGKILL)
    if mood == "slow":
        time.sleep(0.3)
    if mood == "stuck":
        time.sleep(600)
    if mood == "raise":
        raise ValueError("no\nsuch thing")
    if mood == "refuse":
        raise LyraSimError("the weights are missing; pull them")
    if mood == "full":
        raise LyraSimError("trajectory /cache/left: the disk is full") from OSError(
            errno.ENOSPC, "No space left on device"
        )
    write_usdz(folder / SCENE, room(seed % 2**32))
    Image.new("RGB", (1300, 400), (seed % 256, 90, 120)).save(folder / PREVIEW)
    bad = mood == "bad" or (mood == "badfirst" and seed == task.scene.seed)
    report = {
        "metrics": {"psnr_db": 12.0 if bad else 24.5, "ssim": 0.7, "relative_depth_error": 0.01},
        "collider": {"median_cm": 0.8, "p95_cm": 4.0, "floor_flatness_cm": 0.5},
        "stages": {"all": {"seconds": 0.01, "peak_mib": 50.0}},
    }
    return {"report": report, "peak_mib": 50.0}


class Inline:
    """An engine that works in this process, one task at a time."""

    capacity = 1

    def __init__(self) -> None:
        self.task: Task | None = None

    def submit(self, task: Task) -> None:
        assert self.task is None
        self.task = task

    def wait(self) -> list[tuple[Task, Outcome]]:
        assert self.task is not None
        task, self.task = self.task, None
        return [(task, work(task))]

    def close(self) -> None:
        self.task = None


def note(task: Task, seed: int) -> int:
    """Leave a note of this call, and return how many there were for this scene before."""
    if "FAKE_NOTES" not in os.environ:
        return 0
    folder = Path(os.environ["FAKE_NOTES"])
    earlier = len(list(folder.glob(f"{task.scene.id}-*")))
    (folder / f"{task.scene.id}-{seed}-{uuid.uuid4().hex}").touch()
    return earlier
