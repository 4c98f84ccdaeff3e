"""Take the frames of a video that a clip needs, at the size of the clip."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from generator.pictures.fit import Window
from generator.pictures.photograph import MAX_PIXELS, MIN_SIDE
from generator.request import Fit
from generator.video_file import read_video
from lyra_sim.errors import LyraSimError


def pick(total: int, frames: int, span: tuple[int, int] | None) -> np.ndarray:
    """Return the numbers of `frames` frames, evenly spread over a video, or over a span of it, (frames,) int.

    Args:
        total: Frames of the video.
        frames: Frames wanted; short videos show some of theirs twice.
        span: First and last frame to take from.

    Raises:
        LyraSimError: The span is not within the video.
    """
    first, last = span or (0, total - 1)
    if not 0 <= first <= last < total:
        raise LyraSimError(f"--video-frames {first}:{last}: the video has frames 0 to {total - 1}")
    return np.linspace(first, last, frames).round().astype(int)


def read_picked(
    path: Path, picked: np.ndarray, *, target: tuple[int, int], fit: Fit
) -> tuple[np.ndarray, Window]:
    """Return frames of a video file at target (rows, columns), (T, H, W, 3) uint8, and the window that they show.

    Raises:
        LyraSimError: The file cannot be read, or its frames are too small, too large or fewer than it says.
    """
    wanted, found = set(picked.tolist()), {}
    window = None
    for number, frame in enumerate(read_video(path)):
        if number in wanted:
            if window is None:
                _require_size(path, frame)
                window = Window.of(frame.shape[:2], target, fit)
            found[number] = resized(frame, window)
        if number >= picked[-1]:
            break
    if window is None or len(found) < len(wanted):
        raise LyraSimError(
            f"{path}: ends before frame {picked[-1]}; give --video-frames within what it holds"
        )
    return np.stack([found[number] for number in picked.tolist()]), window


def resized(frame: np.ndarray, window: Window) -> np.ndarray:
    """Return the window of a frame (H, W, 3) uint8 at its target size."""
    height, width = window.target
    picture = Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC, box=window.box)
    return np.asarray(picture)


def hash_of(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of files, one after another; raises LyraSimError when one cannot be read."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise LyraSimError(f"{path}: cannot be read ({error.strerror or error})") from error
    return digest.hexdigest()


def _require_size(path: Path, frame: np.ndarray) -> None:
    height, width = frame.shape[:2]
    if min(height, width) < MIN_SIDE or height * width > MAX_PIXELS:
        raise LyraSimError(
            f"{path}: has frames of {width}x{height} px; at least {MIN_SIDE} px along each side are needed, and at "
            f"most {MAX_PIXELS / 1e6:.0f} million"
        )
