"""View-dependent colour: spherical harmonics of 3D Gaussians, evaluated for one camera."""

from __future__ import annotations

import numpy as np

from lyra_sim.gaussians import Gaussians
from lyra_sim.transform import sh_basis

_CHUNK = 1 << 14
"""Gaussians per step: few enough that what is computed for them stays in the cache."""


def view_colors(gaussians: Gaussians, eye: np.ndarray) -> np.ndarray:
    """Return the colours seen from `eye`, (N, 3) float32, negative values raised to 0 (Kerbl et al. 2023).

    Args:
        gaussians: the scene, harmonics of any degree.
        eye: centre of the camera in the scene's frame [m], (3,).
    """
    if gaussians.sh_degree == 0:
        return np.maximum(gaussians.rgb.astype(np.float32, copy=False), 0)
    colors = np.empty((len(gaussians), 3), np.float32)
    for begin in range(0, len(gaussians), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        toward = gaussians.means[part] - eye.astype(np.float32)
        length = np.linalg.norm(toward, axis=1, keepdims=True)
        basis = sh_basis(toward / np.maximum(length, np.float32(1e-12)), gaussians.sh_degree)
        colors[part] = np.einsum("nk,nkc->nc", basis.astype(np.float32), gaussians.sh[part]) + 0.5
    return np.maximum(colors, 0, out=colors)
