"""`lyra-sim eval`: judge scenes and videos against photographs and videos."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lyra_sim.atomic import atomic_folder, require_replaceable_folder
from lyra_sim.commands.options import add_progress, add_resolution
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress

PROTOCOLS = ("re10k", "dl3dv", "tanks", "nerfstudio")
"""Names of the data sets; `training.evaluation.protocols` reads them."""

EPILOG = """\
examples:
  lyra-sim eval scene.usdz --cameras kept/transforms.json --split held_out
  lyra-sim eval scenes/ --protocol re10k RealEstate10K/test --conditioning 0 --out eval/
  lyra-sim eval predictions/ --truth videos/

Scenes of a protocol are called like its scenes (scenes/NAME.usdz) and made from the photograph --conditioning; its
camera is laid over the one that the scene was made from, and the data set's unit is fitted, nothing else.
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `eval` command."""
    parser = subparsers.add_parser(
        "eval",
        help="measure scenes or videos against photographs or videos",
        description="Measure PSNR, SSIM and LPIPS of scenes (ours or others') or videos, per frame index, then mean.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "subject", type=Path, metavar="SCENE|DIR", help="a scene, or a folder of scenes or videos"
    )
    truth = parser.add_mutually_exclusive_group(required=True)
    truth.add_argument(
        "--cameras", type=Path, metavar="JSON", help="transforms.json with pictures, in the scene's own frame"
    )
    truth.add_argument("--truth", type=Path, metavar="DIR", help="videos of the same names")
    truth.add_argument(
        "--protocol",
        nargs=2,
        metavar=("NAME", "DIR"),
        help=f"a data set in its own layout: {', '.join(PROTOCOLS)}",
    )
    parser.add_argument(
        "--split", metavar="NAME", help="with --cameras: only frames of this split, such as held_out"
    )
    parser.add_argument(
        "--conditioning",
        type=int,
        default=0,
        metavar="N",
        help="with --protocol: the photograph the scenes show (0)",
    )
    add_resolution(parser, "size to judge at; the cameras' own")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write eval.json, eval.md and a picture grid there"
    )
    add_progress(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge, print the table and write the report."""
    progress = Progress(args.progress, {"eval": 1.0})
    args.progress_reporter = progress
    check(args)

    from training.evaluation.judge import Samples, judge_scene, judge_videos, matching_videos
    from training.evaluation.perceptual import load_perceptual
    from training.evaluation.protocols import read_nerfstudio, read_protocol
    from training.evaluation.report import table, write_report

    perceptual, about = load_perceptual()
    samples, scores = Samples(), []
    if args.truth:
        what = f"Videos {args.subject} against {args.truth}"
        pairs = matching_videos(args.subject, args.truth)
        for index, (prediction, truth) in enumerate(pairs):
            progress.update("eval", index / len(pairs), prediction.name)
            scores.append(judge_videos(prediction, truth, perceptual, samples))
    elif args.cameras:
        what = f"{args.subject} against {args.cameras}"
        progress.update("eval", 0.0, args.subject.name)
        shots = read_nerfstudio(args.cameras, split=args.split)
        scores.append(judge_scene(args.subject, shots, perceptual, samples, size=args.resolution))
    else:
        name, folder = args.protocol
        what = f"{args.subject} against {name} {folder}, photograph {args.conditioning} given"
        sets = read_protocol(name, Path(folder))
        for index, shots in enumerate(sets):
            progress.update("eval", index / len(sets), shots.name)
            if not 0 <= args.conditioning < len(shots):
                raise LyraSimError(
                    f"--conditioning {args.conditioning}: {shots.name} has {len(shots)} photographs"
                )
            scene = scene_of(args.subject, shots.name)
            scores.append(
                judge_scene(
                    scene, shots, perceptual, samples, conditioning=args.conditioning, size=args.resolution
                )
            )
    if args.progress != "json":
        sys.stdout.write(table(scores, perceptual=about, what=what))
    if args.out:
        with atomic_folder(args.out, option="--out", marker="eval.json") as folder:
            write_report(folder, scores, samples, perceptual=about, what=what)
    from training.evaluation.scores import average

    means = {name: None if value != value else round(value, 4) for name, value in average(scores).items()}
    progress.result(f"{len(scores)} scene(s) judged", average=means)
    return 0


def check(args: argparse.Namespace) -> None:
    """Raise LyraSimError for options that do not go together, before anything heavy is loaded."""
    if args.protocol and args.protocol[0] not in PROTOCOLS:
        raise LyraSimError(f"--protocol {args.protocol[0]}: unknown; choose from {', '.join(PROTOCOLS)}")
    if not args.subject.exists():
        raise LyraSimError(f"{args.subject}: does not exist")
    if args.cameras and args.subject.is_dir():
        raise LyraSimError(f"{args.subject}: is a folder; --cameras judges one scene")
    if not args.cameras and not args.subject.is_dir():
        raise LyraSimError(f"{args.subject}: is a file; --truth and --protocol judge a folder")
    if args.split and not args.cameras:
        raise LyraSimError("--split goes with --cameras")
    if args.out:
        require_replaceable_folder(args.out, option="--out", marker="eval.json")


def scene_of(folder: Path, name: str) -> Path:
    """Return the scene file of a data set's scene; raises LyraSimError when there is none."""
    from lyra_sim.usd import SUFFIXES as USD_SUFFIXES

    suffixes = (*USD_SUFFIXES, ".ply", ".spz")
    for suffix in suffixes:
        if (path := folder / f"{name}{suffix}").is_file():
            return path
    raise LyraSimError(f"{folder}: has no scene {name}.usdz (or {', '.join(suffixes[1:])})")
