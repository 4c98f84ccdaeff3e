"""Read the frames of video files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lyra_sim.errors import LyraSimError

USUAL_RATE = 24.0
"""Frames per second of a video that does not say."""

if TYPE_CHECKING:
    from av.container import InputContainer


def read_video(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames of a video as sRGB, (H, W, 3) uint8, one at a time.

    Raises:
        LyraSimError: PyAV is not installed, or the file is missing, damaged or holds no frame.
    """
    empty = True
    with _opened(path) as container:
        for frame in container.decode(video=0):
            empty = False
            yield frame.to_ndarray(format="rgb24")
    if empty:
        raise LyraSimError(f"{path}: holds no frame")


@dataclass(frozen=True)
class VideoFacts:
    """Hold what a video's container says of it."""

    frames: int
    """Number of frames."""
    frames_per_second: float
    """Average frame rate [1/s]."""


def facts_of(path: Path) -> VideoFacts:
    """Return length and frame rate of a video: what its container says, else by decoding it; raises as `read_video`."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        stated, rate = stream.frames, float(stream.average_rate or stream.guessed_rate or USUAL_RATE)
    return VideoFacts(stated or sum(1 for _ in read_video(path)), rate)


def count_frames(path: Path) -> int:
    """Return how many frames a video holds; see `facts_of`."""
    return facts_of(path).frames


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """Open a video, and say in one line what goes wrong with it."""
    try:
        import av
    except ImportError:
        raise LyraSimError(f"{path}: reading videos needs `pip install av`") from None
    try:
        with av.open(str(path)) as container:
            yield container
    except (OSError, ValueError, IndexError, av.error.FFmpegError) as error:
        raise LyraSimError(f"{path}: cannot be read as a video ({str(error)[:120]})") from None
