"""Move Gaussians and meshes between frames, spherical harmonics included."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from lyra_sim.gaussians import Gaussians

_C1 = 0.4886025119029199
_C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
_C3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)
AXES = {
    sign + name: direction * np.eye(3)[index]
    for sign, direction in (("", 1.0), ("-", -1.0))
    for index, name in enumerate("xyz")
}
"""Unit vectors by name, such as `z` and `-y`."""


@dataclass(frozen=True)
class Similarity:
    """Map points p of one frame to scale * rotation @ p + translation of another."""

    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    """Proper rotation, (3, 3) float64."""
    translation: np.ndarray = field(default_factory=lambda: np.zeros(3))
    """Translation in the target frame [m], (3,) float64."""
    scale: float = 1.0
    """Uniform scale, > 0."""

    def points(self, points: np.ndarray) -> np.ndarray:
        """Return points (N, 3) in the target frame, float32."""
        if self.is_identity:
            return points.astype(np.float32, copy=False)
        return (points @ (self.scale * self.rotation.T) + self.translation).astype(np.float32)

    def gaussians(self, gaussians: Gaussians) -> Gaussians:
        """Return Gaussians in the target frame; their colours turn with them."""
        if self.is_identity:
            return gaussians
        turned = gaussians
        if not np.array_equal(self.rotation, np.eye(3)):
            rotations = multiply_quaternions(
                quaternion(self.rotation), gaussians.rotations.astype(np.float64)
            )
            rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
            turned = replace(
                turned, rotations=rotations.astype(np.float32), sh=rotate_sh(gaussians.sh, self.rotation)
            )
        scales = gaussians.scales if self.scale == 1.0 else (gaussians.scales * self.scale).astype(np.float32)
        return replace(turned, means=self.points(gaussians.means.astype(np.float64)), scales=scales)

    def then(self, after: Similarity) -> Similarity:
        """Return the map that applies this one first and `after` second."""
        return Similarity(
            after.rotation @ self.rotation,
            after.scale * after.rotation @ self.translation + after.translation,
            after.scale * self.scale,
        )

    @property
    def inverse(self) -> Similarity:
        """The map back."""
        back = self.rotation.T / self.scale
        return Similarity(self.rotation.T, -back @ self.translation, 1.0 / self.scale)

    @property
    def is_identity(self) -> bool:
        """Whether nothing moves."""
        same = self.scale == 1.0 and not self.translation.any()
        return bool(same and np.array_equal(self.rotation, np.eye(3)))


def rotation_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the smallest rotation (3, 3) that turns direction `source` into `target`, (3,) each."""
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    cosine = float(a @ b)
    if cosine < -1 + 1e-9:
        # Half a turn about any axis across; the one nearest to x keeps pictures of y-down scenes as they were.
        axis = np.eye(3)[0] - a[0] * a if abs(a[0]) < 0.9 else np.eye(3)[1] - a[1] * a
        axis /= np.linalg.norm(axis)
        return 2 * np.outer(axis, axis) - np.eye(3)
    v = np.cross(a, b)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + k + k @ k / (1 + cosine)


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """Return the unit quaternion wxyz of a rotation (3, 3)."""
    r = rotation
    # The outer product of the quaternion with itself; its largest column is the safe one to take.
    outer = 0.25 * np.array(
        [
            [1 + r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], 1 + r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], 1 - r[0, 0] + r[1, 1] - r[2, 2], r[1, 2] + r[2, 1]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], 1 - r[0, 0] - r[1, 1] + r[2, 2]],
        ]
    )
    column = outer[:, int(np.argmax(np.diag(outer)))]
    return column / np.linalg.norm(column)


def multiply_quaternions(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the Hamilton products a * b of quaternions wxyz, a (4,) and b (N, 4)."""
    w, x, y, z = a
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return b @ left.T


def sh_basis(directions: np.ndarray, degree: int) -> np.ndarray:
    """Return the real spherical harmonics of 3DGS at unit directions (N, 3), shape (N, (degree + 1)^2)."""
    x, y, z = directions.T
    columns = [np.full(len(directions), 0.28209479177387814)]
    if degree > 0:
        columns += [-_C1 * y, _C1 * z, -_C1 * x]
    if degree > 1:
        terms = (x * y, y * z, 2 * z * z - x * x - y * y, x * z, x * x - y * y)
        columns += [c * t for c, t in zip(_C2, terms, strict=True)]
    if degree > 2:
        five = 4 * z * z - x * x - y * y
        terms3 = (
            y * (3 * x * x - y * y),
            x * y * z,
            y * five,
            z * (2 * z * z - 3 * x * x - 3 * y * y),
            x * five,
            z * (x * x - y * y),
            x * (x * x - 3 * y * y),
        )
        columns += [c * t for c, t in zip(_C3, terms3, strict=True)]
    return np.stack(columns, axis=1)


def rotate_sh(sh: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Return coefficients (N, K, 3) such that the colour seen along `rotation` @ d is the one seen along d."""
    degree = round(sh.shape[1] ** 0.5) - 1
    if degree == 0:
        return sh
    directions = np.random.default_rng(0).normal(size=(64, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    result = sh.copy()
    # Harmonics of one degree turn among themselves; the matrix follows from their values in enough directions.
    for band in range(1, degree + 1):
        part = slice(band**2, (band + 1) ** 2)
        here = sh_basis(directions, degree)[:, part]
        there = sh_basis(directions @ rotation, degree)[:, part]
        matrix = np.linalg.lstsq(here, there, rcond=None)[0]
        result[:, part] = np.einsum("ij,njc->nic", matrix, sh[:, part]).astype(np.float32)
    return result


def with_sh_degree(gaussians: Gaussians, degree: int) -> Gaussians:
    """Return the Gaussians with coefficients dropped, or zeros appended, to reach `degree`."""
    if degree == gaussians.sh_degree:
        return gaussians
    sh = np.zeros((len(gaussians), (degree + 1) ** 2, 3), np.float32)
    kept = min(sh.shape[1], gaussians.sh.shape[1])
    sh[:, :kept] = gaussians.sh[:, :kept]
    return replace(gaussians, sh=sh)
