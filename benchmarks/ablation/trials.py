"""What the rows are measured on: worlds that training never saw, and a real picture; made once, kept as arrays."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.films import PROMPTS, film
from benchmarks.rgbd import judge_of, request_of
from benchmarks.silent import Silent
from generator import metrics
from generator.cameras import Cameras, invert_rigid
from generator.decoder import LyraDecoder
from generator.generate import imagine
from generator.inputs import conditioning_depth, warp_conditioning
from generator.request import Request, Run
from generator.sizes import MINI, Size
from generator.start import begin
from generator.teachers.conditioning import Picture
from generator.teachers.teacher import Clip, TeacherVideo
from generator.tokenizer import CosmosTokenizer
from lyra_sim.atomic import atomic_path
from training.dataset import Batch
from training.depth_noise import disturb_depth
from training.distill import run_decoder
from training.objective import render_targets

WORLDS = PROMPTS[:6]
"""Prompts of the worlds; training's seeds begin at one million."""
WORLD_SEED = 11
SCALE_ERROR = 0.1
"""Standard deviation of the log-scale error of a disturbed depth, beside its smooth errors and displaced edges."""


@dataclass(frozen=True)
class Trial:
    """Hold one scene's input views, the cache in two forms, and what its Gaussians are judged by."""

    latents: np.ndarray
    """(V, t, C, h, w) float16."""
    c2w: np.ndarray
    """Relative to the conditioning camera, (V, T, 4, 4)."""
    intrinsics: np.ndarray
    """(V, T, 4)."""
    cache_depth: np.ndarray
    """Of the depth as given, (V, T, H/cell, W/cell)."""
    cache_mask: np.ndarray
    wrong_depth: np.ndarray
    """Of the depth with an estimator's errors, same shape."""
    wrong_mask: np.ndarray
    target_rgb: np.ndarray
    """sRGB, (R, H, W, 3) uint8."""
    target_depth: np.ndarray
    """z-depth [m], 0 where it is not known, (R, H, W)."""
    target_c2w: np.ndarray
    """(R, 4, 4)."""
    target_intrinsics: np.ndarray
    """(R, 4)."""

    def save(self, path: Path) -> None:
        """Write the arrays, whole or not at all."""
        with atomic_path(path) as part, part.open("wb") as file:
            np.savez(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Trial:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{f.name: arrays[f.name] for f in fields(cls)})

    def batch(self, views: list[int], *, wrong: bool) -> Batch:
        """Return some views as the decoder's input."""

        def flat(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array[views].astype(np.float32)).flatten(0, 1)[None]

        def whole(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array.astype(np.float32))

        nothing = torch.zeros(0)
        return Batch(
            views=len(views),
            latents=flat(self.latents),
            c2w=flat(self.c2w),
            intrinsics=flat(self.intrinsics),
            cache_depth=flat(self.wrong_depth if wrong else self.cache_depth),
            cache_mask=flat(self.wrong_mask if wrong else self.cache_mask),
            depth=nothing,
            colour=nothing,
            target_rgb=whole(self.target_rgb) / 255,
            target_depth=whole(self.target_depth),
            target_c2w=whole(self.target_c2w),
            target_intrinsics=whole(self.target_intrinsics),
        )


@torch.no_grad()
def measure(decoder: LyraDecoder, trial: Trial, *, apart: bool, wrong: bool = False) -> dict[str, float]:
    """Decode all views of a trial, prune as in use, and compare with what it is judged by.

    Args:
        decoder: The network; its configuration says how much is pruned.
        trial: The scene.
        apart: Whether every view is decoded by itself.
        wrong: Whether the cache has an estimator's errors.
    """
    views = list(range(len(trial.c2w)))
    groups = [[view] for view in views] if apart else [views]
    batches = [trial.batch(group, wrong=wrong) for group in groups]
    sets = [run_decoder(decoder, decoder.config, batch) for batch in batches]
    kept = decoder.prune(torch.cat(sets, dim=1))[0]
    target = batches[0]
    shown = render_targets(kept, target)
    rgb, truth = shown.rgb.numpy().clip(0, 1), target.target_rgb.numpy()
    return {
        "gaussians": float(len(kept)),
        "psnr_db": metrics.mean_psnr(rgb, truth),
        "ssim": metrics.mean_ssim(rgb, truth),
        "depth_error": metrics.relative_depth_error(shown.depth.numpy(), trial.target_depth),
    }


def make_world(prompt: str, size: Size, tokenizer: CosmosTokenizer, *, cell: int) -> Trial:
    """Film a world that training never saw; its held-out cameras are the judge."""
    video = film(prompt, WORLD_SEED, size, None)
    assert video.held_out is not None
    return make_trial(video, video.held_out, tokenizer, cell=cell)


def make_motorcycle(tokenizer: CosmosTokenizer, *, cell: int) -> Trial:
    """Let the warp teacher film the left photograph of a stereo pair with true depth; the right one is the judge."""
    with tempfile.TemporaryDirectory() as folder:
        judge = judge_of(Path(folder))
        run = Run(request_of(Path(folder), "warp"), Silent())
        start = begin(run, MINI)
        video = imagine(run, MINI, start)
    assert isinstance(start.conditioning, Picture)
    c2w = judge.camera.c2w.copy()
    c2w[:, :3, 3] *= 1 / start.unit
    seen = (judge.right * 255).round().astype(np.uint8)[None]
    cameras = Cameras(start.c2w @ c2w, judge.camera.intrinsics, judge.camera.height, judge.camera.width)
    unknown = np.zeros(seen.shape[:3], np.float32)
    return make_trial(video, Clip("right", cameras, seen, unknown), tokenizer, cell=cell)


def make_photograph(image: np.ndarray, tokenizer: CosmosTokenizer, *, cell: int) -> Trial:
    """Let the warp teacher film a photograph (H, W, 3) uint8 whose depth is estimated; its own frames are the judge."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.png"
        Image.fromarray(image).save(path)
        run = Run(Request("", Path(folder) / "scene.usdz", size="mini", image=path, teacher="warp"), Silent())
        video = imagine(run, MINI, begin(run, MINI))
    some = slice(None, None, 8)
    cameras = Cameras.joined([clip.cameras.select(some) for clip in video.clips])
    seen = np.concatenate([clip.rgb[some] for clip in video.clips])
    unknown = np.zeros(seen.shape[:3], np.float32)
    return make_trial(video, Clip("own frames", cameras, seen, unknown), tokenizer, cell=cell)


def make_trial(video: TeacherVideo, judge: Clip, tokenizer: CosmosTokenizer, *, cell: int) -> Trial:
    """Encode a teacher's clips and warp its conditioning depth, as it is and with an estimator's errors."""
    clips = [clip.cameras for clip in video.clips]
    origin = invert_rigid(clips[0].c2w[0])
    depth = conditioning_depth(video)
    rng = np.random.default_rng(WORLD_SEED)
    disturbed = disturb_depth(depth, rng) * np.float32(np.exp(SCALE_ERROR * rng.standard_normal()))
    right, wrong = (warp_conditioning(d, clips, cell=cell) for d in (depth, disturbed))
    with torch.inference_mode():
        latents = [tokenizer.encode_frames(clip.rgb).transpose(0, 1).numpy() for clip in video.clips]
    return Trial(
        latents=np.stack(latents).astype(np.float16),
        c2w=np.stack([origin @ c.c2w for c in clips]),
        intrinsics=np.stack([c.intrinsics for c in clips]),
        cache_depth=right.depth.numpy(),
        cache_mask=right.mask.numpy(),
        wrong_depth=wrong.depth.numpy(),
        wrong_mask=wrong.mask.numpy(),
        target_rgb=judge.rgb,
        target_depth=judge.depth,
        target_c2w=origin @ judge.cameras.c2w,
        target_intrinsics=judge.cameras.intrinsics,
    )


def kept(path: Path, make: Callable[[], Trial]) -> Trial:
    """Return the trial of a file, made and written first where it is not there."""
    if not path.exists():
        make().save(path)
    return Trial.load(path)
