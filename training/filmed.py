"""Batches of procedural worlds that are filmed on the way, and of data in the published layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from generator.cameras import Cameras
from generator.decoder import DecoderConfig
from generator.decoder.frames import fit_depths, fit_images, fit_intrinsics
from generator.decoder.latent_folder import LATENT_SUFFIXES, read_latent_folder
from generator.inputs import cell_values, warp_conditioning
from generator.teachers.procedural import ProceduralTeacher
from generator.tokenizer import CosmosTokenizer
from generator.trajectories import SDG_TRAJECTORIES
from generator.worlds import KINDS, parse_prompt
from lyra_sim.errors import LyraSimError
from training.dataset import Batch, SceneArrays, draw_static, make_batch, require_static
from training.scenes import TRAINING_SEED, training_prompt
from training.sdg.layout import REVERSED_FROM, read_view
from training.sdg.run import encode, read_manifest
from training.stage import Stage

SIZE = (176, 320)
"""Height and width [px] of worlds that are filmed for a stage of no size."""


class WorldSource:
    """Film a new procedural world for every step; no disk, no scene seen twice."""

    def __init__(self, tokenizer: CosmosTokenizer, config: DecoderConfig) -> None:
        self._tokenizer, self._cell = tokenizer, config.cell

    def refresh(self) -> None:
        """Do nothing: every scene is new."""

    def draw(self, stage: Stage, seed: int, step: int) -> Batch:
        """Film the world of a step along as many paths as the stage asks for; seeds are those of training."""
        require_static(stage, "procedural worlds do not move")
        rng = np.random.default_rng([seed, step])
        paths = [
            SDG_TRAJECTORIES[i] for i in sorted(rng.permutation(len(SDG_TRAJECTORIES))[: max(stage.views)])
        ]
        height, width = stage.size or SIZE
        teacher = ProceduralTeacher(
            height=height, width=width, frames=stage.frames, trajectories=tuple(paths), held_out=0
        )
        world = TRAINING_SEED + int(rng.integers(2**31))
        video = teacher.imagine(parse_prompt(training_prompt(rng, KINDS)), seed=world)
        scene = make_arrays(
            np.stack([clip.rgb for clip in video.clips]),
            np.stack([clip.depth for clip in video.clips]),
            [clip.cameras for clip in video.clips],
            np.stack([encode(self._tokenizer, clip.rgb).swapaxes(0, 1) for clip in video.clips]),
            cell=self._cell,
        )
        return draw_static(scene, stage, rng)


class PublishedSource:
    """Draw batches from data in the published layout: what `lyra-sim sdg` writes, and what Lyra's authors published."""

    def __init__(
        self,
        folder: Path,
        tokenizer: CosmosTokenizer,
        config: DecoderConfig,
        *,
        mean_std: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> None:
        """Find the scenes.

        Args:
            folder: Folder of shards, or of views.
            tokenizer: Encodes frames where a stage does not take stored latents.
            config: The decoder that is trained.
            mean_std: Statistics of published latents; see `read_latent_folder`.
        """
        self._folder, self._tokenizer, self._config, self._mean_std = folder, tokenizer, config, mean_std
        self.refresh()

    def refresh(self) -> None:
        """Look for scenes again: those of manifests, training split only, and all of folders without one.

        Raises:
            LyraSimError: There is none.
        """
        listed = read_manifest(self._folder)
        self.scenes = [
            (self._folder / entry["shard"], stem)
            for stem, entry in listed.items()
            if entry["split"] == "train"
        ]
        if not listed:
            latents = [p for p in self._folder.glob("**/0/latent/*") if p.suffix in LATENT_SUFFIXES]
            self.scenes = [(p.parents[2], p.stem) for p in sorted(latents)]
        if not self.scenes:
            raise LyraSimError(f"{self._folder}: holds no training scene; make some with lyra-sim sdg")

    def draw(self, stage: Stage, seed: int, step: int) -> Batch:
        """Return the batch of a step; frames are brought to the stage's size and cut to its number."""
        rng = np.random.default_rng([seed, step])
        shard, stem = self.scenes[rng.integers(len(self.scenes))]
        names = sorted((p.name for p in shard.iterdir() if p.name.isdigit()), key=int)
        forwards = [name for name in names if int(name) < REVERSED_FROM]
        if stage.dynamic:
            return self._draw_moving(shard, stem, forwards, names, stage, rng)
        count = min(int(rng.integers(stage.views[0], stage.views[1] + 1)), len(forwards))
        views = [forwards[i] for i in rng.permutation(len(forwards))[:count]]
        scene = self._read(shard, stem, views, stage)
        return draw_static(scene, replace(stage, views=(count, count)), rng)

    def _draw_moving(
        self,
        shard: Path,
        stem: str,
        forwards: list[str],
        names: list[str],
        stage: Stage,
        rng: np.random.Generator,
    ) -> Batch:
        """Return input views over the whole time, and other views, also those that run backwards, at one time."""
        count = min(int(rng.integers(stage.views[0], stage.views[1] + 1)), len(forwards))
        inputs = [forwards[i] for i in rng.permutation(len(forwards))[:count]]
        others = [names[i] for i in rng.permutation(len(names))[: stage.targets]]
        together = list(dict.fromkeys([*inputs, *others]))
        scene = self._read(shard, stem, together, stage, latents_of=inputs)
        time = int(rng.integers(scene.rgb.shape[1]))
        targets = [(together.index(name), time) for name in others]
        return make_batch(scene, np.arange(count), targets, target_time=float(time))

    def _read(
        self, shard: Path, stem: str, views: list[str], stage: Stage, *, latents_of: list[str] | None = None
    ) -> SceneArrays:
        read = [read_view(shard / name, stem) for name in views]
        source = (read[0].cameras.height, read[0].cameras.width)
        size, cut = stage.size or source, slice(0, stage.frames)
        as_stored = stage.stored_latents and source == size and len(read[0].rgb) == stage.frames
        if len(read[0].rgb) < stage.frames:
            raise LyraSimError(
                f"{shard}: {stem} has {len(read[0].rgb)} frames, stage {stage.name} wants {stage.frames}"
            )
        if stage.stored_latents and not as_stored:
            raise LyraSimError(
                f"{shard}: {stem} has {len(read[0].rgb)} frames of {source[1]}x{source[0]}, stage {stage.name} takes "
                f"stored latents of {stage.frames} frames of {size[1]}x{size[0]}"
            )
        rgb, depth, cameras = [], [], []
        for view in read:
            frames = torch.from_numpy(view.rgb[cut]).permute(0, 3, 1, 2).float()
            rgb.append(fit_images(frames, size).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())
            known = np.zeros(view.rgb.shape[:3], np.float32) if view.depth is None else view.depth
            depth.append(fit_depths(torch.from_numpy(known[cut])[:, None], size)[:, 0].numpy())
            lenses = fit_intrinsics(torch.from_numpy(view.cameras.intrinsics[cut]), source, size)
            cameras.append(Cameras(view.cameras.c2w[cut], lenses.numpy(), *size))
        wanted = views if latents_of is None else latents_of
        if as_stored:
            stored = read_latent_folder(
                shard, stem, self._config, views=tuple(wanted), mean_std=self._mean_std
            )
            latents = stored.latents[0].unflatten(0, (len(wanted), -1)).numpy()
        else:
            clips = [rgb[views.index(name)] for name in wanted]
            latents = np.stack([encode(self._tokenizer, clip).swapaxes(0, 1) for clip in clips])
        return make_arrays(np.stack(rgb), np.stack(depth), cameras, latents, cell=self._config.cell)


def make_arrays(
    rgb: np.ndarray, depth: np.ndarray, cameras: list[Cameras], latents: np.ndarray, *, cell: int
) -> SceneArrays:
    """Return a scene's arrays from its full-size ones; the cache warps the depth of the first view's first frame.

    Args:
        rgb: (V, T, H, W, 3) uint8.
        depth: z-depth, (V, T, H, W), 0 where unknown.
        cameras: T per view.
        latents: Raw latents, (V, t, C, h, w); views that are only rendered have none.
        cell: Pixels per output cell along an axis.
    """
    cells = [cell_values(*(torch.from_numpy(x) for x in (d, d > 0)), cell=cell)[0].numpy() for d in depth]
    start = depth[0, 0]
    if start.any():
        known = np.where(start > 0, start, np.median(start[start > 0])).astype(np.float32)
        warped = warp_conditioning(known, cameras, cell=cell)
        cache_depth, cache_mask = warped.depth.numpy(), warped.mask.numpy()
    else:
        # Without depth there is no cache; decoders with the branch learn what to do then from its empty mask.
        cache_depth, cache_mask = np.ones_like(np.stack(cells)), np.zeros_like(np.stack(cells))
    return SceneArrays(
        rgb,
        np.stack(cells),
        latents,
        cache_depth,
        cache_mask,
        np.stack([c.c2w for c in cameras]),
        np.stack([c.intrinsics for c in cameras]),
    )
