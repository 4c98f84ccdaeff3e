"""The options of `gen` that concern videos."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from lyra_sim.errors import LyraSimError

VIDEO_OPTIONS = ("depth_video", "video_cameras", "video_frames", "time")
"""Options that mean nothing without --video."""


def add_video_options(parser: argparse.ArgumentParser) -> None:
    """Add what concerns videos; --intrinsics, --depth-unit, --crop, --squeeze and --depth-model apply to them too."""
    group = parser.add_argument_group("videos")
    group.add_argument(
        "--video",
        type=Path,
        metavar="PATH",
        help="start from this video (MP4, WebM and others), or a folder of ViPE, or one with rgb.mp4, depth.npz and "
        "camera.npz",
    )
    group.add_argument(
        "--depth-video",
        type=Path,
        metavar="PATH",
        help="its depth: a folder with a depth picture per frame, NPY or NPZ (frames, rows, columns), or a ZIP of EXR",
    )
    group.add_argument(
        "--video-cameras",
        type=Path,
        metavar="PATH",
        help="its poses: a transforms.json with one frame per frame, or a TUM file; without them the camera must "
        "stand still",
    )
    group.add_argument(
        "--video-frames", type=parse_span, metavar="FIRST:LAST", help="part of the video to take (all of it)"
    )
    group.add_argument(
        "--time",
        type=parse_times,
        default=(),
        metavar="LIST",
        help="frames of the video to make scenes of (0,60,120): one each with the dynamic weights of --size full; "
        "mini, whose scenes stand still, takes one frame alone",
    )


def parse_span(text: str) -> tuple[int, int]:
    """Read `FIRST:LAST`, numbers of frames."""
    first, _, last = text.partition(":")
    if not (first.isdecimal() and last.isdecimal()) or int(first) > int(last):
        raise argparse.ArgumentTypeError(f"{text!r} is no FIRST:LAST, such as 0:120")
    return int(first), int(last)


def parse_times(text: str) -> tuple[float, ...]:
    """Read a comma-separated list of different frame numbers."""
    try:
        times = tuple(float(part) for part in text.split(","))
    except ValueError:
        times = ()
    if not times or len(set(times)) != len(times) or any(not math.isfinite(t) or t < 0 for t in times):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of different frame numbers, such as 0,60,120")
    return times


def check_video(args: argparse.Namespace) -> None:
    """Raise LyraSimError for anything wrong with the options of videos."""
    if args.video is None:
        for name in VIDEO_OPTIONS:
            if getattr(args, name):
                raise LyraSimError(f"--{name.replace('_', '-')} belongs to a video: give --video too")
        return
    if args.image is not None:
        raise LyraSimError("--image and --video exclude each other: the scene starts from one of them")
    if args.depth is not None:
        raise LyraSimError("--depth is for pictures: give the depth of a video as --depth-video")
    if args.depth_video is not None and args.depth_model is not None:
        raise LyraSimError(
            "--depth-video and --depth-model exclude each other: the depth is known or estimated"
        )
    if args.time and args.chunks > 1:
        raise LyraSimError(
            "--time and --chunks exclude each other: scenes that move are made of one clip per path"
        )


def remote_video_fields(args: argparse.Namespace) -> dict[str, object]:
    """Return what a server is told of the video; raises LyraSimError for what it cannot be told."""
    if args.video is None:
        return {}
    if args.video.is_dir() or (args.depth_video is not None and args.depth_video.is_dir()):
        raise LyraSimError(
            "a server takes files only: give the video as MP4 or WebM, and its depth as NPY or NPZ"
        )
    if len(args.time) > 1:
        raise LyraSimError(
            "--time with --server: give one frame; several scenes are made on this machine only"
        )
    fields: dict[str, object] = {
        name: str(path) for name in ("video", "depth_video", "video_cameras") if (path := getattr(args, name))
    }
    if args.video_frames is not None:
        fields["video_frames"] = f"{args.video_frames[0]}:{args.video_frames[1]}"
    if args.time:
        fields["time"] = args.time[0]
    return fields
