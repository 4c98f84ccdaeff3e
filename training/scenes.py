"""Make and store training scenes: teacher video of procedural worlds.

One folder per scene, plain `.npy` so that a reader maps what it needs:
`rgb` (V, T, H, W, 3) uint8; `depth` z-depth [m] at output cells (V, T, H/cell, W/cell) float16; `conditioning_depth`
(H, W) float32 of frame 0; `c2w` (V, T, 4, 4); `intrinsics` (V, T, 4) [px]; `scene.json` with the teacher's source and
the names of the trajectories; `held_out/` holds the same for cameras that nothing is decoded from.
`training.prepare` adds what follows from these.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from generator.inputs import cell_values, conditioning_depth
from generator.teachers.procedural import ProceduralTeacher
from generator.teachers.teacher import Clip, TeacherVideo
from generator.trajectories import SDG_TRAJECTORIES
from generator.worlds import KINDS, parse_prompt

TRAINING_SEED = 1_000_000
"""Training worlds use seeds from here on; users and evaluation have those below."""

WORDS = {
    "colour": ("", "", "", "blue", "red", "green", "yellow", "white", "grey", "orange"),
    "material": ("", "", "", "wooden", "metal", "concrete", "brick"),
    "clutter": ("", "", "cluttered", "tidy", "empty"),
    "size": ("", "", "narrow", "wide", "small", "large"),
    "light": ("", "", "dim", "bright", "warm", "cold"),
}

log = logging.getLogger(__name__)


def training_prompt(rng: np.random.Generator, kinds: Sequence[str] = KINDS) -> str:
    """Draw a kind and a few modifiers."""
    words = [str(rng.choice(choices)) for choices in WORDS.values()]
    kind = str(rng.choice(kinds)).replace("_", " ")
    return " ".join([w for w in words if w] + [kind])


def write_scene(folder: Path, video: TeacherVideo, *, cell: int) -> None:
    """Write one scene folder, whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    np.save(temporary / "conditioning_depth.npy", conditioning_depth(video).astype(np.float32))
    _write_clips(temporary, list(video.clips), cell=cell)
    if video.held_out is not None:
        (temporary / "held_out").mkdir()
        _write_clips(temporary / "held_out", [video.held_out], cell=1)
    info = {"source": video.source, "trajectories": [clip.name for clip in video.clips], "cell": cell}
    (temporary / "scene.json").write_text(json.dumps(info, indent=1))
    os.replace(temporary, folder)


def _write_clips(folder: Path, clips: list[Clip], *, cell: int) -> None:
    depth = [cell_values(*(torch.from_numpy(x) for x in (c.depth, c.depth > 0)), cell=cell)[0] for c in clips]
    np.save(folder / "rgb.npy", np.stack([c.rgb for c in clips]))
    np.save(folder / "depth.npy", torch.stack(depth).numpy().astype(np.float16))
    np.save(folder / "c2w.npy", np.stack([c.cameras.c2w for c in clips]))
    np.save(folder / "intrinsics.npy", np.stack([c.cameras.intrinsics for c in clips]))


def make_scene(
    folder: Path, index: int, *, kinds: Sequence[str], full_share: float, cell: int, size: tuple[int, int]
) -> None:
    """Render training scene `index` at a height and width [px]; a share gets all six trajectories, others two."""
    rng = np.random.default_rng(TRAINING_SEED + index)
    paths = SDG_TRAJECTORIES
    if rng.random() >= full_share:
        paths = tuple(
            SDG_TRAJECTORIES[i] for i in sorted(rng.choice(len(SDG_TRAJECTORIES), size=2, replace=False))
        )
    teacher = ProceduralTeacher(height=size[0], width=size[1], trajectories=paths, held_out=0)
    video = teacher.imagine(parse_prompt(training_prompt(rng, kinds)), seed=TRAINING_SEED + index)
    write_scene(folder, video, cell=cell)


def main() -> None:
    """Render scenes until `--count` exist; safe to stop and start again, or to run twice with a stride."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--stride", type=int, default=1, help="make every n-th scene (one process per core)")
    parser.add_argument(
        "--full-share", type=float, default=0.3, help="share of scenes with all six trajectories"
    )
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), help="kinds of world to draw from")
    parser.add_argument("--cell", type=int, default=4, help="pixels per output cell")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(176, 320), metavar=("H", "W"), help="height and width [px]"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    todo = [i for i in range(args.first, args.count, args.stride) if not (args.out / f"{i:05d}").exists()]
    for made, index in enumerate(todo, start=1):
        make_scene(
            args.out / f"{index:05d}",
            index,
            kinds=args.kinds,
            full_share=args.full_share,
            cell=args.cell,
            size=tuple(args.size),
        )
        each = (time.monotonic() - began) / made
        log.info("scene %d, %.1f s each, %.0f min left", index, each, each * (len(todo) - made) / 60)


if __name__ == "__main__":
    main()
