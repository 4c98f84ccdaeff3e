"""Camera poses in files: nerfstudio's `transforms.json` (OpenGL axes) and TUM trajectories (OpenCV axes)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from generator.cameras import Cameras
from lyra_sim.atomic import atomic_path
from lyra_sim.errors import LyraSimError

_FLIP_Y_Z = np.diag([1.0, -1.0, -1.0, 1.0])
"""Turns OpenGL camera axes (y up, z backward) into OpenCV's (y down, z forward), and back."""
_PINHOLE_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE")
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
_RADIAL_TANGENTIAL = ("k1", "k2", "p1", "p2")


@dataclass(frozen=True)
class PosedFrames:
    """Hold cameras and the files that were seen from them, as `transforms.json` lists them."""

    cameras: Cameras
    file_paths: tuple[str, ...] = ()
    """Pictures, relative to the file; empty, or one per camera."""
    depth_file_paths: tuple[str, ...] = ()
    """Depth maps, relative to the file; empty, or one per camera."""
    splits: tuple[str, ...] = ()
    """Part of the data that a frame belongs to (`input`, `held_out`); empty, or one per camera."""
    distortion: tuple[float, ...] = ()
    """k1, k2, p1, p2 of the pictures' lens (OpenCV); empty for pinhole pictures."""


def write_transforms(path: Path, frames: PosedFrames, *, extra: dict[str, Any] | None = None) -> None:
    """Write `transforms.json`, whole or not at all, with `extra` entries at its top.

    Raises:
        LyraSimError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(transforms_dict(frames, extra=extra), indent=1))


def transforms_dict(frames: PosedFrames, *, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what `transforms.json` holds: nerfstudio's names, camera-to-world matrices in OpenGL axes."""
    cameras, entries = frames.cameras, camera_entries(frames.cameras)
    listed = {
        "file_path": frames.file_paths,
        "depth_file_path": frames.depth_file_paths,
        "split": frames.splits,
    }
    for key, values in listed.items():
        if values:
            entries = [{key: value, **entry} for entry, value in zip(entries, values, strict=True)]
    head = {"camera_model": "OPENCV", "w": cameras.width, "h": cameras.height}
    return {**head, **(extra or {}), "frames": entries}


def camera_entries(cameras: Cameras) -> list[dict[str, Any]]:
    """Return what `transforms.json` says about each camera: its lens, and its pose in OpenGL axes."""
    entries: list[dict[str, Any]] = [
        dict(zip(("fl_x", "fl_y", "cx", "cy"), values, strict=True)) for values in cameras.intrinsics.tolist()
    ]
    for entry, matrix in zip(entries, cameras.c2w @ _FLIP_Y_Z, strict=True):
        entry["transform_matrix"] = matrix.tolist()
    return entries


def read_transforms(path: Path, *, bent: bool = False) -> PosedFrames:
    """Read the cameras of a `transforms.json` in the order of its frames.

    Intrinsics may stand at the top or in every frame, and `camera_angle_x` may stand for the focal length.

    Args:
        path: The file.
        bent: Whether a lens with k1, k2, p1, p2, the same for all frames, is taken too.

    Raises:
        LyraSimError: The file is missing or not as nerfstudio writes it, a pose is not rigid, pictures differ in
            size, or the lens is not a pinhole (or such a lens).
    """
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LyraSimError(f"{path}: cannot be read as JSON ({error})") from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(f, dict) for f in frames):
        raise LyraSimError(f"{path}: has no list 'frames'; it must be a nerfstudio transforms.json")
    entries = [{**document, **frame} for frame in frames]
    sizes = {(_number(path, e, "h"), _number(path, e, "w")) for e in entries}
    if len(sizes) != 1:
        raise LyraSimError(f"{path}: pictures differ in size; resize them to one size first")
    _require_pinhole(path, entries, besides=_RADIAL_TANGENTIAL if bent else ())
    height, width = (int(side) for side in sizes.pop())
    intrinsics = np.array([_intrinsics(path, e, height, width) for e in entries])
    c2w = np.stack([_pose(path, e.get("transform_matrix"), f"frame {i}") for i, e in enumerate(entries)])
    pictures, depths, splits = (
        tuple(str(e[n]) for e in entries) if all(n in e for e in entries) else ()
        for n in ("file_path", "depth_file_path", "split")
    )
    lenses = {tuple(float(e.get(k) or 0.0) for k in _RADIAL_TANGENTIAL) for e in entries}
    if len(lenses) != 1:
        raise LyraSimError(
            f"{path}: frames have different lenses; undistort the pictures to a pinhole camera"
        )
    lens = lenses.pop()
    cameras = Cameras(c2w @ _FLIP_Y_Z, intrinsics, height, width)
    return PosedFrames(cameras, pictures, depths, splits, lens if any(lens) else ())


def read_tum(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a TUM trajectory: lines of `timestamp tx ty tz qx qy qz qw`, comments after `#`.

    Returns:
        Timestamps [s], (F,), and camera-to-world poses, OpenCV axes, (F, 4, 4) float64.

    Raises:
        LyraSimError: The file is missing, or a line is not such a pose.
    """
    try:
        lines = [line.split("#")[0].split() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise LyraSimError(f"{path}: cannot be read as text ({error})") from error
    numbered = [(i, fields) for i, fields in enumerate(lines, start=1) if fields]
    if not numbered:
        raise LyraSimError(f"{path}: holds no pose; expected lines 'timestamp tx ty tz qx qy qz qw'")
    rows = np.array([_tum_row(path, i, fields) for i, fields in numbered])
    c2w = np.tile(np.eye(4), (len(rows), 1, 1))
    c2w[:, :3, :3] = Rotation.from_quat(rows[:, 4:]).as_matrix()
    c2w[:, :3, 3] = rows[:, 1:4]
    return rows[:, 0], c2w


def _tum_row(path: Path, line: int, fields: list[str]) -> list[float]:
    try:
        row = [float(f) for f in fields]
    except ValueError:
        row = []
    if len(row) != 8 or not all(map(math.isfinite, row)) or math.hypot(*row[4:]) < 1e-6:
        raise LyraSimError(f"{path}, line {line}: is not 'timestamp tx ty tz qx qy qz qw'")
    return row


def _intrinsics(path: Path, entry: dict[str, Any], height: int, width: int) -> list[float]:
    """Return fx, fy, cx, cy [px]; the centre of the picture stands in for a missing principal point."""
    if "fl_x" not in entry and "camera_angle_x" in entry:
        fx = width / 2 / math.tan(_number(path, entry, "camera_angle_x") / 2)
    else:
        fx = _number(path, entry, "fl_x")
    fy = _number(path, entry, "fl_y") if "fl_y" in entry else fx
    centre = {"cx": width / 2, "cy": height / 2, **entry}
    return [fx, fy, _number(path, centre, "cx", positive=False), _number(path, centre, "cy", positive=False)]


def _number(path: Path, entry: dict[str, Any], key: str, *, positive: bool = True) -> float:
    value = entry.get(key)
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not math.isfinite(number) or (positive and number <= 0):
        raise LyraSimError(f"{path}: {key} must be a {'positive ' * positive}number, not {value!r}")
    return number


def _pose(path: Path, matrix: object, where: str) -> np.ndarray:
    try:
        pose = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        pose = np.empty(0)
    if pose.shape not in ((4, 4), (3, 4)) or not np.isfinite(pose).all():
        raise LyraSimError(f"{path}: transform_matrix of {where} is not a 4x4 matrix of numbers")
    rotation = pose[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
        raise LyraSimError(f"{path}: transform_matrix of {where} is not rigid; remove its scale or mirroring")
    return np.vstack([pose[:3], [0.0, 0.0, 0.0, 1.0]])


def _require_pinhole(path: Path, entries: list[dict[str, Any]], *, besides: tuple[str, ...]) -> None:
    for entry in entries:
        model = entry.get("camera_model", "OPENCV")
        bent = [k for k in _DISTORTION if entry.get(k) and k not in besides]
        if model not in _PINHOLE_MODELS or bent:
            lens = f"distortion {', '.join(bent)}" if bent else f"camera model {model}"
            raise LyraSimError(f"{path}: {lens} is not supported; undistort the pictures to a pinhole camera")
