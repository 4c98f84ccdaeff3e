"""Options that mean the same in several commands; the parser can be a group of one."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from lyra_sim.atomic import require_replaceable_file
from lyra_sim.errors import LyraSimError
from lyra_sim.jobs.request import TRAJECTORIES
from lyra_sim.usd.layout import TARGETS

COLLIDER_FACES = 50_000
COLLIDER_APPROXIMATION = "none"


def add_progress(parser: argparse._ActionsContainer) -> None:
    """Add `--progress`, which `lyra_sim.progress.Progress` takes."""
    parser.add_argument(
        "--progress",
        choices=("auto", "json", "none"),
        default="auto",
        help="auto: lines for people on stderr; json: one object per line on stdout",
    )


def add_size(parser: argparse._ActionsContainer) -> None:
    """Add `--size` of the networks, which `generator.sizes.resolve` takes."""
    parser.add_argument(
        "--size",
        choices=("mini", "full", "auto"),
        default="auto",
        help="mini: embedded networks on the CPU; full: published weights on a CUDA GPU; auto: full where it can run",
    )


def add_resolution(parser: argparse._ActionsContainer, help: str) -> None:
    """Add `--resolution WxH`, read as (height, width) [px]."""
    parser.add_argument("--resolution", type=_resolution, metavar="WxH", help=help)


def _resolution(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if not match or not all(int(side) > 10 for side in match.groups()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size such as 640x352, of more than 10 pixels a side"
        )
    return int(match[2]), int(match[1])


def add_trajectories(parser: argparse._ActionsContainer) -> None:
    """Add `--trajectories`, read as a tuple in the decoder's order."""
    parser.add_argument(
        "--trajectories",
        type=_trajectories,
        default=TRAJECTORIES,
        metavar="LIST",
        help=f"camera paths to film, comma-separated ({','.join(TRAJECTORIES)}); fewer are faster and see less",
    )


def _trajectories(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of camera paths, in the decoder's order."""
    names = text.split(",")
    unknown = [name for name in names if name not in TRAJECTORIES]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} is no camera path; choose from {','.join(TRAJECTORIES)}"
        )
    return tuple(name for name in TRAJECTORIES if name in names)


def add_up_axis(parser: argparse._ActionsContainer) -> None:
    """Add `--up-axis` of a file, which `parse_axes` reads."""
    parser.add_argument(
        "--up-axis", metavar="FROM:TO", help="turn axis FROM of the input to TO, such as -y:z or y:z"
    )


def parse_axes(text: str | None) -> tuple[str, str] | None:
    """Return the two axes of `--up-axis FROM:TO`, or None without it.

    Raises:
        LyraSimError: The text is not of that form.
    """
    if text is None:
        return None
    before, separator, after = text.partition(":")
    if not separator:
        raise LyraSimError(f"--up-axis {text}: write FROM:TO, such as -y:z")
    return before.strip().lower(), after.strip().lower()


def add_target(parser: argparse._ActionsContainer) -> None:
    """Add `--target`, the form of a scene's splats."""
    parser.add_argument(
        "--target",
        choices=TARGETS,
        default="isaac-6",
        help="isaac-6: OpenUSD particle field; isaac-5: NuRec volume; both: a variant set `splats` (isaac-6)",
    )


def add_collider_shape(parser: argparse._ActionsContainer) -> None:
    """Add `--collider-faces` and `--collider-approx`, which `lyra_sim.convert.check_collider` checks."""
    parser.add_argument(
        "--collider-faces",
        type=int,
        default=COLLIDER_FACES,
        metavar="N",
        help=f"most faces of a fused collider ({COLLIDER_FACES})",
    )
    parser.add_argument(
        "--collider-approx",
        default=COLLIDER_APPROXIMATION,
        metavar="TOKEN",
        help="physics:approximation, such as convexDecomposition, or `pieces` for convex meshes made here (none)",
    )


def add_files_beside(parser: argparse._ActionsContainer) -> None:
    """Add `--ply` and `--no-preview`: what is written beside the scene."""
    parser.add_argument("--ply", type=Path, metavar="PATH", help="also write the Gaussians as a 3DGS PLY")
    parser.add_argument("--no-preview", action="store_true", help="do not write the picture beside the scene")


def check_scene_files(out: Path, ply: Path | None) -> None:
    """Raise LyraSimError unless the scene `--out` and the PLY `--ply` can be written there."""
    if out.suffix.lower() != ".usdz":
        raise LyraSimError(f"--out {out}: must end in .usdz")
    require_replaceable_file(out)
    if ply is not None:
        if ply.suffix.lower() != ".ply":
            raise LyraSimError(f"--ply {ply}: must end in .ply")
        require_replaceable_file(ply, option="--ply")
