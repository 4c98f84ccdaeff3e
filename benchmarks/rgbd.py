"""Make a scene from a real photograph with true depth, and compare it with a second photograph beside it:
`python -m benchmarks.rgbd [--teachers warp mini] [--resolution 640 352] [--refine 0 50] [--out rgbd.md]
[--picture rgbd.png]`.

The data is the motorcycle pair of the Middlebury stereo benchmark (D. Scharstein et al., GCPR 2014) as scikit-image
carries it: the left picture with its true depth goes in, the right picture, 19.3 cm beside it, is what is judged by.
Nothing of the right picture is used for the scene.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from benchmarks.report import report
from benchmarks.silent import Silent
from generator import metrics
from generator.cameras import Cameras
from generator.generate import decode, imagine, refine_scene
from generator.pipeline import LyraPipeline
from generator.render import render_views
from generator.request import Request, Run
from generator.sizes import MINI, Size, resolve
from generator.start import Start, begin
from generator.teachers.conditioning import Picture
from generator.teachers.picture_paths import PlannedPath
from generator.teachers.warp import open_cache, warp_clip

FOCAL, BASELINE, OFFSET = 994.978, 0.193001, 31.086
"""Focal length [px], distance of the cameras [m], and difference of their principal points [px]."""
CENTRE = (311.193, 254.877)
"""Principal point of the left camera [px], pixel centres at whole numbers."""


@dataclass(frozen=True)
class Judge:
    """Hold what the views are compared with, at the size's resolution."""

    left: np.ndarray
    """Left photograph in [0, 1], (H, W, 3)."""
    right: np.ndarray
    """Right photograph in [0, 1], (H, W, 3)."""
    camera: Cameras
    """The right camera, in the frame of the left one [m]."""
    depth: np.ndarray
    """True z-depth [m] of the left picture, (H, W); 0 where it is not known."""


def write_pair(folder: Path) -> tuple[Path, Path, Path]:
    """Write the left picture, its depth as a depth camera does, and the right picture; return the paths."""
    left, right, disparity = data.stereo_motorcycle()
    known = np.isfinite(disparity)
    depth = np.where(known, FOCAL * BASELINE / (np.where(known, disparity, 0) + OFFSET), 0)
    paths = folder / "left.png", folder / "depth.png", folder / "right.png"
    Image.fromarray(left).save(paths[0])
    Image.fromarray((depth * 1000).round().astype(np.uint16)).save(paths[1])
    Image.fromarray(right).save(paths[2])
    return paths


def request_of(folder: Path, teacher: str, refine: int) -> Request:
    """Return the request of `gen --image left.png --depth depth.png --intrinsics ... --teacher ... --refine ...`."""
    left, depth, _ = write_pair(folder)
    lens = f"{FOCAL},{FOCAL},{CENTRE[0]},{CENTRE[1]}"
    return Request(
        "",
        folder / "scene.usdz",
        size="mini",
        image=left,
        depth=depth,
        intrinsics=lens,
        teacher=teacher,
        refine=refine,
    )


def judge_of(folder: Path, size: Size) -> Judge:
    """Cut the right photograph as the left one is cut, and give it its camera."""
    from generator.pictures import PictureFiles, load_picture

    left, depth, right = write_pair(folder)

    def load(image: Path, shift: float, depth: Path | None) -> Picture:
        lens = f"{FOCAL},{FOCAL},{CENTRE[0] + shift},{CENTRE[1]}"
        files = PictureFiles(image, depth, intrinsics=lens)
        return load_picture(files, height=size.height, width=size.width, note=lambda note: None)

    seen, judged = load(left, 0.0, None), load(right, OFFSET, None)
    c2w = np.eye(4)
    c2w[0, 3] = BASELINE
    camera = Cameras(c2w[None], judged.intrinsics[None], size.height, size.width)
    return Judge(seen.rgb / 255, judged.rgb / 255, camera, true_depth(depth, size))


def true_depth(path: Path, size: Size) -> np.ndarray:
    """Return the depth map at the size's resolution, holes as 0."""
    from generator.pictures.depth_file import read_depth
    from generator.pictures.fit import Window

    depth = read_depth(path).depth
    return Window.of(depth.shape, (size.height, size.width), "crop").depth(depth)  # type: ignore[arg-type]


def plain_warp(picture: Picture, judge: Judge, unit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the forward warp with black holes, the same with filled holes, and where it is covered."""
    c2w = judge.camera.c2w.copy()
    c2w[:, :3, 3] /= unit
    # Two cameras, because the first frame of a clip is the picture itself.
    poses = np.concatenate([np.eye(4)[None], c2w])
    lenses = np.concatenate([picture.intrinsics[None], judge.camera.intrinsics])
    cameras = Cameras(poses, lenses, judge.camera.height, judge.camera.width)
    cache = open_cache(picture)
    clip, _ = warp_clip(picture, cache, PlannedPath("right", cameras, 0.0))
    covered = clip.depth[1] > 0
    filled = clip.rgb[1] / 255
    return np.where(covered[..., None], filled, 0), filled, covered


def scene_view(
    run: Run, start: Start, pipeline: LyraPipeline, judge: Judge, size: Size
) -> tuple[np.ndarray, float]:
    """Make the scene; return its right view in [0, 1] and the median relative depth error of its left view."""
    video = imagine(run, size, start)
    gaussians = decode(run, pipeline, video)
    if run.request.refine:
        gaussians = refine_scene(run, size, video, gaussians)
    c2w = np.concatenate([np.eye(4)[None], judge.camera.c2w])
    c2w[:, :3, 3] /= start.unit
    assert isinstance(start.conditioning, Picture)
    lenses = np.concatenate([start.conditioning.intrinsics[None], judge.camera.intrinsics])
    views = render_views(gaussians, start.c2w @ c2w, lenses, height=size.height, width=size.width)
    depth = views.median_depth[0].numpy() * start.unit
    return views.rgb[1].numpy().clip(0, 1), metrics.relative_depth_error(depth, judge.depth)


def measure(
    teachers: list[str], refines: list[int], folder: Path, size: Size
) -> tuple[list[dict[str, Any]], list[tuple[str, np.ndarray]]]:
    """Return a row of figures per method, and the pictures."""
    judge = judge_of(folder, size)
    pipeline = LyraPipeline.from_cards(MINI.tokenizer, MINI.decoder)
    shown: list[tuple[str, np.ndarray]] = [
        ("left photograph (in)", judge.left),
        ("right photograph (judge)", judge.right),
    ]
    rows: list[dict[str, Any]] = []
    covered = np.ones(judge.left.shape[:2], bool)

    def add(name: str, view: np.ndarray, error: float | None = None) -> None:
        rows.append({"name": name, "depth": error, **figures(view, judge.right, covered)})

    for teacher, refine in itertools.product(teachers, refines):
        run = Run(request_of(folder, teacher, refine), Silent())
        start = begin(run, size)
        if not rows:
            assert isinstance(start.conditioning, Picture)
            holes, filled, covered = plain_warp(start.conditioning, judge, start.unit)
            add("the left photograph, unmoved", judge.left)
            add("plain forward warp, holes black", holes)
            add("plain forward warp, holes filled", filled)
            shown += [("forward warp, holes black", holes), ("forward warp, holes filled", filled)]
        view, error = scene_view(run, start, pipeline, judge, size)
        options = f"--teacher {teacher}" + (f" --refine {refine}" if refine else "")
        add(f"scene of `{options}`, rendered", view, error)
        shown.append((f"scene, {options}", view))
    rows.insert(0, {"covered": float(covered.mean())})
    return rows, shown


def figures(view: np.ndarray, truth: np.ndarray, covered: np.ndarray) -> dict[str, float]:
    """Return PSNR [dB] of all pixels, of the covered ones and of the rest, and structural similarity."""
    return {
        "psnr": metrics.psnr(view, truth),
        "psnr_covered": metrics.psnr(view[covered], truth[covered]),
        "psnr_open": metrics.psnr(view[~covered], truth[~covered]) if not covered.all() else float("nan"),
        "ssim": metrics.ssim(view, truth),
    }


def table(rows: list[dict[str, Any]], size: Size) -> str:
    """Write the figures as Markdown."""
    lines = [
        (
            f"`{' '.join(['python -m benchmarks.rgbd', *sys.argv[1:]])}`, {size.width}x{size.height} px; "
            f"{platform.machine()}, torch {torch.__version__}."
        ),
        "",
        "Motorcycle pair (Middlebury 2014, from scikit-image): left photograph and its true depth in, right photograph",
        f"judged by. The forward warp covers {rows[0]['covered']:.1%} of the right view; *open* is the rest.",
        "",
        "| right view | PSNR [dB] | covered | open | SSIM | median depth error, left view |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows[1:]:
        error = "" if row["depth"] is None else f"{row['depth']:.2%}"
        numbers = " | ".join(f"{row[key]:.2f}" for key in ("psnr", "psnr_covered", "psnr_open"))
        lines.append(f"| {row['name']} | {numbers} | {row['ssim']:.3f} | {error} |")
    return "\n".join(lines) + "\n"


def sheet(shown: list[tuple[str, np.ndarray]], *, columns: int = 2, scale: int = 2) -> Image.Image:
    """Lay the views out with their names."""
    height, width = MINI.height * scale, MINI.width * scale  # Whatever the size, cells of one size.
    count = -(-len(shown) // columns)
    picture = Image.new("RGB", (columns * (width + 8) + 8, count * (height + 34) + 8), (24, 24, 28))
    draw = ImageDraw.Draw(picture)
    for index, (name, view) in enumerate(shown):
        x, y = 8 + index % columns * (width + 8), 8 + index // columns * (height + 34)
        draw.text((x + 2, y), name, (230, 230, 230), ImageFont.load_default(18))
        tile = Image.fromarray((view * 255).round().astype(np.uint8))
        picture.paste(tile.resize((width, height), Image.Resampling.BICUBIC), (x, y + 26))
    return picture


def main() -> None:
    """Make the scenes, print the table and write it and the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teachers", nargs="+", default=["warp", "mini"])
    parser.add_argument("--refine", nargs="+", type=int, default=[0, 50], help="steps of refining")
    parser.add_argument("--resolution", nargs=2, type=int, metavar=("W", "H"), help="of the frames [px]")
    parser.add_argument("--out", type=Path, help="write the table there too")
    parser.add_argument("--picture", type=Path, help="write the views there")
    args = parser.parse_args()
    size = resolve("mini", tuple(args.resolution[::-1]) if args.resolution else None)
    with tempfile.TemporaryDirectory() as folder:
        rows, shown = measure(args.teachers, args.refine, Path(folder), size)
    text = table(rows, size)
    report(text, args.out)
    if args.picture:
        sheet(shown).save(args.picture)


if __name__ == "__main__":
    main()
