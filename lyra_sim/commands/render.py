"""`lyra-sim render`: pictures, depth, labels and movies of a scene."""

from __future__ import annotations

import argparse
import math
import re
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

from lyra_sim.atomic import require_replaceable_file, require_replaceable_folder
from lyra_sim.commands.options import add_progress
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress

MAX_SIDE = 16384
"""Largest image side [px]; the renderer's own limit, known here before anything heavy is loaded."""
MAX_FRAMES = 100_000
_MEDIA = (".png", ".jpg", ".jpeg", ".gif", ".webm", ".mov", ".avi", ".mkv", ".usdz", ".ply", ".json")
_COLOURS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0), "grey": (0.5, 0.5, 0.5)}
STAGE_WEIGHTS = {"load": 5.0, "frames": 20.0}
"""Seconds of the two stages for 120 frames of a mini scene on two cores."""

EPILOG = """\
examples:
  lyra-sim render scene.usdz --out movie.mp4
  lyra-sim render scene.usdz --orbit --size 1280x704 --out frames/
  lyra-sim render capture.ply --cameras transforms.json --out views/ --layers rgb,depth
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `render` command."""
    parser = subparsers.add_parser(
        "render",
        help="render pictures, depth, labels or a movie of a scene",
        description="Render a scene of Gaussians (.usdz, .usd, .ply, .spz, Lyra tensors) to PNG, 16-bit depth, "
        "label pictures, or an MP4.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scene", type=Path, metavar="SCENE", help="a file that `lyra-sim convert` reads")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="a folder for pictures, or a movie *.mp4"
    )
    path = parser.add_mutually_exclusive_group()
    path.add_argument(
        "--cameras",
        type=Path,
        metavar="JSON",
        help="render from the cameras of a nerfstudio transforms.json (such as that of `gen --keep`)",
    )
    path.add_argument(
        "--flythrough",
        action="store_true",
        help="fly a loop inside the scene that keeps clear of its collider (default)",
    )
    path.add_argument(
        "--orbit",
        action="store_true",
        help="circle what the camera looks at, or swing about it where there is no room",
    )
    parser.add_argument(
        "--size", metavar="WxH", help="picture size in pixels (640x352, or that of --cameras)"
    )
    parser.add_argument("--frames", type=int, default=120, metavar="N", help="frames of a path (120)")
    parser.add_argument(
        "--fps", type=Fraction, default=Fraction(24), metavar="N", help="frames per second of a movie (24)"
    )
    parser.add_argument(
        "--fov",
        type=float,
        metavar="DEGREES",
        help="horizontal field of view of a path (the scene's own, or 65)",
    )
    parser.add_argument(
        "--up", metavar="AXIS", help="axis that points up in a file that is not USD, such as z or -y"
    )
    parser.add_argument(
        "--layers", metavar="LIST", help="which of rgb,depth,labels to draw into a folder (all the scene has)"
    )
    parser.add_argument(
        "--projection",
        choices=("ewa", "3dgut"),
        default="ewa",
        help="ewa: 3D Gaussian Splatting; 3dgut: along each pixel's ray, as Lyra's training and Isaac Sim 6 (ewa)",
    )
    parser.add_argument(
        "--background",
        default="white",
        metavar="COLOUR",
        help="white, black, grey or #rrggbb, behind the scene (white)",
    )
    add_progress(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check what can be checked without loading anything heavy, then film."""
    progress = Progress(args.progress, STAGE_WEIGHTS)
    args.progress_reporter = progress
    size, layers, background = check(args)
    progress.update("load", 0.0, "loading the renderer")

    from generator.film.film import FilmConfig, film
    from generator.film.frames import Look

    config = FilmConfig(
        path="orbit" if args.orbit else "flythrough",
        cameras=args.cameras,
        size=size,
        frames=args.frames,
        fps=args.fps,
        horizontal_fov=None if args.fov is None else math.radians(args.fov),
        up=args.up,
        layers=layers,
        look=Look(background=background, projection=args.projection),
    )
    progress.result(**film(args.scene, args.out, config, progress))
    return 0


def check(
    args: argparse.Namespace,
) -> tuple[tuple[int, int] | None, tuple[str, ...] | None, tuple[float, float, float]]:
    """Return size, layers and background, after checking every option.

    Raises:
        LyraSimError: An option cannot be used.
    """
    size, layers, background = _size(args.size), _layers(args.layers), _colour(args.background)
    if not 1 <= args.frames <= MAX_FRAMES:
        raise LyraSimError(f"--frames {args.frames}: must be 1 to {MAX_FRAMES}")
    if not 1 <= args.fps <= 240:
        raise LyraSimError(f"--fps {args.fps}: must be 1 to 240")
    if args.fov is not None and not 1 <= args.fov <= 170:
        raise LyraSimError(f"--fov {args.fov:g}: must be 1 to 170 degrees")
    if not args.scene.is_file():
        raise LyraSimError(f"cannot read {args.scene}: there is no such file")
    if args.cameras is not None and not args.cameras.is_file():
        raise LyraSimError(f"--cameras {args.cameras}: there is no such file")
    _check_out(args.out)
    return size, layers, background


def _check_out(out: Path) -> None:
    suffix = out.suffix.lower()
    if suffix == ".mp4":
        require_replaceable_file(out)
        if find_spec("av") is None:
            raise LyraSimError("--out: an MP4 needs PyAV: pip install 'lyra-sim[view]', or name a folder")
        return
    if suffix in _MEDIA:
        raise LyraSimError(f"--out {out}: name a folder for pictures, or a movie that ends in .mp4")
    require_replaceable_folder(out, option="--out", marker="render.json")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text.strip().lower())
    if found is None:
        raise LyraSimError(f"--size {text}: write WIDTHxHEIGHT in pixels, such as 640x352")
    width, height = int(found[1]), int(found[2])
    for side in (width, height):
        if not 1 <= side <= MAX_SIDE:
            raise LyraSimError(f"--size {text}: a side of {side} px is out of range; use 1 to {MAX_SIDE}")
    return width, height


def _layers(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in ("rgb", "depth", "labels"):
            raise LyraSimError(f"--layers {text}: {name!r} is no layer; choose from rgb,depth,labels")
    return names


def _colour(text: str) -> tuple[float, float, float]:
    if text in _COLOURS:
        return _COLOURS[text]
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise LyraSimError(f"--background {text}: write white, black, grey or #rrggbb")
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue
