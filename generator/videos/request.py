"""From the files of a request to the frames of a video, with every assumption said aloud."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from generator.pictures.conditioning import Note, assumption
from generator.pictures.fit import Window
from generator.pictures.lens import read_lens, usual_lens
from generator.request import Fit
from generator.video_file import VideoFacts, facts_of
from generator.videos.depth_files import read_depths
from generator.videos.folders import read_folder
from generator.videos.frames import hash_of, pick, read_picked
from generator.videos.poses import VideoPoses, read_poses
from generator.videos.recording import Recording
from lyra_sim.errors import LyraSimError


@dataclass(frozen=True)
class VideoFiles:
    """Name the files of one video."""

    video: Path
    """A video file, or a folder that holds one with depth and cameras; see `read_folder`."""
    depth: Path | None = None
    """Its depth; see `read_depths`."""
    depth_unit: str | None = None
    """`mm` or `m`; None takes what is usual for the kind of file."""
    cameras: Path | None = None
    """Its poses; see `read_poses`."""
    intrinsics: str | None = None
    """`fx,fy,cx,cy` [px of the video] or a file; see `read_lens`."""
    fit: Fit = "crop"
    """How its frames are brought to the shape of the clips."""
    span: tuple[int, int] | None = None
    """First and last frame to take; None takes all of it."""


def load_recording(
    files: VideoFiles, *, height: int, width: int, frames: int, time: int | None = None, note: Note
) -> Recording:
    """Read frames that are evenly spread over a video, with depth and poses where files give them.

    Args:
        files: What to read.
        height: Rows wanted [px].
        width: Columns wanted [px].
        frames: Frames wanted.
        time: Number of the one frame to read, in place of `frames` of them.
        note: Told what is assumed.

    Raises:
        LyraSimError: A file cannot be used, or the files do not go together.
    """
    rgb_file, depth_file, poses, read = files.video, files.depth, None, [files.video]
    if files.video.is_dir():
        if depth_file or files.cameras:
            raise LyraSimError(
                f"--video {files.video}: the folder brings its own depth and poses; give the file in it"
            )
        folder = read_folder(files.video)
        rgb_file, depth_file, poses, read = folder.rgb, folder.depth, folder.poses, list(folder.files)
    facts = facts_of(rgb_file)
    if files.cameras is not None:
        poses = read_poses(files.cameras, total=facts.frames, frames_per_second=facts.frames_per_second)
        read.append(files.cameras)
    if poses is not None and len(poses.c2w) != facts.frames:
        raise LyraSimError(f"{files.video}: has {len(poses.c2w)} poses, but its video {facts.frames} frames")
    picked = pick(facts.frames, frames, files.span)
    if time is not None:
        picked = pick(facts.frames, 1, (time, time))
    rgb, window = read_picked(rgb_file, picked, target=(height, width), fit=files.fit)
    intrinsics, lens_source = _intrinsics(files, poses, picked, window, note)
    about: dict[str, object] = {
        "sha256": hash_of(read),
        "video": {"frames": facts.frames, "frames_per_second": round(facts.frames_per_second, 4)},
        "picked": picked.tolist(),
        "size_px": [window.source[1], window.source[0]],
        "fit": files.fit,
        "intrinsics_from": lens_source,
        "poses_from": "none" if poses is None else "file",
    }
    c2w = None if poses is None else poses.c2w[picked]
    recording = Recording(
        rgb, picked, intrinsics, c2w, None, about, frames_per_second=facts.frames_per_second
    )
    _note_frames(recording, facts, window, note)
    if depth_file is None:
        return recording
    return _with_depth_files(recording, files, depth_file, facts, window, note)


def _intrinsics(
    files: VideoFiles, poses: VideoPoses | None, picked: np.ndarray, window: Window, note: Note
) -> tuple[np.ndarray, str]:
    """Return fx, fy, cx, cy [px] of every picked frame, (T, 4), and where they are from."""
    height, width = window.source
    if files.intrinsics is not None:
        lens = read_lens(files.intrinsics)
        if lens.distorted:
            note(
                "The camera file lists lens distortion, which is not modelled: use the rectified video and its K"
            )
        where = f"--intrinsics {files.intrinsics}"
        values = np.tile(lens.scaled_to(height, width, where=where), (len(picked), 1))
        source = "given"
    elif poses is not None and poses.lenses is not None:
        where = f"the lens of {files.cameras or files.video}"
        values = np.stack([poses.lenses[i].scaled_to(height, width, where=where) for i in picked.tolist()])
        source = "given"
    else:
        values, source = np.tile(usual_lens(height, width), (len(picked), 1)), "assumed"
    return np.stack([window.intrinsics(v) for v in values]), source


def _note_frames(recording: Recording, facts: VideoFacts, window: Window, note: Note) -> None:
    count = len(np.unique(recording.picked))
    if count < len(recording):
        note(f"The video gives {count} different frames for clips of {len(recording)}: some are shown twice")
    (height, width), (rows, columns) = window.source, window.target
    if height < rows or width < columns:
        note(f"The video of {width}x{height} px is smaller than the {columns}x{rows} px that are worked on")


def _with_depth_files(
    recording: Recording, files: VideoFiles, path: Path, facts: VideoFacts, window: Window, note: Note
) -> Recording:
    of_folder = files.depth is None
    unit = "m" if of_folder else files.depth_unit
    maps, read = read_depths(path, recording.picked, total=facts.frames, unit=unit)
    (height, width), (rows, columns) = window.source, maps[0].shape
    if abs(rows * width / (columns * height) - 1) > 0.02:
        raise LyraSimError(
            f"--depth-video {path}: has {columns}x{rows} px, the video {width}x{height}; they must show the same view"
        )
    fitted = np.stack([window.depth(depth) for depth in maps])
    if recording.source["intrinsics_from"] == "assumed":
        note(assumption("Without --intrinsics the scene is true to scale only in depth"))
    # Trackers know depth and poses up to one factor; what a depth camera measures is in metres.
    about = {"depth_from": "file", "depth_sha256": hash_of(read)}
    return recording.with_depth(fitted, metric=not of_folder, **about)
