"""Cameras and the camera paths of the teacher (OpenCV axes: x right, y down, z forward)."""

from __future__ import annotations

from dataclasses import dataclass

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

    def select(self, index: object) -> Cameras:
        """Return the cameras that a slice or index array picks."""
        return Cameras(self.c2w[index], self.intrinsics[index], self.height, self.width)
