"""Frames of the truth, brought to the size that they are judged at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from lyra_sim.errors import LyraSimError

VIDEO_SUFFIXES = (".mp4", ".mov", ".webm", ".mkv", ".avi")


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as sRGB in [0, 1], (H, W, 3) float32; transparency shows white.

    Raises:
        LyraSimError: The file is missing or no picture.
    """
    try:
        with Image.open(path) as picture:
            rgba = picture.convert("RGBA")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise LyraSimError(f"{path}: cannot be read as a picture ({error})") from error
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"), np.float32) / 255


def cover(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize an image so that it covers a size, bilinearly without antialiasing, and crop it to its centre."""
    import torch
    import torch.nn.functional as F

    scale = max(height / image.shape[0], width / image.shape[1])
    size = (max(round(image.shape[0] * scale), height), max(round(image.shape[1] * scale), width))
    if size != image.shape[:2]:
        tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
        image = F.interpolate(tensor, size, mode="bilinear")[0].permute(1, 2, 0).numpy()
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def undistort(image: np.ndarray, intrinsics: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Return what a pinhole camera with the same fx, fy, cx, cy [px] would have seen.

    Args:
        image: (H, W, 3).
        intrinsics: fx, fy, cx, cy [px], pixel centres at +0.5.
        distortion: k1, k2, p1, p2 of OpenCV's radial and tangential model.
    """
    from scipy.ndimage import map_coordinates

    fx, fy, cx, cy = intrinsics
    k1, k2, p1, p2 = distortion
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    x, y = (columns - cx) / fx, (rows - cy) / fy
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2 * r2
    bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    bent_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    places = np.stack([bent_y * fy + cy, bent_x * fx + cx]) - 0.5
    channels = [map_coordinates(image[..., c], places, order=1, mode="nearest") for c in range(3)]
    return np.stack(channels, axis=-1)
