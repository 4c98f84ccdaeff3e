"""The Gaussians of a scene, as numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lyra_sim.errors import LyraSimError

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

    def select(self, index: np.ndarray | slice) -> Gaussians:
        """Return the Gaussians that a boolean mask, an index array or a slice picks."""
        return Gaussians(
            self.means[index],
            self.scales[index],
            self.rotations[index],
            self.opacities[index],
            self.sh[index],
        )

    def checked(self, source: str) -> Gaussians:
        """Return self after checking counts, finiteness and ranges; `source` names it in the error.

        Raises:
            LyraSimError: There are no Gaussians, the arrays disagree in length, values are not finite, or a
                scale, opacity or quaternion is out of range.
        """
        count, coefficients = len(self.means), self.sh.shape[1] if self.sh.ndim == 3 else 0
        shapes = {"means": (count, 3), "scales": (count, 3), "rotations": (count, 4), "opacities": (count,)}
        shapes["sh"] = (count, coefficients, 3)
        if not count:
            raise LyraSimError(f"{source} holds no Gaussians")
        if coefficients not in (1, 4, 9, 16):
            raise LyraSimError(
                f"{source}: {coefficients} SH coefficients per Gaussian; 1, 4, 9 or 16 make sense"
            )
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise LyraSimError(f"{source}: {name} has shape {array.shape}, expected {shape}")
            # The sum of squares is not finite as soon as one value is not; only then is it worth looking closer.
            with np.errstate(invalid="ignore", over="ignore"):
                suspect = not np.isfinite(np.vdot(array, array))
            bad = (~np.isfinite(array)).reshape(count, -1).any(axis=1).sum() if suspect else 0
            if bad:
                raise LyraSimError(f"{source}: {bad} of {count} Gaussians have {name} that are not finite")
        if self.scales.min() <= 0:
            raise LyraSimError(
                f"{source}: {int((self.scales <= 0).any(axis=1).sum())} scales are not positive"
            )
        if self.opacities.min() < 0 or self.opacities.max() > 1:
            raise LyraSimError(f"{source}: opacities reach outside 0 to 1")
        squared = squared_lengths(self.rotations)
        if squared.min() < 1 - 1e-3 or squared.max() > 1 + 1e-3:
            raise LyraSimError(f"{source}: quaternions are not of unit length")
        return self


def squared_lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the squared lengths (N,) of vectors (N, K), column by column, which is fastest for a small K."""
    total = np.square(vectors[:, 0])
    for i in range(1, vectors.shape[1]):
        total += np.square(vectors[:, i])
    return total
