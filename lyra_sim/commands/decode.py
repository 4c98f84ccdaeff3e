"""`lyra-sim decode`: from published latents to a scene."""

from __future__ import annotations

import argparse
from pathlib import Path

from lyra_sim.commands.options import add_files_beside, add_progress, add_target, check_scene_files
from lyra_sim.commands.video_options import parse_times
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress

STAGES = {"load": 3.0, "read": 1.0, "decoder": 20.0}
"""Stages before the cost of the decode is known, with rough seconds."""

EPILOG = """\
examples:
  lyra-sim decode diffusion_output --out scene.usdz
  lyra-sim decode diffusion_output --views 5,0 --memory-limit 24 --out scene.usdz --height-of-camera 1.5
  lyra-sim decode dynamic/diffusion_output --time 0,60,120 --out scene.usdz
The folder holds VIEW/{latent,pose,intrinsics}/NAME for each view, as the demo data of nvidia/Lyra and
`lyra-sim sdg` write it. docs/decoding.md says more.
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `decode` command."""
    parser = subparsers.add_parser(
        "decode",
        help="decode latents in the published layout to a scene",
        description="Decode the latents of camera-path videos to a 3D Gaussian scene (USDZ: splats and collider).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="LATENT_FOLDER", help="folder of the views")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="the scene to write, *.usdz")
    parser.add_argument("--scene", metavar="NAME", help="scene to decode, where the folder holds several")
    parser.add_argument(
        "--views",
        type=_names,
        metavar="LIST",
        help="views in the decoder's order (5,0,1,2,3,4, as published)",
    )
    parser.add_argument(
        "--time",
        type=parse_times,
        default=(),
        metavar="LIST",
        help="target times of a moving scene, as frame numbers (0,60,120): dynamic weights, one scene per time",
    )
    _add_network_options(parser)
    _add_scene_options(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="read and check everything, tell the cost, and write nothing"
    )
    add_progress(parser)
    parser.set_defaults(run=run)


def _add_network_options(parser: argparse.ArgumentParser) -> None:
    """Add what concerns weights, precision and memory."""
    group = parser.add_argument_group("weights, precision, memory")
    group.add_argument(
        "--size",
        choices=("mini", "full", "auto"),
        default="auto",
        help="mini: embedded weights; full: published ones; auto: those whose tokenizer made the latents",
    )
    group.add_argument(
        "--weights", metavar="NAME|DIR", help="lyra-static, lyra-dynamic, or a folder of save_pretrained"
    )
    group.add_argument(
        "--rays",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="auto: as trained into the network, float32 under the Gaussians; bfloat16: as the official code",
    )
    group.add_argument(
        "--head", choices=("float32", "bfloat16"), default="float32", help="arithmetic of the Gaussians"
    )
    group.add_argument(
        "--memory-limit",
        type=float,
        metavar="GB",
        help="most memory of the process, or of the GPU, while decoding (what is free)",
    )


def _add_scene_options(parser: argparse.ArgumentParser) -> None:
    """Add what concerns the files and the frame of the scene."""
    group = parser.add_argument_group("scene")
    add_target(group)
    add_files_beside(group)
    group.add_argument("--no-collider", action="store_true", help="leave out the collision mesh")
    group.add_argument(
        "--up-axis",
        default="auto",
        metavar="AXIS",
        help="axis of the poses' frame that points up (auto: -y where the first pose is the identity, else z)",
    )
    group.add_argument(
        "--level", action="store_true", help="find the floor even where the poses' frame has z up"
    )
    group.add_argument(
        "--height-of-camera",
        type=float,
        metavar="METRES",
        help="true height of the first camera above the floor; makes the scene metric",
    )


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if (
        not names
        or len(set(names)) != len(names)
        or any("/" in name or name in (".", "..") for name in names)
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of different views, such as 5,0,1,2,3,4")
    return names


def run(args: argparse.Namespace) -> int:
    """Check what can be checked without loading anything heavy, then decode."""
    progress = Progress(args.progress, STAGES)
    args.progress_reporter = progress
    check(args)
    progress.update("load", 0.0, "loading the networks")

    from generator.from_latents.chain import Decoding
    from generator.from_latents.request import DecodeRequest

    request = DecodeRequest(
        folder=args.folder,
        out=args.out,
        scene=args.scene,
        views=args.views,
        size=args.size,
        weights=args.weights,
        times=args.time,
        rays=args.rays,
        head=args.head,
        memory_limit=args.memory_limit,
        target=args.target,
        collider=not args.no_collider,
        ply=args.ply,
        preview=not args.no_preview,
        up_axis=args.up_axis,
        level=args.level,
        camera_height=args.height_of_camera,
        dry_run=args.dry_run,
    )
    progress.result(**Decoding(request, progress).run())
    return 0


def check(args: argparse.Namespace) -> None:
    """Raise LyraSimError for anything wrong with the options themselves."""
    check_scene_files(args.out, args.ply)
    if args.weights is not None and args.size != "auto":
        raise LyraSimError("--weights and --size both choose the weights; give one of them")
    if args.memory_limit is not None and not 0 < args.memory_limit < 1e6:
        raise LyraSimError(f"--memory-limit {args.memory_limit:g}: give gigabytes, such as 24")
    if args.height_of_camera is not None and not 0 < args.height_of_camera < 1000:
        raise LyraSimError(f"--height-of-camera {args.height_of_camera:g}: must be between 0 and 1000 m")
