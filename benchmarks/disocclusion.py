"""Measure what teachers put where the warp is open: `python -m benchmarks.disocclusion [--out FILE]`.

One world of every kind, at seeds that training never saw (its seeds start at one million), filmed along camera
paths. Each teacher gets frame 0 and its true depth, and is compared with the film in two sets of pixels: *open*, where
GEN3C's guidance shows the denoiser nothing, and *unseen*, the part of it that the picture does not show at all (the
guidance leaves out what lies at depth edges and behind surfaces torn there). PSNR is that of all such pixels of a
world together; the structural similarity is its map's mean over them, with all other pixels of every method replaced
by the guidance's, so that no method is judged by what it did not have to fill.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.metrics import structural_similarity

from generator.cache import image_bytes
from generator.cameras import Cameras, relative_to_first
from generator.sizes import MINI
from generator.teachers.conditioning import Picture
from generator.teachers.gen3c.composite import composite
from generator.teachers.gen3c.teacher import Gen3CTeacher
from generator.teachers.picture_paths import PlannedPath
from generator.teachers.procedural import ProceduralTeacher
from generator.teachers.teacher import Clip
from generator.teachers.warp import open_cache, warp_clip
from generator.tokenizer import CosmosTokenizer
from generator.trajectories import SDG_TRAJECTORIES
from generator.worlds import KINDS, parse_prompt
from training.card import machine

METHODS = {
    "grey": "mid-grey",
    "guidance": "GEN3C's guidance, filled from the background",
    "warp": "`--teacher warp`: all that the picture shows, filled from the background",
    "sampled": "mini's denoiser as sampled",
    "matched": "the same with the cache put back, without a compositor",
    "mini": "`--teacher mini`",
    "truth_tokenized": "the truth through the tokenizer",
}
REGIONS = ("open", "unseen")


class Score:
    """Add up errors over the clips of a world."""

    def __init__(self) -> None:
        self.squared = self.similarity = 0.0
        self.values = self.pixels = 0

    def add(self, frames: np.ndarray, around: np.ndarray, truth: np.ndarray, holes: np.ndarray) -> None:
        """Compare frames (T, H, W, 3) uint8 with the truth in `holes` (T, H, W); `around` stands beside them."""
        difference = frames[holes].astype(np.float64) - truth[holes]
        self.squared += float((difference**2).sum())
        self.values += difference.size
        for image, beside, real, hole in zip(frames, around, truth, holes, strict=True):
            merged = np.where(hole[..., None], image, beside)
            _, similarity = structural_similarity(
                merged, real, win_size=11, gaussian_weights=True, data_range=255, channel_axis=2, full=True
            )
            self.similarity += float(similarity.mean(axis=-1)[hole].sum())
            self.pixels += int(hole.sum())

    def figures(self) -> dict[str, float]:
        """Return PSNR [dB] and structural similarity."""
        return {
            "psnr_db": -10 * float(np.log10(self.squared / self.values / 255**2)),
            "ssim": self.similarity / self.pixels,
        }


def tokenized(tokenizer: CosmosTokenizer, frames: np.ndarray) -> np.ndarray:
    """Return frames (T, H, W, 3) uint8 after the tokenizer's encoder and decoder."""
    video = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.inference_mode():
        decoded = tokenizer(video)[0].permute(1, 2, 3, 0)
    return ((decoded.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()


def measure(teacher: Gen3CTeacher, kind: str, seed: int, *, paths: list[str], stride: int) -> dict[str, Any]:
    """Return the figures of all methods for one world."""
    chosen = tuple(path for path in SDG_TRAJECTORIES if path.name in paths)
    film = ProceduralTeacher(held_out=0, trajectories=chosen).imagine(
        parse_prompt(kind.replace("_", " ")), seed=seed
    )
    tokenizer = CosmosTokenizer.around(teacher.pipeline.vae)
    first = film.clips[0]
    picture = Picture(first.rgb[0], first.depth[0], first.cameras.intrinsics[0]).with_depth(
        np.where(first.depth[0] > 0, first.depth[0], first.depth[0].max()), metric=True
    )
    cache = open_cache(picture)
    scores = {region: {name: Score() for name in METHODS} for region in REGIONS}
    share: dict[str, list[float]] = {region: [] for region in REGIONS}
    seconds = []
    for index, clip in enumerate(film.clips):
        cameras = _relative(clip)
        guidance, shown = cache.show(cameras), cache.show(cameras, cautious=False)
        filled = image_bytes(guidance.filled()[0])
        began = time.monotonic()
        sampled = teacher.decode(teacher.complete(picture.rgb, guidance, seed=seed + index))
        framed = sampled.copy()
        framed[0] = picture.rgb
        merged = composite(framed, guidance, shown, teacher.compositor)
        seconds.append(time.monotonic() - began)
        videos = {
            "grey": np.full_like(clip.rgb, 128),
            "guidance": filled,
            "warp": warp_clip(picture, cache, PlannedPath(clip.name, cameras, 0.0))[0].rgb,
            "sampled": sampled,
            "matched": composite(framed, guidance, shown),
            "mini": merged,
            "truth_tokenized": tokenized(tokenizer, clip.rgb),
        }
        open_pixels = ~guidance.mask[:, 0].numpy()[1::stride]
        holes = {"open": open_pixels, "unseen": open_pixels & ~shown.mask[:, 0].numpy()[1::stride]}
        for region, pixels in holes.items():
            share[region].append(float(pixels.mean()))
            for name, frames in videos.items():
                scores[region][name].add(frames[1::stride], filled[1::stride], clip.rgb[1::stride], pixels)
    return {
        "kind": kind,
        "seed": seed,
        "share": {region: float(np.mean(values)) for region, values in share.items()},
        "seconds": float(np.mean(seconds)),
        **{region: {name: score.figures() for name, score in scores[region].items()} for region in REGIONS},
    }


def _relative(clip: Clip) -> Cameras:
    cameras = clip.cameras
    return Cameras(relative_to_first(cameras.c2w), cameras.intrinsics, cameras.height, cameras.width)


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means over worlds, and how far mini is ahead of the two fillings without a network."""
    mean: dict[str, Any] = {
        region: {
            name: {
                key: float(np.mean([row[region][name][key] for row in rows])) for key in ("psnr_db", "ssim")
            }
            for name in METHODS
        }
        for region in REGIONS
    }
    mean["share"] = {region: float(np.mean([row["share"][region] for row in rows])) for region in REGIONS}
    mean["seconds"] = float(np.mean([row["seconds"] for row in rows]))
    mean["gain_db"] = {
        region: {
            other: mean[region]["mini"]["psnr_db"] - mean[region][other]["psnr_db"]
            for other in ("guidance", "warp")
        }
        for region in REGIONS
    }
    return mean


def table(rows: list[dict[str, Any]], mean: dict[str, Any]) -> str:
    """Write the means and then the worlds as Markdown, PSNR [dB] / SSIM."""

    def cell(figures: dict[str, float]) -> str:
        return f"{figures['psnr_db']:.2f} / {figures['ssim']:.3f}"

    shares = [f"{region}, {mean['share'][region]:.1%} of the pixels" for region in REGIONS]
    lines = [f"| mean of {len(rows)} worlds | " + " | ".join(shares) + " |", "| --- | --- | --- |"]
    lines += [
        f"| {words} | " + " | ".join(cell(mean[region][name]) for region in REGIONS) + " |"
        for name, words in METHODS.items()
    ]
    shown = ("guidance", "warp", "matched", "mini")
    for region in REGIONS:
        lines += ["", f"| {region} | share | " + " | ".join(shown) + " |", "| --- " * (len(shown) + 2) + "|"]
        lines += [
            f"| {row['kind'].replace('_', ' ')}, seed {row['seed']} | {row['share'][region]:.1%} | "
            + " | ".join(cell(row[region][name]) for name in shown)
            + " |"
            for row in rows
        ]
    return "\n".join(lines) + "\n"


def _measured(out: Path | None, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of an earlier run with the same settings, so that a long run can be split by kind."""
    if out is None or not out.with_suffix(".json").exists():
        return []
    earlier = json.loads(out.with_suffix(".json").read_text())
    return earlier["rows"] if earlier["settings"] == settings else []


def main() -> None:
    """Measure one world of every kind; a run into the same file goes on where it stopped."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="write OUT.md and OUT.json")
    parser.add_argument("--denoiser", type=Path, default=MINI.denoiser, help="card of the denoiser")
    parser.add_argument("--compositor", type=Path, default=MINI.compositor, help="card of the compositor")
    parser.add_argument("--seed", type=int, default=501, help="seed of the first kind's world")
    parser.add_argument("--steps", type=int, help="sampling steps; default those of the card")
    parser.add_argument("--guidance", type=float, help="guidance; default that of the card")
    names = [path.name for path in SDG_TRAJECTORIES]
    parser.add_argument("--paths", nargs="+", choices=names, default=names, help="camera paths")
    parser.add_argument("--stride", type=int, default=1, help="compare every n-th frame")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    args = parser.parse_args()
    size = dataclasses.replace(MINI, denoiser=args.denoiser, compositor=args.compositor)
    teacher = Gen3CTeacher.for_size(size, trajectories=SDG_TRAJECTORIES, movement=1.0)
    teacher.steps = args.steps or teacher.steps
    teacher.guidance = teacher.guidance if args.guidance is None else args.guidance
    settings = {
        "weights": {name: card["sha256"] for name, card in teacher.cards.items()},
        "steps": teacher.steps,
        "guidance": teacher.guidance,
        "paths": args.paths,
        "stride": args.stride,
    }
    rows = _measured(args.out, settings)
    for kind in args.kinds:
        seed = args.seed + KINDS.index(kind)
        if any(row["kind"] == kind and row["seed"] == seed for row in rows):
            continue
        rows.append(measure(teacher, kind, seed, paths=args.paths, stride=args.stride))
        sys.stderr.write(json.dumps(rows[-1]) + "\n")
        rows.sort(key=lambda row: KINDS.index(row["kind"]))
        _write(args.out, settings, rows, teacher)


def _write(
    out: Path | None, settings: dict[str, Any], rows: list[dict[str, Any]], teacher: Gen3CTeacher
) -> None:
    """Print the table so far, and write it with the numbers as JSON."""
    mean = summarise(rows)
    text = (
        f"`{' '.join(['python -m benchmarks.disocclusion', *sys.argv[1:]])}`: denoiser "
        f"{teacher.cards['denoiser']['sha256'][:12]}, {teacher.steps} steps, guidance {teacher.guidance:g}; "
        f"PSNR [dB] / SSIM. {machine()}; {mean['seconds']:.1f} s per clip to sample, decode and merge. *Open* is where "
        "GEN3C's guidance shows nothing, *unseen* the part of it that the picture does not show at all.\n\n"
        f"{table(rows, mean)}"
    )
    sys.stdout.write(text)
    if out:
        out.with_suffix(".md").write_text("# What fills the holes of the warp\n\n" + text)
        facts = {"settings": settings, "rows": rows, "mean": mean}
        out.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
