"""The Gaussians of a scene, as numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SH_C0 = 0.28209479177387814
"""Value of the degree-0 spherical harmonic: colour = 0.5 + SH_C0 * dc."""


@dataclass(frozen=True)
class Gaussians:
    """Hold N 3D Gaussians in one frame, activated (nothing is stored as log or logit)."""

    means: np.ndarray
    """Centres [m], (N, 3) float32."""
    scales: np.ndarray
    """Standard deviations along the local axes [m], > 0, (N, 3) float32."""
    rotations: np.ndarray
    """Unit quaternions wxyz, local axes to the frame of `means`, (N, 4) float32."""
    opacities: np.ndarray
    """Opacities in [0, 1], (N,) float32."""
    sh: np.ndarray
    """Spherical-harmonic coefficients, degree-0 first, (N, (degree + 1)^2, 3) float32, display-referred sRGB."""

    @classmethod
    def from_rgb(
        cls,
        means: np.ndarray,
        scales: np.ndarray,
        rotations: np.ndarray,
        opacities: np.ndarray,
        rgb: np.ndarray,
    ) -> Gaussians:
        """Make Gaussians of one colour per splat; `rgb` is sRGB in [0, 1], (N, 3)."""
        return cls(means, scales, rotations, opacities, ((rgb - 0.5) / SH_C0)[:, None, :].astype(np.float32))

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return round(self.sh.shape[1] ** 0.5) - 1

    @property
    def rgb(self) -> np.ndarray:
        """View-independent colour, sRGB, not clamped, (N, 3)."""
        return self.sh[:, 0] * SH_C0 + 0.5

    def select(self, index: np.ndarray) -> Gaussians:
        """Return the Gaussians that a boolean mask or an index array picks."""
        return Gaussians(
            self.means[index],
            self.scales[index],
            self.rotations[index],
            self.opacities[index],
            self.sh[index],
        )
