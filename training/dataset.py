"""Read training scenes as decoder batches; what a step sees depends on its number alone, so resuming is exact."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lyra_sim.errors import LyraSimError


@dataclass(frozen=True)
class Batch:
    """Hold one scene: V input views of T frames, and frames to render."""

    views: int
    """Number V of input views."""
    latents: torch.Tensor
    """Raw tokenizer latents, (1, V*t, C, h, w)."""
    c2w: torch.Tensor
    """Poses relative to the first frame of the first view, OpenCV, (1, V*T, 4, 4)."""
    intrinsics: torch.Tensor
    """fx, fy, cx, cy [px], (1, V*T, 4)."""
    cache_depth: torch.Tensor
    """Warped conditioning depth [m] at output cells, (1, V*T, H/cell, W/cell)."""
    cache_mask: torch.Tensor
    """Where the cache is real rather than filled, same shape."""
    depth: torch.Tensor
    """True z-depth [m] at output cells, same shape; for losses only."""
    colour: torch.Tensor
    """Mean sRGB of the output cells, (1, V*T, 3, H/cell, W/cell); for losses only."""
    target_rgb: torch.Tensor
    """Frames to render, sRGB in [0, 1], (R, H, W, 3)."""
    target_depth: torch.Tensor
    """Their true z-depth [m] at output cells, (R, H/cell, W/cell)."""
    target_c2w: torch.Tensor
    """Their poses, relative like `c2w`, (R, 4, 4)."""
    target_intrinsics: torch.Tensor
    """(R, 4)."""


class SceneDataset:
    """Draw batches from a folder of scenes that are prepared (`python -m training.prepare` makes them)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.refresh()

    def refresh(self) -> None:
        """Look for scenes again; raises LyraSimError when there is none."""
        self.scenes = sorted(p.parent for p in self._folder.glob("[0-9]*/latents.npy"))
        if not self.scenes:
            raise LyraSimError(
                f"{self._folder}: holds no scenes with latents; run training.scenes, training.prepare"
            )

    def __len__(self) -> int:
        return len(self.scenes)

    def batch(
        self, seed: int, step: int, *, views: tuple[int, int], targets: int, cache_noise: float = 0.0
    ) -> Batch:
        """Return the batch of a step: a random scene, `views` (least, most) input views, `targets` frames.

        `cache_noise` is the standard deviation of one log-scale error per scene on the cache's depth.
        """
        rng = np.random.default_rng([seed, step])
        scene = self.scenes[rng.integers(len(self.scenes))]
        names = json.loads((scene / "scene.json").read_text())["trajectories"]
        count = min(int(rng.integers(views[0], views[1] + 1)), len(names))
        order = rng.permutation(len(names))[:count]
        frames = np.load(scene / "rgb.npy", mmap_mode="r").shape[1]
        wanted = [(int(rng.integers(len(names))), int(rng.integers(frames))) for _ in range(targets)]
        error = float(np.exp(cache_noise * rng.standard_normal()))
        return read_batch(scene, order, wanted, cache_scale=error)


def read_batch(
    scene: Path, views: np.ndarray, targets: list[tuple[int, int]], *, cache_scale: float = 1.0
) -> Batch:
    """Read the given views of a scene as input and the (view, frame) pairs as frames to render."""

    def load(name: str) -> np.ndarray:
        return np.load(scene / f"{name}.npy", mmap_mode="r")

    def flat(name: str) -> torch.Tensor:
        array = np.ascontiguousarray(load(name)[views]).astype(np.float32)
        return torch.from_numpy(array).flatten(0, 1)[None]

    c2w = load("c2w")
    # The first frame of every clip is the conditioning camera, so any view gives the same origin.
    origin = np.linalg.inv(c2w[views[0], 0])
    cache_depth = flat("cache_depth") * cache_scale
    rgb = flat("rgb").permute(0, 1, 4, 2, 3) / 255
    cell = rgb.shape[-1] // cache_depth.shape[-1]
    picked = tuple(np.array(targets).T)

    def pick(name: str) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(load(name)[picked]).astype(np.float32))

    return Batch(
        views=len(views),
        latents=flat("latents"),
        c2w=torch.from_numpy((origin @ c2w[views]).astype(np.float32)).flatten(0, 1)[None],
        intrinsics=flat("intrinsics"),
        cache_depth=cache_depth,
        cache_mask=flat("cache_mask"),
        depth=flat("depth"),
        colour=F.avg_pool2d(rgb[0], cell)[None],
        target_rgb=pick("rgb") / 255,
        target_depth=pick("depth"),
        target_c2w=torch.from_numpy((origin @ c2w[picked]).astype(np.float32)),
        target_intrinsics=pick("intrinsics"),
    )
