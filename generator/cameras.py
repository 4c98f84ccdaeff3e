"""Pinhole cameras and rigid transforms (OpenCV axes: x right, y down, z forward)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Cameras:
    """Hold F pinhole cameras that share an image size."""

    c2w: np.ndarray
    """Camera-to-world poses, OpenCV axes, (F, 4, 4) float64."""
    intrinsics: np.ndarray
    """fx, fy, cx, cy [px], pixel centres at +0.5, (F, 4) float64."""
    height: int
    width: int

    def __len__(self) -> int:
        return len(self.c2w)

    @property
    def w2c(self) -> np.ndarray:
        """World-to-camera poses, OpenCV axes, (F, 4, 4)."""
        return invert_rigid(self.c2w)

    @classmethod
    def joined(cls, parts: Iterable[Cameras]) -> Cameras:
        """Return the cameras of all parts, one after another; the image size is that of the first."""
        parts = list(parts)
        c2w = np.concatenate([part.c2w for part in parts])
        intrinsics = np.concatenate([part.intrinsics for part in parts])
        return cls(c2w, intrinsics, parts[0].height, parts[0].width)

    def select(self, index: Any) -> Cameras:
        """Return the cameras that a slice or index array picks."""
        return Cameras(self.c2w[index], self.intrinsics[index], self.height, self.width)

    def resized(self, height: int, width: int) -> Cameras:
        """Return the cameras of the same pictures squeezed or stretched to another size."""
        scale = np.array([width / self.width, height / self.height] * 2)
        return Cameras(self.c2w, self.intrinsics * scale, height, width)

    def cropped(self, top: int, left: int, height: int, width: int) -> Cameras:
        """Return the cameras of the window whose upper left pixel is (`top`, `left`)."""
        return Cameras(self.c2w, self.intrinsics - np.array([0.0, 0.0, left, top]), height, width)

    def relative_to_first(self) -> Cameras:
        """Return the cameras in the frame of the first one, whose pose becomes the identity."""
        return Cameras(relative_to_first(self.c2w), self.intrinsics, self.height, self.width)


def invert_rigid(poses: np.ndarray) -> np.ndarray:
    """Return the inverses of rigid transforms, (..., 4, 4), without a general matrix inversion."""
    inverse = np.zeros_like(poses)
    rotation = np.swapaxes(poses[..., :3, :3], -1, -2)
    inverse[..., :3, :3] = rotation
    inverse[..., :3, 3] = -np.einsum("...ij,...j->...i", rotation, poses[..., :3, 3])
    inverse[..., 3, 3] = 1.0
    return inverse


def relative_to_first(c2w: np.ndarray) -> np.ndarray:
    """Return camera-to-world poses, (F, 4, 4), in the frame of the first camera (Lyra's canonical frame)."""
    return invert_rigid(c2w[0]) @ c2w
