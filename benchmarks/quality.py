"""Measure mini scenes at held-out cameras: `python -m benchmarks.quality [--out benchmarks/results/quality]`.

Ten prompts, two seeds each, that training never saw (its seeds start at one million). The Gaussians are those that
`lyra-sim gen` writes: pruned, cleaned, and without per-scene optimisation unless `--refine` asks for it. Renders are
compared with the teacher at cameras between the six paths, from which nothing is decoded. Fewer `--views` are the first
of left, right, up, zoom_out, zoom_in, clockwise, as `gen --trajectories` would film them; all are judged at the same
cameras, those between all six paths. With `--run DIR` films and rows are kept, and the same command goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.films import PROMPTS, SEEDS, film, first_views
from benchmarks.quality_report import sheet, table, tile
from benchmarks.silent import Silent
from generator import metrics
from generator.cache import warp_depth
from generator.generate import decode
from generator.inputs import conditioning_depth
from generator.pipeline import LyraPipeline
from generator.refine import refine
from generator.render import render_views
from generator.request import Request, Run
from generator.sizes import MINI, Size
from generator.teachers.teacher import TeacherVideo
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians
from training.evaluation.perceptual import Perceptual, load_perceptual

SHOWN_CAMERA = 6
"""Held-out camera of the picture."""


@dataclass(frozen=True)
class Setting:
    """Say how a scene is made."""

    size: Size
    """Resolution."""
    views: int
    """Paths that are imagined and decoded."""
    refine: int
    """Steps of per-scene optimisation."""

    @property
    def key(self) -> dict[str, Any]:
        """What identifies the setting in a row."""
        return {
            "size": f"{self.size.height}x{self.size.width}",
            "views": self.views,
            "refine": self.refine,
        }

    @property
    def about(self) -> str:
        """What the picture says."""
        extra = f", refined by {self.refine} steps" if self.refine else ""
        return f"{self.size.width}x{self.size.height} px, {self.views} views{extra}"

    @property
    def name(self) -> str:
        """Name of the setting's files."""
        return "-".join(str(value) for value in self.key.values())


def unseen(video: TeacherVideo) -> np.ndarray:
    """Return where the held-out cameras look past what the conditioning frame saw, (F, H, W) bool."""
    assert video.held_out is not None
    depth = torch.from_numpy(conditioning_depth(video))
    first, cameras = video.clips[0].cameras, video.held_out.cameras
    poses = (first.intrinsics[0], first.c2w[0], cameras.c2w, cameras.intrinsics)
    _, mask = warp_depth(
        depth,
        (depth > 0).float(),
        *(torch.from_numpy(x).float() for x in poses),
        height=cameras.height,
        width=cameras.width,
    )
    return mask.numpy() < 0.5


def measure(
    gaussians: Gaussians, video: TeacherVideo, perceptual: Perceptual, *, lpips_frames: int
) -> tuple[dict[str, float | None], np.ndarray]:
    """Return the table's columns for one scene, and its renders at the held-out cameras, (F, H, W, 3) in [0, 1]."""
    held_out = video.held_out
    assert held_out is not None
    cameras = held_out.cameras
    views = render_views(
        gaussians, cameras.c2w, cameras.intrinsics, height=cameras.height, width=cameras.width
    )
    rgb, depth, truth = views.rgb.numpy().clip(0, 1), views.depth.numpy(), held_out.rgb / np.float32(255)
    spread = np.linspace(0, len(rgb) - 1, lpips_frames).round().astype(int)
    distances = [perceptual(rgb[i], truth[i]) for i in spread]
    return {
        "psnr_db": metrics.mean_psnr(rgb, truth),
        "ssim": metrics.mean_ssim(rgb, truth),
        "lpips": _known(float(np.mean(distances))) if distances else None,
        "depth_error": _known(metrics.relative_depth_error(depth, held_out.depth)),
        "depth_error_outside": _known(
            metrics.relative_depth_error(depth, held_out.depth, where=unseen(video))
        ),
    }, rgb


def _known(value: float) -> float | None:
    """Return a figure, or None, which JSON can hold, where it could not be measured."""
    return float(value) if np.isfinite(value) else None


def make(pipeline: LyraPipeline, video: TeacherVideo, setting: Setting) -> tuple[Gaussians, dict[str, float]]:
    """Decode a film as `lyra-sim gen` does; return the Gaussians and the seconds of its parts."""
    run = Run(Request("", Path("unused.usdz"), size="mini"), Silent())
    began = time.monotonic()
    video = first_views(video, setting.views)
    gaussians = decode(run, pipeline, video)
    decoded = time.monotonic()
    if setting.refine:
        gaussians, _ = refine(gaussians, video, steps=setting.refine)
    return gaussians, {"decode_s": decoded - began, "refine_s": time.monotonic() - decoded}


def encoded(pipeline: LyraPipeline, video: TeacherVideo) -> TeacherVideo:
    """Return the film with its latents, so that settings that share it encode it once."""
    latents = [pipeline.tokenizer.encode_frames(clip.rgb).numpy() for clip in video.clips]
    clips = (replace(clip, latents=z) for clip, z in zip(video.clips, latents, strict=True))
    return replace(video, clips=tuple(clips))


class Rows:
    """Keep the rows of a run; a row that is there already is not measured again."""

    def __init__(self, folder: Path | None, decoder: str) -> None:
        """Read the rows of a run folder; None keeps them in memory only, `decoder` is the weights' hash."""
        self._folder, self._decoder = folder, decoder
        self.all: list[dict[str, Any]] = []
        self.pictures: dict[str, dict[str, Image.Image]] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / "rows.jsonl"
            lines = path.read_text().splitlines() if path.exists() else []
            found = [json.loads(line) for line in lines]
            self.all = [row for row in found if row["decoder"] == decoder]

    def has(self, key: dict[str, Any]) -> bool:
        """Return whether a row of these values is there."""
        return any(all(row[name] == value for name, value in key.items()) for row in self.all)

    def add(self, row: dict[str, Any], picture: Image.Image | None, setting: Setting) -> None:
        """Append a row, and a pair of pictures for the sheet."""
        row = row | {"decoder": self._decoder}
        if picture is not None:
            self.pictures.setdefault(setting.name, {})[row["prompt"]] = picture
        if self._folder is not None:
            if picture is not None:
                picture.save(self._tile(setting, row["prompt"]))
            with (self._folder / "rows.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
        self.all.append(row)

    def sheet_of(self, setting: Setting) -> list[tuple[str, Image.Image]]:
        """Return the pairs of pictures of a setting, by prompt, as far as they are there."""
        found = self.pictures.get(setting.name, {})
        for prompt in PROMPTS:
            if self._folder is not None and prompt not in found and self._tile(setting, prompt).exists():
                found[prompt] = Image.open(self._tile(setting, prompt)).convert("RGB")
        return [(prompt, found[prompt]) for prompt in PROMPTS if prompt in found]

    def _tile(self, setting: Setting, prompt: str) -> Path:
        assert self._folder is not None
        short = prompt.replace(" ", "_").replace(",", "")
        return self._folder / f"{self._decoder[:12]}-{setting.name}-{short}.png"


def measure_all(
    args: argparse.Namespace, pipeline: LyraPipeline, settings: list[Setting], rows: Rows
) -> None:
    """Measure what is left of all prompts, seeds and settings, with the time left on the console."""
    perceptual, about = load_perceptual()
    sys.stderr.write(f"LPIPS: {about}\n")
    todo = [
        (prompt, seed, group)
        for prompt, seed in _scenes(args)
        for size in {s.size: None for s in settings}
        if (group := [s for s in settings if s.size == size and not rows.has(s.key | _of(prompt, seed))])
    ]
    began = time.monotonic()
    for done, (prompt, seed, group) in enumerate(todo):
        video = encoded(pipeline, film(prompt, seed, group[0].size, args.films))
        for setting in group:
            gaussians, seconds = make(pipeline, video, setting)
            figures, rgb = measure(gaussians, video, perceptual, lpips_frames=args.lpips_frames)
            row = setting.key | _of(prompt, seed) | {"gaussians": len(gaussians)} | figures | seconds
            pair = tile(video, rgb, SHOWN_CAMERA) if seed == args.seeds[0] else None
            rows.add(row, pair, setting)
            left = (time.monotonic() - began) / (done + 1) * (len(todo) - done - 1) / 60
            sys.stderr.write(
                f"{prompt} {seed}, {setting.about}: {figures['psnr_db']:.2f} dB, SSIM {figures['ssim']:.3f} | "
                f"{done + 1} of {len(todo)}, about {left:.0f} minutes left\n"
            )


def _scenes(args: argparse.Namespace) -> Iterator[tuple[str, int]]:
    for prompt in PROMPTS[: args.prompts]:
        for seed in args.seeds:
            yield prompt, seed


def _of(prompt: str, seed: int) -> dict[str, Any]:
    return {"prompt": prompt, "seed": seed}


def read_size(text: str) -> Size:
    """Return the mini size at `HEIGHTxWIDTH`; raises LyraSimError for a text that is none."""
    try:
        height, width = (int(part) for part in text.split("x"))
    except ValueError as error:
        raise LyraSimError(f"--size {text}: give HEIGHTxWIDTH, such as 352x640") from error
    return replace(MINI, height=height, width=width)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="write OUT.md, OUT.json and OUT.png (a picture per size)")
    parser.add_argument("--run", type=Path, help="folder that keeps rows, to go on there")
    parser.add_argument("--films", type=Path, help="folder that keeps films; default RUN/films")
    parser.add_argument("--film-only", action="store_true", help="film what is missing and stop")
    parser.add_argument("--tokenizer", type=Path, default=MINI.tokenizer, help="card of the tokenizer")
    parser.add_argument("--decoder", type=Path, default=MINI.decoder, help="card of the decoder")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument(
        "--prompts", type=int, default=len(PROMPTS), help="how many of the prompts, from the first"
    )
    parser.add_argument("--size", nargs="+", default=["176x320"], metavar="HxW", help="sizes of the frames")
    parser.add_argument(
        "--views", type=int, nargs="+", default=[6], help="numbers of paths to decode, 1 to 6"
    )
    parser.add_argument("--refine", type=int, nargs="+", default=[0], help="steps of per-scene optimisation")
    parser.add_argument(
        "--lpips-frames", type=int, default=3, help="held-out frames per scene that LPIPS is measured on (3)"
    )
    args = parser.parse_args()
    if args.films is None and args.run is not None:
        args.films = args.run / "films"
    return args


def main() -> None:
    """Evaluate all prompts, seeds and settings, print the table and write it with numbers and pictures."""
    args = parse_arguments()
    sizes = [read_size(text) for text in args.size]
    if args.film_only:
        for size in sizes:
            for prompt, seed in _scenes(args):
                sys.stderr.write(f"{prompt} {seed} {size.height}x{size.width}\n")
                film(prompt, seed, size, args.films)
        return
    pipeline = LyraPipeline.from_cards(args.tokenizer, args.decoder)
    settings = [Setting(size, v, r) for size in sizes for v in args.views for r in args.refine]
    rows = Rows(args.run, pipeline.cards["decoder"]["sha256"])
    measure_all(args, pipeline, settings, rows)
    chosen = [[row for row in rows.all if _matches(row, s)] for s in settings]
    text = table(chosen, pipeline.cards["decoder"], lpips_frames=args.lpips_frames)
    sys.stdout.write(text)
    if args.out:
        args.out.with_suffix(".md").write_text(text)
        document = [row for part in chosen for row in part]
        args.out.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
        for size in sizes:
            best = Setting(size, max(args.views), min(args.refine))
            name = args.out.with_name(f"{args.out.name}-{size.height}x{size.width}.png")
            sheet(rows.sheet_of(best), best.about, SHOWN_CAMERA).save(name)


def _matches(row: dict[str, Any], setting: Setting) -> bool:
    return all(row[name] == value for name, value in setting.key.items())


if __name__ == "__main__":
    main()
