"""Compare scenes of a video with those of its first frame, at views that neither was made from:
`python -m benchmarks.video [--out benchmarks/results/video.md]`.

Procedural worlds are filmed by a camera that walks through them, with true depth and poses. Scenes are judged around
the first frame (held-out views of the six paths) and beside the way of the camera. What the paths do is what
`generator.teachers.picture_paths.FOLLOWING` says; `none` and `all` let none or all of them go along with the video.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.report import report
from benchmarks.silent import Silent
from generator.assemble import measure
from generator.generate import decode
from generator.pipeline import LyraPipeline
from generator.request import Request, Run
from generator.sizes import MINI, Size
from generator.teachers import picture_paths
from generator.teachers.conditioning import Footage, Picture
from generator.teachers.procedural import ProceduralTeacher
from generator.teachers.raycast import RayCaster
from generator.teachers.registry import load_teacher, teacher_entry
from generator.teachers.teacher import Clip
from generator.trajectories import SDG_TRAJECTORIES, Trajectory
from generator.worlds import build_world, parse_prompt

WALKS = (
    ("warehouse aisle", 3, Trajectory("right", 0.5, 0.5)),
    ("kitchen", 5, Trajectory("zoom_in", 0.9, 0.9)),
)
"""Prompt, seed, and way of the camera."""
ASIDE = 0.08
"""Distance of held-out views from the way, along each axis at most [m]."""


@dataclasses.dataclass(frozen=True)
class Walk:
    """Hold a world that was filmed, in the frame of the first camera and the decoder's unit."""

    picture: Picture
    """The first frame with true depth."""
    footage: Footage
    """All frames."""
    around: Clip
    """Held-out views around the first frame."""
    beside: Clip
    """Held-out views beside the way."""
    travel: float
    """Way of the camera [m]."""


def film(prompt: str, seed: int, way: Trajectory, size: Size) -> Walk:
    """Film a world along a way and from held-out views."""
    shape: dict[str, Any] = {"height": size.height, "width": size.width, "frames": size.frames}
    spec = parse_prompt(prompt)
    around = ProceduralTeacher(**shape, held_out=6).imagine(spec, seed=seed).held_out
    walker = ProceduralTeacher(**shape, held_out=0, trajectories=(way,))
    clip = walker.imagine(spec, seed=seed).clips[0]
    places = clip.cameras.c2w[2::3].copy()
    places[:, :3, 3] += np.random.default_rng(0).uniform(-ASIDE, ASIDE, (len(places), 3))
    beside = walker._clip("beside", RayCaster(build_world(spec, seed=seed)), places)
    assert around is not None
    first = np.linalg.inv(clip.cameras.c2w[0])
    unit = float(np.median(clip.depth[0])) / size.median_depth
    seen = dataclasses.replace(clip, depth=np.where(clip.depth > 0, clip.depth, 2 * clip.depth.max()))
    seen, around, beside = (part.moved(first).scaled(1 / unit) for part in (seen, around, beside))
    common: tuple[Any, ...] = (seen.rgb[0], seen.depth[0], seen.cameras.intrinsics[0])
    footage = Footage(*common, video=seen, numbers=np.arange(size.frames), frames_per_second=24.0)
    travel = float(np.linalg.norm(clip.cameras.c2w[-1, :3, 3] - clip.cameras.c2w[0, :3, 3]))
    return Walk(Picture(*common), footage, around, beside, travel)


def measured(walk: Walk, size: Size, teacher: str) -> Iterator[dict[str, Any]]:
    """Yield a row per way of making a scene."""
    pipeline = LyraPipeline.for_size(size)
    names: tuple[str, ...] = tuple(path.name for path in SDG_TRAJECTORIES)
    shipped = picture_paths.FOLLOWING
    for name, conditioning, following in (
        ("first frame alone", walk.picture, ()),
        ("video, none follows it", walk.footage, ()),
        ("video, all follow it", walk.footage, names),
        (f"video, {', '.join(shipped)} follow it (shipped)", walk.footage, shipped),
    ):
        picture_paths.FOLLOWING = following
        try:
            made = load_teacher(teacher_entry(teacher, "mini"), size, trajectories=SDG_TRAJECTORIES)
            video = made.imagine(conditioning, seed=0)
        finally:
            picture_paths.FOLLOWING = shipped
        run = Run(Request("", Path("unused.usdz"), size="mini"), Silent())
        gaussians = decode(run, pipeline, video)
        yield {
            "name": name,
            "around": measure(gaussians, walk.around),
            "beside": measure(gaussians, walk.beside),
        }


def table(rows: list[dict[str, Any]], size: Size, teacher: str) -> str:
    """Write the figures as Markdown."""
    machine = f"{platform.machine()}, torch {torch.__version__}"
    lines = [
        f"`python -m benchmarks.video`, {machine}; {size.width}x{size.height} px, teacher {teacher}, true depth",
        "",
        "PSNR [dB] and SSIM at held-out views around the first frame, and beside the way of the camera.",
        "",
        "| world, way of the camera | scene of | around: PSNR | SSIM | beside: PSNR | SSIM |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        figures = " | ".join(f"{row[w]['psnr_db']:.2f} | {row[w]['ssim']:.3f}" for w in ("around", "beside"))
        lines.append(f"| {row['world']} | {row['name']} | {figures} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Film, make the scenes, print the table and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", choices=("warp", "mini"), default="warp")
    parser.add_argument("--small", action="store_true", help="176x96 px, which takes a third of the time")
    parser.add_argument("--out", type=Path, help="write the table there too")
    args = parser.parse_args()
    size = dataclasses.replace(MINI, height=96, width=176) if args.small else MINI
    rows = []
    for prompt, seed, way in WALKS:
        walk = film(prompt, seed, way, size)
        world = f"{prompt}, {walk.travel:.1f} m {way.name.replace('_', ' ')}"
        rows += [{"world": world, **row} for row in measured(walk, size, args.teacher)]
    report(table(rows, size, args.teacher), args.out)


if __name__ == "__main__":
    main()
