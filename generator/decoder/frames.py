"""Fit images, depth and intrinsics of a data set to the network's image size, and pick frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

VIEW_ORDER = ("5", "0", "1", "2", "3", "4")
"""Folders of the six trajectories in the order of the published demos: the spiral comes first."""

PATH_NAMES = {"0": "left", "1": "right", "2": "up", "3": "zoom_out", "4": "zoom_in", "5": "clockwise"}
"""Trajectories by the published folder names."""


def crop_size(source: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of the largest centred region of `source` with the aspect of `target`."""
    scale = min(source[0] / target[0], source[1] / target[1])
    return int(target[0] * scale), int(target[1] * scale)


def fit_images(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Crop (F, C, H, W) images to the aspect of `size` and resize them, bilinear with antialiasing."""
    cropped = _centre_crop(images, size)
    return F.interpolate(cropped, size, mode="bilinear", align_corners=False, antialias=True)


def fit_depths(depths: Tensor, size: tuple[int, int]) -> Tensor:
    """Clean, crop and resize (nearest) z-depths (F, 1, H, W): what is not finite or not > 0 becomes 0."""
    clean = torch.where(torch.isfinite(depths) & (depths > 0), depths, 0.0)
    return F.interpolate(_centre_crop(clean, size), size, mode="nearest")


def fit_intrinsics(intrinsics: Tensor, source: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Return fx, fy, cx, cy [px] (..., 4) of the images that `fit_images` makes of `source`-sized ones."""
    crop = crop_size(source, size)
    scale = intrinsics.new_tensor([size[1] / crop[1], size[0] / crop[0]])
    shift = intrinsics.new_tensor([(crop[1] - source[1]) / 2, (crop[0] - source[0]) / 2])
    return torch.cat([intrinsics[..., :2] * scale, (intrinsics[..., 2:] + shift) * scale], dim=-1)


def _centre_crop(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut the centred region with the aspect of `size` out of (F, C, H, W) images."""
    source = (images.shape[-2], images.shape[-1])
    height, width = crop_size(source, size)
    top, left = round((source[0] - height) / 2), round((source[1] - width) / 2)
    return images[..., top : top + height, left : left + width]


def mirror_indices(wanted: int, available: int) -> list[int]:
    """Return `wanted` frame indices that run through `available` frames to and fro: 0 1 2 1 0 1 ..."""
    period = max(2 * (available - 1), 1)
    return [min(i % period, period - i % period) if available > 1 else 0 for i in range(wanted)]


def target_frames(frames: int, *, stride: int = 4) -> list[int]:
    """Return the frames whose cameras the published demos render: every fourth."""
    return list(range(0, frames, stride))
