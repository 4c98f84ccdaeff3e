"""The options of `gen` that concern pictures and the teachers that start from one."""

from __future__ import annotations

import argparse
from pathlib import Path

from lyra_sim.errors import LyraSimError

TEACHERS = ("procedural", "warp", "mini", "gen3c", "sana-wm")
"""Names of the teachers; `generator.teachers.registry` says what each needs."""
PICTURE_OPTIONS = ("depth",)
"""Options that mean nothing without --image."""
LENS_OPTIONS = ("depth_unit", "intrinsics")
"""Options that mean nothing without --image or --video."""


def add_picture_options(parser: argparse.ArgumentParser) -> None:
    """Add what concerns pictures and the teachers that start from one."""
    group = parser.add_argument_group("pictures and teachers")
    group.add_argument(
        "--image", type=Path, metavar="PATH", help="start from this picture (JPEG, PNG, WebP, TIFF)"
    )
    group.add_argument(
        "--depth",
        type=Path,
        metavar="PATH",
        help="its depth, from a depth camera: 16-bit PNG or TIFF, EXR, NPY or NPZ; the scene is then metric",
    )
    group.add_argument(
        "--depth-unit", choices=("mm", "m"), help="unit of --depth (whole numbers: mm; floating-point: m)"
    )
    group.add_argument(
        "--intrinsics",
        metavar="LENS",
        help="fx,fy,cx,cy in pixels of the picture, or a camera_info .yaml or .json file",
    )
    group.add_argument(
        "--depth-model",
        metavar="NAME",
        help="depth estimator for a picture without --depth (that of the size)",
    )
    group.add_argument(
        "--height-of-camera",
        type=float,
        metavar="METRES",
        help="true height of the picture's camera above the floor; sets the scale",
    )
    fit = group.add_mutually_exclusive_group()
    fit.add_argument(
        "--crop", action="store_true", help="cut the picture to the shape of the frames (default)"
    )
    fit.add_argument("--squeeze", action="store_true", help="squeeze the whole picture into it instead")
    group.add_argument(
        "--teacher",
        choices=TEACHERS,
        help="what imagines the other views (prompts at mini: procedural; pictures: that of the size)",
    )
    group.add_argument(
        "--movement", type=float, default=1.0, metavar="FACTOR", help="how far the cameras move (1.0)"
    )
    group.add_argument(
        "--cameras",
        type=Path,
        metavar="PATH",
        help="own camera path in place of --trajectories: a nerfstudio transforms.json or a TUM file",
    )
    group.add_argument(
        "--chunks",
        type=int,
        default=1,
        metavar="N",
        help="clips per path, each going on where the one before it ends, for longer movements (1; mini, gen3c)",
    )


def check_picture(args: argparse.Namespace) -> None:
    """Raise LyraSimError for anything wrong with the options of pictures and teachers."""
    if args.image is None:
        for name in PICTURE_OPTIONS:
            if getattr(args, name) is not None:
                raise LyraSimError(f"--{name.replace('_', '-')} belongs to a picture: give --image too")
    if args.image is None and args.video is None:
        for name in LENS_OPTIONS:
            if getattr(args, name) is not None:
                raise LyraSimError(
                    f"--{name.replace('_', '-')} belongs to a picture or a video: give --image or --video too"
                )
    if args.depth is None and args.depth_video is None and args.depth_unit is not None:
        raise LyraSimError("--depth-unit belongs to --depth or --depth-video: give that too")
    if args.depth is not None and args.depth_model is not None:
        raise LyraSimError("--depth and --depth-model exclude each other: the depth is known or estimated")
    if args.collider == "world" and not (args.image is None and args.video is None):
        raise LyraSimError("--collider world: a picture or a video has no exact mesh; use fused")
    if not 1 <= args.chunks <= 16:
        raise LyraSimError(f"--chunks {args.chunks}: must be 1 to 16")
    for option, value in (("--movement", args.movement), ("--height-of-camera", args.height_of_camera)):
        if value is not None and not 0 < value < 1000:
            raise LyraSimError(f"{option} {value:g}: must be a positive number")


def remote_picture_fields(args: argparse.Namespace) -> dict[str, object]:
    """Return what a server is told of the picture; raises LyraSimError for what it cannot be told."""
    if args.cameras or args.depth_model or args.chunks > 1:
        raise LyraSimError(
            "--cameras, --depth-model and --chunks work on this machine only; leave them out with --server"
        )
    if args.intrinsics is not None and args.intrinsics.count(",") != 3:
        raise LyraSimError("--intrinsics with --server must be the four numbers fx,fy,cx,cy, not a file")
    request: dict[str, object] = {
        name: str(path) for name in ("image", "depth") if (path := getattr(args, name))
    }
    given = {"depth_unit": args.depth_unit, "intrinsics": args.intrinsics, "teacher": args.teacher}
    given["camera_height"] = args.height_of_camera
    request |= {name: value for name, value in given.items() if value is not None}
    request |= {"movement": args.movement, "squeeze": args.squeeze}
    return request
