"""Worlds filmed once for a benchmark, and kept: filming takes longer than what is measured on the films."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.silent import Silent
from generator.cameras import Cameras
from generator.generate import imagine
from generator.request import Request, Run
from generator.sizes import Size
from generator.start import begin
from generator.teachers.teacher import Clip, TeacherVideo
from lyra_sim.atomic import atomic_path

PROMPTS = (
    "warehouse aisle",
    "bright loading dock",
    "cluttered factory cell",
    "narrow office corridor",
    "open office, blue",
    "wooden kitchen",
    "living room, warm light",
    "tidy laboratory",
    "hospital room",
    "dim parking garage",
)
SEEDS = (11, 12)
"""What scenes are measured on; training never saw these seeds, its own begin at one million."""


def film(prompt: str, seed: int, size: Size, folder: Path | None) -> TeacherVideo:
    """Return the six clips and the held-out frames of a world, as `lyra-sim gen` films it.

    Args:
        prompt: What the world is.
        seed: Its seed.
        size: Resolution and frames.
        folder: Where films are kept; None keeps nothing. A kept film has depth for the first frame of a clip only.
    """
    if folder is None:
        return _film(prompt, seed, size)
    name = f"{prompt.replace(' ', '_').replace(',', '')}_{seed}_{size.height}x{size.width}.npz"
    if not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        _save(folder / name, _film(prompt, seed, size))
    return _load(folder / name, size)


def _film(prompt: str, seed: int, size: Size) -> TeacherVideo:
    run = Run(Request(prompt, Path("unused.usdz"), size=size.name, seed=seed), Silent())
    return imagine(run, size, begin(run, size))


def _save(path: Path, video: TeacherVideo) -> None:
    assert video.held_out is not None
    arrays = {"names": np.array([clip.name for clip in video.clips])}
    for clip in (*video.clips, video.held_out):
        depth = clip.depth if clip is video.held_out else clip.depth[:1]
        parts = {"rgb": clip.rgb, "depth": depth, "c2w": clip.cameras.c2w, "lens": clip.cameras.intrinsics}
        arrays |= {f"{clip.name}.{name}": array for name, array in parts.items()}
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _load(path: Path, size: Size) -> TeacherVideo:
    with np.load(path, allow_pickle=False) as arrays:

        def clip(name: str) -> Clip:
            rgb, depth, c2w, lens = (arrays[f"{name}.{part}"] for part in ("rgb", "depth", "c2w", "lens"))
            return Clip(name, Cameras(c2w, lens, size.height, size.width), rgb, depth)

        clips = tuple(clip(name) for name in arrays["names"].tolist())
        held_out = clip("held_out")
    return TeacherVideo(clips, held_out, (), metric=True, source={"teacher": "procedural"})


def first_views(video: TeacherVideo, count: int) -> TeacherVideo:
    """Return the video with its first `count` clips, which is what `gen --trajectories` films for these names.

    The held-out cameras stay those between all six paths, so that every number of views is judged by the same frames.
    """
    return replace(video, clips=video.clips[:count])
