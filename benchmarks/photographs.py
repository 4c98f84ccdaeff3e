"""Make scenes from real photographs, and lay out what they show:
`python -m benchmarks.photographs [--only coffee rocket] [--out results/photographs.md] [--picture sheet.png]`.

The photographs are those of places and things that scikit-image and scikit-learn carry (scikit-learn's where it is
installed). Nothing but the picture goes in: depth and lens are guessed, as for `lyra-sim gen --image photo.png`. Every
row shows the photograph as it is cut, the scene from where it was taken, from the ends of two paths, and its depth.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
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
from generator.generate import decode, imagine
from generator.networks import Networks
from generator.pipeline import LyraPipeline
from generator.preview import depth_picture
from generator.render import render_views
from generator.request import Request, Run
from generator.sizes import MINI
from generator.start import begin
from generator.teachers.conditioning import Picture

COLUMNS = ("photograph, as cut", "from the same place", "end of the path right", "end of zoom in", "depth")
ENDS = ("right", "zoom_in")


def photographs() -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and picture, (H, W, 3) uint8, of every photograph that is installed here."""
    for name in ("coffee", "rocket", "chelsea", "astronaut"):
        yield name, getattr(data, name)()
    left, right, _ = data.stereo_motorcycle()
    yield "motorcycle left", left
    yield "motorcycle right", right
    package = find_spec("sklearn")
    if package is not None and package.origin is not None:
        # Its loader would import all of scikit-learn for two files.
        for path in sorted((Path(package.origin).parent / "datasets" / "images").glob("*.jpg")):
            yield path.stem, np.asarray(Image.open(path).convert("RGB"))


def scene_of(
    name: str, image: np.ndarray, networks: Networks, folder: Path
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Make the scene of one photograph; return its figures and the pictures of its row, (H, W, 3) uint8."""
    path = folder / f"{name}.png"
    Image.fromarray(image).save(path)
    run = Run(
        Request("", folder / "scene.usdz", size="mini", image=path),
        Silent(),
        networks,
    )
    start = begin(run, MINI)
    assert isinstance(start.conditioning, Picture)
    video = imagine(run, MINI, start)
    gaussians = decode(run, networks.once(LyraPipeline.for_size, MINI), video)
    ends = [clip.cameras.select(slice(-1, None)) for clip in video.clips if clip.name in ENDS]
    cameras = Cameras.joined([video.clips[0].cameras.select(slice(0, 1)), *ends])
    views = render_views(gaussians, cameras.c2w, cameras.intrinsics, height=MINI.height, width=MINI.width)
    shown = [(view.clip(0, 1) * 255).round().astype(np.uint8) for view in views.rgb.numpy()]
    depth = views.depth[0].numpy()
    near, far = (float(v) for v in np.percentile(depth[depth > 0], [1, 99]))
    photograph = start.conditioning.rgb
    figures = {
        "name": name,
        "psnr": metrics.psnr(shown[0] / 255, photograph / 255),
        "ssim": metrics.ssim(shown[0] / 255, photograph / 255),
        "floor": run.report["world_frame"].get("floor"),
        "range": far / near,
    }
    return figures, [photograph, *shown, depth_picture(depth, near, max(far, near * 1.001))]


def sheet(rows: list[tuple[str, list[np.ndarray]]]) -> Image.Image:
    """Lay out the rows with their names."""
    height, width = MINI.height, MINI.width
    picture = Image.new("RGB", (len(COLUMNS) * (width + 6) + 6, 30 + len(rows) * (height + 6)), (24, 24, 28))
    draw = ImageDraw.Draw(picture)
    for column, title in enumerate(COLUMNS):
        draw.text((column * (width + 6) + 8, 6), title, (230, 230, 230), ImageFont.load_default(16))
    for row, (name, views) in enumerate(rows):
        top = 30 + row * (height + 6)
        for column, view in enumerate(views):
            picture.paste(Image.fromarray(view), (column * (width + 6) + 6, top))
        font = ImageFont.load_default(15)
        draw.text((12, top + 6), name, "white", font, stroke_width=2, stroke_fill="black")
    return picture


def table(figures: list[dict[str, Any]]) -> str:
    """Write the figures as Markdown."""
    machine = f"{platform.machine()}, torch {torch.__version__}"
    lines = [
        f"`python -m benchmarks.photographs`, {machine}; frames of {MINI.width}x{MINI.height} px.",
        "",
        "The scene from where the photograph was taken, against the photograph. That says how soft the scene is, not",
        "whether its depth is right: nothing here knows the true depth. *Depth range* is far over near (99th and 1st",
        "percentile) of the scene.",
        "",
        "| photograph | PSNR [dB] | SSIM | floor | depth range |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in figures:
        lines.append(
            f"| {row['name']} | {row['psnr']:.2f} | {row['ssim']:.3f} | {row['floor']} | {row['range']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make the scenes, print the table and write it and the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", help="names of photographs (all)")
    parser.add_argument("--out", type=Path, help="write the table there too")
    parser.add_argument("--picture", type=Path, help="write the sheet there")
    args = parser.parse_args()
    networks, figures, rows = Networks(keep=True), [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, image in photographs():
            if args.only is None or name in args.only:
                found, views = scene_of(name, image, networks, Path(folder))
                figures.append(found)
                rows.append((name, views))
    report(table(figures), args.out)
    if args.picture:
        sheet(rows).save(args.picture)


if __name__ == "__main__":
    main()
