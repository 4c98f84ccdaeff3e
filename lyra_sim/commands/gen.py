"""`lyra-sim gen`: from a sentence, a picture or a video to a scene."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from lyra_sim.atomic import require_replaceable_folder
from lyra_sim.commands.options import (
    COLLIDER_APPROXIMATION,
    COLLIDER_FACES,
    add_collider_shape,
    add_files_beside,
    add_progress,
    add_resolution,
    add_size,
    add_target,
    add_trajectories,
    check_scene_files,
)
from lyra_sim.commands.picture_options import add_picture_options, check_picture, remote_picture_fields
from lyra_sim.commands.prompt_options import add_prompt_options, check_prompt, image_settings
from lyra_sim.commands.video_options import add_video_options, check_video, remote_video_fields
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress
from lyra_sim.stages import REFINE_STEP, STAGE_WEIGHTS

EPILOG = """\
examples:
  lyra-sim gen "warehouse aisle" --out scene.usdz
  lyra-sim gen "dim cluttered kitchen, wooden" --seed 7 --out kitchen.usdz --keep kitchen/
  lyra-sim gen --image photo.jpg --out scene.usdz
  lyra-sim gen --image rgb.png --depth depth.png --intrinsics camera_info.yaml --out scene.usdz
  lyra-sim gen --video clip.mp4 --depth-video depth.npz --video-cameras poses.txt --out scene.usdz
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `gen` command."""
    parser = subparsers.add_parser(
        "gen",
        help="generate a scene from a sentence, a picture or a video",
        description="Generate a simulation-ready 3D Gaussian scene (USDZ: splats, collider, labels; metres, Z up).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "prompt",
        metavar="PROMPT",
        nargs="?",
        default="",
        help='what to make, such as "narrow warehouse aisle, dim"; may be left out with --image or --video',
    )
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="the scene to write, *.usdz")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="same prompt and seed, same scene (0)"
    )
    add_size(parser)
    add_resolution(
        parser, "frames to imagine and decode; 320x176, or 640x352 for more detail in 4 times the time"
    )
    add_target(parser)
    add_trajectories(parser)
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep images, depth, cameras, PLY and report there"
    )
    add_files_beside(parser)
    parser.add_argument(
        "--collider",
        choices=("fused", "world"),
        default="fused",
        help="fused: from the depth of the splats; world: the exact mesh of the procedural world",
    )
    add_collider_shape(parser)
    parser.add_argument("--no-collider", action="store_true", help="leave out the collision mesh")
    parser.add_argument("--no-labels", action="store_true", help="leave class labels off the proxy mesh")
    parser.add_argument(
        "--no-proxy", action="store_true", help="leave out the matte mesh that carries the labels"
    )
    add_picture_options(parser)
    add_video_options(parser)
    add_prompt_options(parser)
    parser.add_argument(
        "--refine",
        type=int,
        default=0,
        metavar="N",
        help="optimise the decoded Gaussians in N steps against the teacher's frames (0: leave them as decoded)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="fail when the prompt names no kind of place we know"
    )
    parser.add_argument(
        "--server", metavar="URL", help="let a `lyra-sim serve` make the scene (LYRA_SIM_TOKEN: token)"
    )
    add_progress(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check what can be checked without loading anything heavy, then generate."""
    progress = Progress(args.progress, STAGE_WEIGHTS | {"refine": REFINE_STEP * max(args.refine, 0)})
    args.progress_reporter = progress
    check(args)
    if args.server:
        return run_remote(args, progress)
    progress.update("load", 0.0, "loading the networks")

    from generator.generate import Request, generate
    from generator.image_settings import ImageSettings

    request = Request(
        prompt=args.prompt,
        seed=args.seed,
        size=args.size,
        resolution=args.resolution,
        strict=args.strict,
        target=args.target,
        trajectories=args.trajectories,
        labels=not args.no_labels,
        proxy=not args.no_proxy,
        out=args.out,
        keep=args.keep,
        ply=args.ply,
        preview=not args.no_preview,
        collider="none" if args.no_collider else args.collider,
        collider_faces=args.collider_faces,
        collider_approximation=args.collider_approx,
        image=args.image,
        depth=args.depth,
        depth_unit=args.depth_unit,
        intrinsics=args.intrinsics,
        fit="squeeze" if args.squeeze else "crop",
        estimator=args.depth_model,
        teacher=args.teacher,
        movement=args.movement,
        cameras=args.cameras,
        camera_height=args.height_of_camera,
        picture_settings=ImageSettings(**image_settings(args)),
        picture_model=args.picture_model,
        video=args.video,
        depth_video=args.depth_video,
        video_cameras=args.video_cameras,
        video_span=args.video_frames,
        times=args.time,
        chunks=args.chunks,
        refine=args.refine,
    )
    result = generate(request, progress)
    progress.result(**result)
    return 0


def run_remote(args: argparse.Namespace, progress: Progress) -> int:
    """Let a server make the scene, download it and pass its messages on."""
    from lyra_sim import jobs
    from lyra_sim.server.client import generate_remote

    _require_remote(args)

    def show(message: jobs.Message) -> None:
        if isinstance(message, jobs.Progress):
            progress.relay(message.stage, message.fraction, message.message)

    request: dict[str, object] = {
        "prompt": args.prompt,
        "seed": args.seed,
        "size": args.size,
        "target": args.target,
    }
    request |= {"collider": not args.no_collider, "labels": not args.no_labels, "proxy": not args.no_proxy}
    request |= {"preview": False} if args.no_preview else {}
    request |= {"strict": args.strict, "trajectories": list(args.trajectories)}
    request |= remote_picture_fields(args) | remote_video_fields(args)
    token = os.environ.get("LYRA_SIM_TOKEN")
    result = generate_remote(args.server, request, out=args.out, token=token, on_message=show)
    fields = {
        name: value for name, value in result.items() if name not in ("type", "stage", "fraction", "message")
    }
    progress.result(str(result.get("message", args.out)), **fields)
    return 0


def _require_remote(args: argparse.Namespace) -> None:
    """Raise LyraSimError for options that a server cannot be told."""
    if args.keep or args.ply:
        raise LyraSimError(
            "--keep and --ply stay on the machine that generates; leave them out with --server"
        )
    if (args.collider_faces, args.collider_approx) != (COLLIDER_FACES, COLLIDER_APPROXIMATION):
        raise LyraSimError(
            "--collider-faces and --collider-approx work on this machine only; use `lyra-sim convert` on the result"
        )
    local = {
        "--refine": args.refine,
        "--resolution": args.resolution,
        "--collider world": args.collider == "world",
    }
    for option, given in local.items():
        if given:
            raise LyraSimError(f"{option} works on this machine only; leave it out with --server")


def check(args: argparse.Namespace) -> None:
    """Raise LyraSimError for anything wrong with the options themselves."""
    from lyra_sim.convert import check_collider

    if not args.prompt.strip() and args.image is None and args.video is None:
        raise LyraSimError(
            'PROMPT is empty; say what to make, such as "warehouse aisle", or give --image or --video'
        )
    if args.seed < 0 or args.seed >= 2**63:
        raise LyraSimError(f"--seed {args.seed}: must be 0 or more and below 2^63")
    if args.refine < 0:
        raise LyraSimError(f"--refine {args.refine}: must be 0 or more steps")
    check_scene_files(args.out, args.ply)
    if args.keep is not None:
        require_replaceable_folder(args.keep)
    _require_inputs_stay(args)
    check_collider(args.collider_approx, args.collider_faces)
    if args.collider_approx == "pieces" and args.no_collider:
        raise LyraSimError("--collider-approx pieces needs a collider; leave --no-collider out")
    check_video(args)
    check_picture(args)
    check_prompt(args)


def _require_inputs_stay(args: argparse.Namespace) -> None:
    """Raise LyraSimError where a file that the scene is made from would be replaced by one that is written."""
    given = ("image", "depth", "intrinsics", "cameras", "video", "depth_video", "video_cameras")
    for name in given:
        value = getattr(args, name)
        if value is None:
            continue
        path, option = Path(value).resolve(), f"--{name.replace('_', '-')}"
        preview = args.out.with_suffix(".png")
        if not args.no_preview and preview.resolve() == path:
            raise LyraSimError(
                f"--out {args.out}: its preview {preview.name} would replace the file of {option}; choose another "
                "name, or give --no-preview"
            )
        if args.keep is not None and args.keep.resolve() in (path, *path.parents):
            raise LyraSimError(
                f"--keep {args.keep}: the folder is replaced, and holds the file of {option}; choose another folder"
            )
