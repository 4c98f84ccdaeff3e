"""`lyra-sim sdg`: let a teacher make training data in the published layout."""

from __future__ import annotations

import argparse
import glob
from pathlib import Path

from lyra_sim.atomic import require_parent
from lyra_sim.commands.options import add_progress, add_size, add_trajectories
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress

EPILOG = """\
examples:
  lyra-sim sdg --prompts prompts.txt --seeds 0-9 --out data/
  lyra-sim sdg --images 'photos/*.jpg' --teacher warp --backwards --out data/
  lyra-sim sdg --videos 'vipe_results/*' --out data/

Writes shard_NNNNN/<view>/{rgb,latent,depth,pose,intrinsics}/<scene> and manifest.jsonl, which names complete scenes.
Stop it at any time; the same command goes on where it stopped.
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `sdg` command."""
    parser = subparsers.add_parser(
        "sdg",
        help="make training data with a teacher",
        description="Film prompts, pictures or videos with a teacher as training data (needs lyra-sim[train]).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="one prompt per line")
    parser.add_argument("--images", metavar="GLOB", help="pictures, such as 'photos/*.jpg'")
    parser.add_argument(
        "--videos",
        metavar="GLOB",
        help="videos of a camera that stands still, or folders with depth and poses, as gen --video takes them",
    )
    parser.add_argument(
        "--seeds", type=_seeds, default=(0,), metavar="A-B", help="seeds per input, such as 0-9 (0)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the data")
    parser.add_argument("--teacher", metavar="NAME", help="which teacher films, as for gen")
    add_size(parser)
    add_trajectories(parser)
    parser.add_argument(
        "--movement", type=float, default=1.0, metavar="F", help="factor on the paths' length (1)"
    )
    parser.add_argument(
        "--backwards", action="store_true", help="also write views 6 to 11: the same paths run backwards"
    )
    parser.add_argument("--per-shard", type=int, default=500, metavar="N", help="scenes per shard (500)")
    parser.add_argument(
        "--validation",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="share of the inputs kept for validation (0.05)",
    )
    add_progress(parser)
    parser.set_defaults(run=run)


def _seeds(text: str) -> tuple[int, ...]:
    first, _, last = text.partition("-")
    try:
        seeds = range(int(first), int(last or first) + 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed or range of seeds such as 0-9") from error
    if not seeds or len(seeds) > 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r}: from the lower to the higher seed, at most a million")
    return tuple(seeds)


def run(args: argparse.Namespace) -> int:
    """Plan and make the data."""
    progress = Progress(args.progress, {"sdg": 1.0})
    args.progress_reporter = progress
    images, videos = check(args)

    from generator.sizes import resolve
    from training.sdg.plan import plan, read_prompts
    from training.sdg.run import DataSettings, make_data

    size = resolve(args.size)
    settings = DataSettings(args.teacher, args.trajectories, args.movement, args.backwards)
    items = plan(
        read_prompts(args.prompts) if args.prompts else [],
        images,
        videos,
        args.seeds,
        settings=settings.words(size),
        per_shard=args.per_shard,
        validation_share=args.validation,
    )
    counts = make_data(items, args.out, size, settings, progress)
    told = ", ".join(f"{count} {what}" for what, count in counts.items())
    progress.result(f"{args.out}: {told}, size {size.name}", folder=str(args.out.absolute()), **counts)
    return 0


def check(args: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """Raise LyraSimError for anything wrong with the options themselves; return the pictures and the videos."""
    images, videos = _matches("--images", args.images), _matches("--videos", args.videos)
    if not args.prompts and not images and not videos:
        raise LyraSimError("nothing to film: give --prompts FILE, --images GLOB or --videos GLOB")
    if args.per_shard < 1:
        raise LyraSimError(f"--per-shard {args.per_shard}: must be 1 or more")
    if not 0 <= args.validation < 1:
        raise LyraSimError(f"--validation {args.validation}: must be from 0 to below 1")
    require_parent(args.out)
    if args.out.is_file():
        raise LyraSimError(f"--out {args.out}: is a file; name a folder")
    return images, videos


def _matches(option: str, pattern: str | None) -> list[Path]:
    """Return what a pattern matches, in order; raises LyraSimError where it matches nothing."""
    found = sorted(Path(name) for name in glob.glob(pattern)) if pattern else []
    if pattern and not found:
        raise LyraSimError(f"{option} {pattern!r}: matches nothing")
    return found
