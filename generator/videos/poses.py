"""The cameras of a video: a pose per frame, or poses at times, from the files that trackers write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from generator.camera_files import read_transforms, read_tum
from generator.pictures.lens import Lens
from lyra_sim.errors import LyraSimError

SLACK_SECONDS = 0.25
"""Time by which a trajectory may end before its video does; the last pose is then kept."""


@dataclass(frozen=True)
class VideoPoses:
    """Hold a pose for each frame of a video."""

    c2w: np.ndarray
    """Poses, OpenCV axes, (F, 4, 4)."""
    lenses: tuple[Lens, ...] | None
    """Lens of each frame; None where the file does not tell."""


def read_poses(path: Path, *, total: int, frames_per_second: float) -> VideoPoses:
    """Read a nerfstudio `transforms.json` with one frame per frame of the video, or a TUM trajectory.

    A TUM file with as many poses as the video has frames is taken frame by frame. Any other is taken by its times,
    counted from its first pose, which belongs to the first frame: between poses, positions are interpolated linearly
    and rotations on the shortest arc.

    Args:
        path: The file.
        total: Frames of the video.
        frames_per_second: Its frame rate.

    Raises:
        LyraSimError: The file cannot be used, or does not cover the video.
    """
    if path.suffix.lower() == ".json":
        cameras = read_transforms(path).cameras
        if len(cameras) != total:
            raise LyraSimError(
                f"--video-cameras {path}: has {len(cameras)} frames, the video {total}; give one pose per frame of it"
            )
        size = (cameras.height, cameras.width)
        return VideoPoses(cameras.c2w, tuple(Lens(values, size) for values in cameras.intrinsics))
    times, c2w = read_tum(path)
    if len(c2w) == total:
        return VideoPoses(c2w, None)
    return VideoPoses(_at_times(path, times - times[0], c2w, np.arange(total) / frames_per_second), None)


def _at_times(path: Path, times: np.ndarray, c2w: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    if len(times) < 2 or not (np.diff(times) > 0).all():
        raise LyraSimError(
            f"--video-cameras {path}: needs two poses or more, their times rising from line to line"
        )
    if wanted[-1] > times[-1] + SLACK_SECONDS:
        raise LyraSimError(
            f"--video-cameras {path}: its poses last {times[-1]:.2f} s, the video {wanted[-1]:.2f} s; give poses for "
            "all of it"
        )
    wanted = np.clip(wanted, 0, times[-1])
    out = np.tile(np.eye(4), (len(wanted), 1, 1))
    out[:, :3, :3] = Slerp(times, Rotation.from_matrix(c2w[:, :3, :3]))(wanted).as_matrix()
    for axis in range(3):
        out[:, axis, 3] = np.interp(wanted, times, c2w[:, axis, 3])
    return out
