"""Read training scenes as decoder batches; what a step sees depends on its number alone, so resuming is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from lyra_sim.errors import LyraSimError
from training.cache_errors import disturbed_cache
from training.stage import Stage

WINDOW_STEP = 16
"""Pixels that windows of a frame begin and end on: a token of the decoder."""


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
    target_time: float | None = None
    """Time of the frames to render [frames of the clip]; None where nothing moves."""

    def to(self, device: torch.device) -> Batch:
        """Return a copy with every tensor on a device."""
        moved: dict[str, Any] = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), torch.Tensor)
        }
        return replace(self, **moved)


class Source(Protocol):
    """Where batches come from."""

    def draw(self, stage: Stage, seed: int, step: int) -> Batch:
        """Return the batch of a step; it depends on stage, seed and step alone."""
        ...

    def refresh(self) -> None:
        """Look for new scenes."""
        ...


@dataclass(frozen=True)
class SceneArrays:
    """Hold V views of T frames of one scene; arrays may be memory-mapped."""

    rgb: np.ndarray
    """sRGB, (V, T, H, W, 3) uint8."""
    depth: np.ndarray
    """True z-depth [m] at output cells, 0 where unknown, (V, T, H/cell, W/cell)."""
    latents: np.ndarray
    """Raw tokenizer latents, (V, t, C, h, w)."""
    cache_depth: np.ndarray
    """Warped conditioning depth [m] at output cells, holes filled, (V, T, H/cell, W/cell)."""
    cache_mask: np.ndarray
    """Where it is real rather than filled, same shape."""
    c2w: np.ndarray
    """Poses, OpenCV axes, (V, T, 4, 4)."""
    intrinsics: np.ndarray
    """fx, fy, cx, cy [px], (V, T, 4)."""
    conditioning_depth: np.ndarray | None = None
    """z-depth [m] of the conditioning frame, (H, W), where it is kept; `Stage.cache_errors` disturbs it."""

    @classmethod
    def of(cls, folder: Path) -> SceneArrays:
        """Map the arrays of a prepared scene folder."""
        names = ("rgb", "depth", "latents", "cache_depth", "cache_mask", "c2w", "intrinsics")
        path = folder / "conditioning_depth.npy"
        depth = np.load(path, mmap_mode="r") if path.exists() else None
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
        return cls(**arrays, conditioning_depth=depth)

    def with_cache_errors(self, views: np.ndarray, rng: np.random.Generator) -> SceneArrays:
        """Return the scene with the cache that a wrong depth gives, in some views.

        Raises:
            LyraSimError: The scene was prepared without the depth of its conditioning frame.
        """
        if self.conditioning_depth is None:
            raise LyraSimError(
                "cache_errors: the scene holds no conditioning_depth.npy; make it with training.scenes"
            )
        cell = self.rgb.shape[-2] // self.cache_depth.shape[-1]
        poses, lenses = self.c2w[views], self.intrinsics[views]
        depth, mask = disturbed_cache(np.array(self.conditioning_depth), poses, lenses, rng, cell=cell)
        cache_depth, cache_mask = np.array(self.cache_depth), np.array(self.cache_mask)
        cache_depth[views], cache_mask[views] = depth, mask
        return replace(self, cache_depth=cache_depth, cache_mask=cache_mask)

    def window(self, size: tuple[int, int], rng: np.random.Generator) -> SceneArrays:
        """Return a random window of all frames, as a camera with a smaller picture would have seen it.

        Args:
            size: Height and width [px], multiples of `WINDOW_STEP`; frames that are smaller stay as they are.
            rng: Chooses the place.
        """
        shape = self.rgb.shape[2:4]
        height, width = (min(a, b) for a, b in zip(size, shape, strict=True))
        top, left = (
            WINDOW_STEP * int(rng.integers((whole - part) // WINDOW_STEP + 1))
            for whole, part in zip(shape, (height, width), strict=True)
        )

        def part(array: np.ndarray, pixels: int) -> np.ndarray:
            rows = slice(top // pixels, (top + height) // pixels)
            return array[..., rows, left // pixels : (left + width) // pixels]

        cell, latent = (shape[1] // array.shape[-1] for array in (self.depth, self.latents))
        return replace(
            self,
            rgb=self.rgb[:, :, top : top + height, left : left + width],
            depth=part(self.depth, cell),
            latents=part(self.latents, latent),
            cache_depth=part(self.cache_depth, cell),
            cache_mask=part(self.cache_mask, cell),
            intrinsics=self.intrinsics - np.array([0, 0, left, top]),
        )


class SceneDataset:
    """Draw batches from a folder of scenes that are prepared (`python -m training.prepare` makes them)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[Path, tuple[int, ...]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Look for scenes again; raises LyraSimError when there is none."""
        self.scenes = sorted(p.parent for p in self._folder.glob("[0-9]*/latents.npy"))
        if not self.scenes:
            raise LyraSimError(
                f"{self._folder}: holds no scenes with latents; run training.scenes, training.prepare"
            )
        for scene in self.scenes:
            if scene not in self._sizes:
                self._sizes[scene] = np.load(scene / "rgb.npy", mmap_mode="r").shape[2:4]

    def of_size(self, size: tuple[int, int] | None) -> list[Path]:
        """Return the scenes whose frames have a height and width, all with None; raises LyraSimError for none."""
        scenes = [scene for scene in self.scenes if size in (None, self._sizes[scene])]
        if not scenes:
            raise LyraSimError(
                f"{self._folder}: holds no scenes of {size[0]}x{size[1]}; run training.scenes --size"  # type: ignore[index]
            )
        return scenes

    def __len__(self) -> int:
        return len(self.scenes)

    def draw(self, stage: Stage, seed: int, step: int) -> Batch:
        """Return the batch of a step: a random scene, some of its views as input, frames of any view to render.

        Raises:
            LyraSimError: The stage is for moving scenes, which these are not.
        """
        require_static(stage, f"{self._folder} holds static worlds")
        rng = np.random.default_rng([seed, step])
        scenes = self.of_size(stage.size)
        return draw_static(SceneArrays.of(scenes[rng.integers(len(scenes))]), stage, rng)


def require_static(stage: Stage, instead: str) -> None:
    """Raise LyraSimError when a stage is for moving scenes; `instead` says what there is."""
    if stage.dynamic:
        raise LyraSimError(f"stage {stage.name} is for moving scenes; {instead}")


def draw_static(scene: SceneArrays, stage: Stage, rng: np.random.Generator) -> Batch:
    """Choose input views, frames to render and the error of the cache, and return the batch."""
    views, frames = scene.rgb.shape[:2]
    count = min(int(rng.integers(stage.views[0], stage.views[1] + 1)), views)
    order = rng.permutation(views)[:count]
    targets = max(stage.targets, 1)
    if stage.same_targets:
        chosen = target_frames(frames, targets, late=stage.late_targets, rng=rng)
        wanted = [(int(view), frame) for view in order for frame in chosen]
    else:
        wanted = [(int(rng.integers(views)), int(rng.integers(frames))) for _ in range(targets)]
    error = float(np.exp(stage.cache_noise * rng.standard_normal()))
    if stage.cache_errors:
        scene = scene.with_cache_errors(order, rng)
    if stage.window:
        scene = scene.window(stage.window, rng)
    return make_batch(scene, order, wanted, cache_scale=error)


def target_frames(frames: int, count: int, *, late: bool, rng: np.random.Generator) -> list[int]:
    """Draw frames to render without replacement, later ones more often (exp(3 p), p in 0..1) where asked."""
    weights = np.exp(3 * np.linspace(0, 1, frames)) if late else np.ones(frames)
    return sorted(rng.choice(frames, min(count, frames), replace=False, p=weights / weights.sum()).tolist())


def read_batch(
    folder: Path, views: np.ndarray, targets: Sequence[tuple[int, int]], *, cache_scale: float = 1.0
) -> Batch:
    """Read the given views of a prepared scene as input and the (view, frame) pairs as frames to render."""
    return make_batch(SceneArrays.of(folder), views, targets, cache_scale=cache_scale)


def make_batch(
    scene: SceneArrays,
    views: np.ndarray,
    targets: Sequence[tuple[int, int]],
    *,
    cache_scale: float = 1.0,
    target_time: float | None = None,
) -> Batch:
    """Return the given views of a scene as input and the (view, frame) pairs as frames to render.

    Args:
        scene: The scene.
        views: Indices of the input views, in the decoder's order.
        targets: View and frame of every frame to render.
        cache_scale: Factor put on the cache's depth.
        target_time: Time of the frames to render [frames], of a moving scene.
    """

    def flat(array: np.ndarray) -> torch.Tensor:
        picked = np.ascontiguousarray(array[views]).astype(np.float32)
        return torch.from_numpy(picked).flatten(0, 1)[None]

    # The first frame of every clip is the conditioning camera, so any view gives the same origin.
    origin = np.linalg.inv(scene.c2w[views[0], 0])
    cache_depth = flat(scene.cache_depth) * cache_scale
    rgb = flat(scene.rgb).permute(0, 1, 4, 2, 3) / 255
    cell = rgb.shape[-1] // cache_depth.shape[-1]
    picked = tuple(np.array(targets).T)

    def pick(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array[picked]).astype(np.float32))

    return Batch(
        views=len(views),
        latents=flat(scene.latents),
        c2w=torch.from_numpy((origin @ scene.c2w[views]).astype(np.float32)).flatten(0, 1)[None],
        intrinsics=flat(scene.intrinsics),
        cache_depth=cache_depth,
        cache_mask=flat(scene.cache_mask),
        depth=flat(scene.depth),
        colour=F.avg_pool2d(rgb[0], cell)[None],
        target_rgb=pick(scene.rgb) / 255,
        target_depth=pick(scene.depth),
        target_c2w=torch.from_numpy((origin @ scene.c2w[picked]).astype(np.float32)),
        target_intrinsics=pick(scene.intrinsics),
        target_time=target_time,
    )
