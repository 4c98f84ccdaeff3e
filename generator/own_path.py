"""A camera path of one's own, resampled to the frames that the decoder takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from generator.camera_files import read_transforms, read_tum
from generator.cameras import invert_rigid, relative_to_first
from lyra_sim.errors import LyraSimError

MAX_STEP_DEGREES = 170.0
"""Turn between two poses from which on the way between them is ambiguous."""


@dataclass(frozen=True)
class OwnPath:
    """Hold a path that somebody drew or drove; a `CameraPath` like the built-in ones."""

    name: str
    """Name of its clip."""
    c2w: np.ndarray
    """Poses relative to the first, OpenCV axes, (F, 4, 4) float64, F at least 2."""
    times: np.ndarray
    """Rising times of the poses, (F,)."""
    min_distance: float = 1.0
    """A path of one's own is as long as it is; `--movement` still stretches it."""
    max_distance: float = 1.0

    def scaled(self, factor: float) -> OwnPath:
        """Return the path with its lengths multiplied by `factor`."""
        c2w = self.c2w.copy()
        c2w[:, :3, 3] *= factor
        return replace(self, c2w=c2w)

    def w2c(self, *, frames: int, distance: float, center_depth: float = 1.0) -> np.ndarray:
        """Return world-to-camera poses at `frames` even times, (frames, 4, 4); lengths times `distance`."""
        c2w = resample(self.c2w, self.times, frames)
        c2w[:, :3, 3] *= distance
        return invert_rigid(c2w)


def read_own_path(path: Path) -> OwnPath:
    """Read a nerfstudio `transforms.json` or a TUM trajectory.

    Raises:
        LyraSimError: The file cannot be used, or holds fewer than two poses.
    """
    if path.suffix.lower() == ".json":
        c2w = read_transforms(path).cameras.c2w
        times = np.arange(len(c2w), dtype=np.float64)
    else:
        times, c2w = read_tum(path)
    if len(c2w) < 2:
        raise LyraSimError(f"--cameras {path}: holds one pose; a path needs at least two")
    if not (np.diff(times) > 0).all():
        raise LyraSimError(f"--cameras {path}: times must rise from line to line")
    relative = relative_to_first(np.asarray(c2w, np.float64))
    turns = Rotation.from_matrix(relative[:-1, :3, :3]).inv() * Rotation.from_matrix(relative[1:, :3, :3])
    widest = float(np.degrees(turns.magnitude().max()))
    if widest > MAX_STEP_DEGREES:
        raise LyraSimError(
            f"--cameras {path}: turns by {widest:.0f} degrees between two poses; give more poses"
        )
    return OwnPath("cameras", relative, times)


def resample(c2w: np.ndarray, times: np.ndarray, frames: int) -> np.ndarray:
    """Return poses (frames, 4, 4) at even times: positions interpolated linearly, rotations on the shortest arc."""
    wanted = np.linspace(times[0], times[-1], frames)
    out = np.tile(np.eye(4), (frames, 1, 1))
    out[:, :3, :3] = Slerp(times, Rotation.from_matrix(c2w[:, :3, :3]))(wanted).as_matrix()
    for axis in range(3):
        out[:, axis, 3] = np.interp(wanted, times, c2w[:, axis, 3])
    return out
