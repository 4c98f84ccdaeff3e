"""What both viewers show: a scene, its cameras, where to begin, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lyra_sim.convert import load_scene, move_scene, turn_of
from lyra_sim.errors import LyraSimError
from lyra_sim.frusta import Frustum, from_provenance
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import Scene
from lyra_sim.transform import Similarity
from lyra_sim.viewer.begin import first_view

MOST_FRUSTA = 60
"""Cameras that are drawn; more of them hide the scene."""


@dataclass(frozen=True)
class Exhibit:
    """Hold a scene in metres, Z up, with what a viewer needs beside it."""

    path: Path
    scene: Scene
    cameras: tuple[Frustum, ...]
    """Cameras of the pictures that the scene was made from, at most `MOST_FRUSTA`."""
    begin: Frustum
    """The camera that the viewer begins with."""
    distance: float
    """Distance of what that camera looks at [m]."""
    total: int
    """Gaussians in the file; more than in `scene` where some were left out."""

    @cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Box of the centres without the outermost hundredth on each side [m], two (3,) arrays."""
        low, high = np.percentile(self.scene.gaussians.means, [1, 99], axis=0)
        return low, high

    @property
    def frustum_length(self) -> float:
        """Length at which cameras are drawn [m]."""
        low, high = self.bounds
        return float(np.clip(np.linalg.norm(high - low) / 40, 0.02, 0.5))

    @property
    def focus(self) -> np.ndarray:
        """Point that the viewer begins by looking at [m], (3,)."""
        return self.begin.c2w[:3, 3] + self.distance * self.begin.c2w[:3, 2]


def open_exhibit(
    path: str | Path,
    *,
    cameras: Path | None = None,
    up_axis: tuple[str, str] | None = None,
    max_gaussians: int | None = None,
) -> Exhibit:
    """Read what `lyra-sim convert` reads and prepare it for a viewer.

    Args:
        path: `.ply`, `.spz`, Lyra tensors or a USD file.
        cameras: nerfstudio's `transforms.json`, instead of the cameras in the scene's provenance.
        up_axis: Axis that points up in the file, and the axis it becomes, such as (`-y`, `z`).
        max_gaussians: Keep only this many, those that cover most.

    Raises:
        LyraSimError: A file is missing or damaged, holds no Gaussians or some that are not finite, or an option
            makes no sense.
    """
    path = Path(path)
    if max_gaussians is not None and max_gaussians < 1:
        raise LyraSimError(f"--max-gaussians {max_gaussians}: must be 1 or more")
    move = Similarity(turn_of(up_axis))
    frusta = read_cameras(cameras) if cameras is not None else None
    scene = load_scene(path)
    if frusta is None:
        frusta = from_provenance(scene.provenance)
    frusta = tuple(replace(f, c2w=_moved(f.c2w, move)) for f in frusta)
    return exhibit_of(move_scene(scene, move), path, cameras=frusta, max_gaussians=max_gaussians)


def exhibit_of(
    scene: Scene, path: Path, *, cameras: tuple[Frustum, ...] = (), max_gaussians: int | None = None
) -> Exhibit:
    """Prepare a scene in metres, Z up, for a viewer; `path` is what it is called and where it can be had."""
    total = len(scene.gaussians)
    if max_gaussians is not None:
        scene = replace(scene, gaussians=most_visible(scene.gaussians, max_gaussians))
    begin, distance = first_view(scene.gaussians, cameras)
    shown = cameras[:: max(1, -(-len(cameras) // MOST_FRUSTA))]
    return Exhibit(path, scene, shown, begin, distance, total)


def most_visible(gaussians: Gaussians, count: int) -> Gaussians:
    """Return the `count` Gaussians of the largest opacity times area, in their order in the file."""
    if len(gaussians) <= count:
        return gaussians
    widest = np.sort(gaussians.scales, axis=1)[:, 1:].astype(np.float64)
    cover = gaussians.opacities * widest.prod(axis=1)
    return gaussians.select(np.sort(np.argpartition(-cover, count - 1)[:count]))


def read_cameras(path: Path) -> tuple[Frustum, ...]:
    """Return the cameras of a `transforms.json`.

    Raises:
        LyraSimError: The file is missing or is no such file.
    """
    from generator.camera_files import read_transforms

    frames = read_transforms(path)
    cameras = frames.cameras
    names = frames.file_paths or [str(i) for i in range(len(cameras))]
    return tuple(
        Frustum(Path(name).stem, c2w, (float(k[0]), float(k[1])), cameras.width, cameras.height)
        for name, c2w, k in zip(names, cameras.c2w, cameras.intrinsics, strict=True)
    )


def _moved(c2w: np.ndarray, move: Similarity) -> np.ndarray:
    turned = np.eye(4)
    turned[:3, :3] = move.rotation @ c2w[:3, :3]
    turned[:3, 3] = move.rotation @ c2w[:3, 3]
    return turned
