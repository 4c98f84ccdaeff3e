"""Pictures, depth maps and lenses for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from generator.teachers.conditioning import Picture


def gradient(height: int = 60, width: int = 100) -> np.ndarray:
    """Return a picture whose red grows to the right, green downwards and blue is 90, uint8."""
    rgb = np.full((height, width, 3), 90, np.uint8)
    rgb[..., 0] = np.linspace(0, 255, width).round()
    rgb[..., 1] = np.linspace(0, 255, height).round()[:, None]
    return rgb


def write_depth_png(path: Path, metres: np.ndarray) -> Path:
    """Write z-depth [m] as the 16-bit millimetres of a depth camera."""
    Image.fromarray((metres * 1000).round().astype(np.uint16)).save(path)
    return path


def room_depth(
    height: int,
    width: int,
    *,
    focal: float,
    camera_height: float = 1.2,
    wall: float = 4.0,
    pitch: float = 0.0,
) -> np.ndarray:
    """Return z-depth [m] of a floor and a wall seen by a camera that looks down by `pitch` degrees."""
    y = np.broadcast_to((np.arange(height)[:, None] + 0.5 - height / 2) / focal, (height, width))
    cos, sin = np.cos(np.radians(pitch)), np.sin(np.radians(pitch))
    down, ahead = cos * y + sin, cos - sin * y
    with np.errstate(divide="ignore"):
        floor = np.where(down > 1e-6, camera_height / down, np.inf)
    return np.minimum(floor, wall / np.maximum(ahead, 1e-6)).astype(np.float32)


def room_picture(height: int = 64, width: int = 112, **room: float) -> Picture:
    """Return a conditioning picture of `room_depth` with textured colours."""
    focal = 0.8 * width
    rng = np.random.default_rng(3)
    rgb = np.clip(gradient(height, width) + rng.integers(-30, 30, (height, width, 3)), 0, 255).astype(
        np.uint8
    )
    picture = Picture(
        rgb, None, np.array([focal, focal, width / 2, height / 2]), {"intrinsics_from": "given"}
    )
    return picture.with_depth(room_depth(height, width, focal=focal, **room), metric=True)
