"""Intrinsics of a picture as robots and calibration tools write them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lyra_sim.errors import LyraSimError

USUAL_FIELD = 65.0
"""Field of view [degrees] along the longer side that is assumed of a picture that says nothing."""
_CENTER_SHIFT = 0.5
"""OpenCV and ROS count pixel centres from 0, this project from 0.5."""
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Lens:
    """Hold the intrinsics of a picture of a certain size."""

    values: np.ndarray
    """fx, fy, cx, cy [px], pixel centres at +0.5, (4,) float64."""
    size: tuple[int, int] | None
    """Height and width [px] of the pictures that they are for; None when not stated."""
    distorted: bool = False
    """Whether the file lists lens distortion, which is not modelled."""

    def scaled_to(self, height: int, width: int, *, where: str) -> np.ndarray:
        """Return fx, fy, cx, cy [px] for a picture of this size.

        Raises:
            LyraSimError: The lens is for pictures of another shape, or no camera could have it.
        """
        values = self.values
        if self.size is not None and self.size != (height, width):
            scale = width / self.size[1]
            if abs(height / self.size[0] / scale - 1) > 0.01:
                raise LyraSimError(
                    f"{where}: is for {self.size[1]}x{self.size[0]} px, but the picture has {width}x{height}"
                )
            values = values * scale
        fx, fy, cx, cy = (float(v) for v in values)
        field = 2 * math.degrees(math.atan(width / 2 / fx)) if fx > 0 and math.isfinite(fx) else math.nan
        if not (3 <= field <= 170 and 0.5 <= fx / fy <= 2):
            raise LyraSimError(
                f"{where}: fx {fx:g} and fy {fy:g} px cannot be right for a picture of {width}x{height} px"
            )
        if not (0 < cx < width and 0 < cy < height):
            raise LyraSimError(
                f"{where}: principal point {cx:g}, {cy:g} px lies outside of the picture of {width}x{height} px"
            )
        return values


def usual_lens(height: int, width: int, *, focal: float | None = None) -> np.ndarray:
    """Return fx, fy, cx, cy [px] for a focal length [px], or for the usual field of view."""
    if focal is None:
        focal = max(height, width) / 2 / math.tan(math.radians(USUAL_FIELD) / 2)
    return np.array([focal, focal, width / 2, height / 2])


def read_lens(text: str) -> Lens:
    """Read `fx,fy,cx,cy` (pixel centres at whole numbers, as OpenCV and ROS count), or a JSON or YAML file.

    Files may be a `sensor_msgs/CameraInfo`, what `camera_calibration` writes, Open3D's intrinsics, a nerfstudio
    `transforms.json`, or plain fx, fy, cx, cy with width and height.

    Raises:
        LyraSimError: The text or file holds no intrinsics.
    """
    parts = text.split(",")
    if len(parts) == 4:
        values = _floats(parts)
        if values is None:
            raise LyraSimError(f"--intrinsics {text}: must be four numbers fx,fy,cx,cy, or a file")
        return Lens(values + np.array([0, 0, _CENTER_SHIFT, _CENTER_SHIFT]), None)
    path = Path(text)
    if path.suffix.lower() not in (".json", ".yaml", ".yml"):
        raise LyraSimError(f"--intrinsics {text}: must be fx,fy,cx,cy, or a .json or .yaml file")
    return lens_of(_document(path), where=str(path))


def lens_of(document: object, *, where: str) -> Lens:
    """Return the lens that a decoded JSON or YAML document describes; see `read_lens`."""
    if not isinstance(document, Mapping):
        raise LyraSimError(f"{where}: holds no camera intrinsics")
    info = document.get("camera_info", document)
    info = info if isinstance(info, Mapping) else document
    size = _size(info)
    coefficients = _flat(_first(info, "d", "D", "distortion_coefficients"))
    distorted = coefficients is not None and bool(np.abs(coefficients).max(initial=0) > 1e-6)
    matrix = _flat(_first(info, "k", "K", "camera_matrix", "intrinsic_matrix"))
    shift = np.array([0, 0, _CENTER_SHIFT, _CENTER_SHIFT])
    if matrix is not None and len(matrix) == 9:
        m = matrix.reshape(3, 3)
        # Open3D writes columns first; the principal point tells which way it is.
        m = m.T if abs(m[2, 0]) > 1e-9 or abs(m[2, 1]) > 1e-9 else m
        return Lens(np.array([m[0, 0], m[1, 1], m[0, 2], m[1, 2]]) + shift, size, distorted)
    for names, offset in ((("fx", "fy", "cx", "cy"), shift), (("fl_x", "fl_y", "cx", "cy"), 0 * shift)):
        values = _floats([info.get(name) for name in names])
        if values is not None:
            return Lens(values + offset, size, distorted)
    raise LyraSimError(
        f"{where}: holds no intrinsics; expected K of a sensor_msgs/CameraInfo, camera_matrix, or fx, fy, cx, cy"
    )


def _document(path: Path) -> object:
    try:
        data = path.read_bytes()
        if len(data) > _MAX_BYTES:
            raise LyraSimError(f"{path}: is too large to be camera intrinsics ({len(data)} bytes)")
        if path.suffix.lower() == ".json":
            return json.loads(data)
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, yaml.SafeLoader)):
            raise LyraSimError(f"{path}: YAML aliases are not read, since they can unfold without end")
        # `ros2 topic echo` ends every message with a separator, which makes more than one document.
        return next(iter(yaml.safe_load_all(data)), None)
    except OSError as error:
        raise LyraSimError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise LyraSimError(f"{path}: cannot be parsed ({error})") from error


def _first(info: Mapping[str, Any], *names: str) -> object:
    return next((info[name] for name in names if name in info), None)


def _flat(value: object) -> np.ndarray | None:
    """Return the numbers of a list, of a nested list, or of a mapping with `data`."""
    if isinstance(value, Mapping):
        value = value.get("data")
    try:
        numbers = np.asarray(value, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        return None
    return numbers if np.isfinite(numbers).all() else None


def _floats(values: list[Any]) -> np.ndarray | None:
    try:
        numbers = np.array([float(v) for v in values])
    except (TypeError, ValueError):
        return None
    return numbers if np.isfinite(numbers).all() else None


def _size(info: Mapping[str, Any]) -> tuple[int, int] | None:
    for names in (("height", "width"), ("image_height", "image_width"), ("h", "w")):
        values = _floats([info.get(name) for name in names])
        if values is not None and (values >= 1).all():
            return int(values[0]), int(values[1])
    return None
