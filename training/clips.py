"""Make and draw the clips that the tokenizer trains on.

A clip is one `.npy` file, (T, H, W, 3) uint8; a line of `manifest.jsonl` beside it says what it shows. The folders of
`training.scenes` (`<id>/rgb.npy` with all trajectories) are read as well.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from generator.teachers.procedural import ProceduralTeacher
from generator.teachers.teacher import TeacherVideo
from generator.trajectories import SDG_TRAJECTORIES
from generator.worlds import parse_prompt
from lyra_sim.atomic import atomic_path
from lyra_sim.errors import LyraSimError
from training.scenes import TRAINING_SEED, training_prompt
from training.tokenizer_rooms import random_room

FIRST_SEED = TRAINING_SEED + 500_000
"""Seed of clip 0, far from those of the decoder's scenes."""

log = logging.getLogger(__name__)


class ClipSet:
    """Draw random crops of clips; what a step sees depends on the seed and the step alone."""

    def __init__(self, folders: Sequence[Path], *, seed: int = 0) -> None:
        """List the clips of the folders.

        Args:
            folders: Folders of clips or of training scenes, drawn from with equal odds.
            seed: Part of every draw.

        Raises:
            LyraSimError: A folder holds no clip.
        """
        self.seed = seed
        self.files = [
            sorted([*folder.glob("[0-9]*.npy"), *folder.glob("[0-9]*/rgb.npy")]) for folder in folders
        ]
        for folder, files in zip(folders, self.files, strict=True):
            if not files:
                raise LyraSimError(f"{folder}: holds no clips; run training.clips or training.scenes")

    def batch(self, step: int, *, size: int, frames: int, crop: tuple[int, int]) -> Tensor:
        """Return the crops of a step, (size, 3, frames, *crop) in [-1, 1].

        Args:
            step: Number of the step.
            size: Clips in the batch.
            frames: Frames per clip, consecutive, forwards or backwards.
            crop: Height and width [px].
        """
        rng = np.random.default_rng((self.seed, step))
        clips = np.stack([self._draw(rng, frames, crop) for _ in range(size)])
        return torch.from_numpy(clips).permute(0, 4, 1, 2, 3).float().div_(127.5).sub_(1)

    def _draw(self, rng: np.random.Generator, frames: int, crop: tuple[int, int]) -> np.ndarray:
        files = self.files[rng.integers(len(self.files))]
        path = files[rng.integers(len(files))]
        clips = np.load(path, mmap_mode="r")
        clip = clips[rng.integers(len(clips))] if clips.ndim == 5 else clips
        room = np.array(clip.shape[:3]) - np.array((frames, *crop))
        if room.min() < 0:
            found, wanted = ("x".join(map(str, s)) for s in (clip.shape[:3], (frames, *crop)))
            raise LyraSimError(f"{path}: is {found}, smaller than crops of {wanted}; make larger clips")
        t, y, x = rng.integers(0, room + 1)
        clip = clip[t : t + frames, y : y + crop[0], x : x + crop[1]]
        clip = clip[:, :, ::-1] if rng.random() < 0.5 else clip
        return np.ascontiguousarray(clip[::-1] if rng.random() < 0.5 else clip)


def film(index: int, *, source: str) -> TeacherVideo:
    """Film clip `index` along one trajectory.

    Args:
        index: Number of the clip; sets the prompt, the seed and the trajectory.
        source: `worlds` for procedural worlds, `rooms` for random rooms.
    """
    rng = np.random.default_rng(FIRST_SEED + index)
    trajectory = SDG_TRAJECTORIES[rng.integers(len(SDG_TRAJECTORIES))]
    teacher = ProceduralTeacher(trajectories=(trajectory,), held_out=0)
    if source == "rooms":
        return teacher.film(random_room(rng), seed=FIRST_SEED + index)
    return teacher.imagine(parse_prompt(training_prompt(rng)), seed=FIRST_SEED + index)


def write_clip(folder: Path, index: int, *, source: str) -> None:
    """Write one clip, whole or not at all, then its line of the manifest."""
    try:
        video = film(index, source=source)
    except LyraSimError as error:
        log.warning("clip %d left out: %s", index, error)
        return
    clip = video.clips[0]
    with atomic_path(folder / f"{index:06d}.npy") as path, path.open("wb") as file:
        np.save(file, clip.rgb)
    line = {"file": f"{index:06d}.npy", "trajectory": clip.name, **video.source}
    with (folder / "manifest.jsonl").open("a", encoding="utf-8") as manifest:
        manifest.write(json.dumps(line) + os.linesep)


def main() -> None:
    """Make clips until `--count` exist; safe to stop and start again, or to run twice with a stride."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--source", choices=("worlds", "rooms"), default="worlds")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--stride", type=int, default=1, help="make every n-th clip (one process per core)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    indices = range(args.first, args.count, args.stride)
    todo = [i for i in indices if not (args.out / f"{i:06d}.npy").exists()]
    for made, index in enumerate(todo, start=1):
        write_clip(args.out, index, source=args.source)
        each = (time.monotonic() - began) / made
        log.info("clip %d, %.1f s each, %.0f min left", index, each, each * (len(todo) - made) / 60)


if __name__ == "__main__":
    main()
