"""Derive from training scenes what the mini GEN3C's compositor merges:
`python -m training.prepare_compositor --scenes DIR --out DIR`.

Writes one `.npz` per clip with a few of its frames: `truth`, `shown` (everything the cache shows) and `sampled` (the
denoiser's video) as uint8 (F, H, W, 3); `seen` and `guided` as bool (F, H, W), `log_depth` (F, H, W) float16, and the
`picture` (H, W, 3). A share of the clips is mirrored, has its colour channels permuted, and is warped with disturbed
depth, as an estimator would give it. Safe to stop and to start again; `--part` and `--parts` split the work.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from generator.cache import Cache3D, CacheConfig, image_bytes, image_tensor, pose_tensors
from generator.sizes import MINI
from generator.teachers.gen3c.teacher import Gen3CTeacher
from generator.trajectories import SDG_TRAJECTORIES
from training.prepare_teacher import SourceClip, read_clip, varied

FRAMES = 6
"""Frames that are kept of a clip."""
FIRST = 2
"""First frame that may be; the picture itself and the frame beside it have next to no holes."""
VARIED_SHARE = 0.3
"""Share of the clips that are varied."""

log = logging.getLogger(__name__)


def compositor_arrays(
    teacher: Gen3CTeacher, clip: SourceClip, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return the arrays that are stored for a clip, with the denoiser's video as the teacher samples it."""
    chosen = np.sort(rng.choice(np.arange(FIRST, len(clip.rgb)), FRAMES, replace=False))
    w2c, intrinsics = pose_tensors(clip.cameras)
    depth = torch.from_numpy(np.ascontiguousarray(clip.depth, np.float32))
    config = replace(CacheConfig.for_height(len(depth)), max_depth=2 * float(depth.max()))
    cache = Cache3D(image_tensor(clip.rgb[0]), depth, w2c[0], intrinsics[0], config=config)
    guidance = cache.render(w2c, intrinsics)
    shown = cache.render(w2c[chosen], intrinsics[chosen], cautious=False)
    sampled = teacher.decode(teacher.complete(clip.rgb[0], guidance, seed=int(rng.integers(1 << 30))))
    median = np.median(clip.depth[clip.depth > 0])
    return {
        "picture": clip.rgb[0],
        "truth": clip.rgb[chosen],
        "shown": image_bytes((shown.pixels[:, 0] + 1) / 2),
        "sampled": sampled[chosen],
        "seen": shown.mask[:, 0].numpy(),
        "guided": guidance.mask[chosen, 0].numpy(),
        "log_depth": np.log(shown.filled()[1].numpy() / median).astype(np.float16),
    }


def main() -> None:
    """Prepare every clip that is not prepared yet, in an order that mixes the scenes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--denoiser", type=Path, default=MINI.denoiser, help="card of the denoiser")
    parser.add_argument("--part", type=int, default=0, help="which part of the clips to prepare")
    parser.add_argument("--parts", type=int, default=1, help="number of parts, one per process")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    size = replace(MINI, denoiser=args.denoiser)
    teacher = Gen3CTeacher.for_size(size, trajectories=SDG_TRAJECTORIES)
    scenes = sorted(p.parent for p in args.scenes.glob("[0-9]*/scene.json"))
    clips = [
        (scene, view) for scene in scenes for view in range(len(np.load(scene / "c2w.npy", mmap_mode="r")))
    ]
    np.random.default_rng(0).shuffle(clips)
    todo = [
        (scene, view, path)
        for scene, view in clips[args.part :: args.parts]
        if not (path := args.out / f"{scene.name}_{view}.npz").exists()
    ]
    began = time.monotonic()
    for done, (scene, view, path) in enumerate(todo, start=1):
        rng = np.random.default_rng([int(scene.name), view])
        clip = read_clip(scene, view)
        if rng.random() < VARIED_SHARE:
            clip = varied(clip, rng)
        temporary = path.with_name(f".{path.name}.part")
        with temporary.open("wb") as file:
            np.savez(file, **compositor_arrays(teacher, clip, rng))  # type: ignore[arg-type]
        os.replace(temporary, path)
        if done % 20 == 0:
            left = (time.monotonic() - began) / done * (len(todo) - done)
            log.info("%d of %d, %.0f min left", done, len(todo), left / 60)


if __name__ == "__main__":
    main()
