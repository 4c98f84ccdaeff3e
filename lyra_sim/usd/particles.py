"""Gaussians as the OpenUSD schema `ParticleField3DGaussianSplat`."""

from __future__ import annotations

import numpy as np
from pxr import Gf, Usd, UsdGeom, UsdVol, Vt

from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians
from lyra_sim.usd.nurec import HALF_MOST

EXTENT_SIGMAS = 3.0
"""Renderers cull by the extent, so it reaches this many standard deviations past the centres."""

HALF_LEAST = 2.0**-24
"""Smallest positive float16, which a scale must not fall below."""


def author_particles(
    stage: Usd.Stage,
    path: str,
    gaussians: Gaussians,
    offset: tuple[float, float, float],
    *,
    half: bool = False,
) -> None:
    """Define the particle field at `path`, its local origin at `offset` [m] in the parent, in double precision.

    The SH attribute carries element size and vertex interpolation, which NVIDIA's rule VG.035 asks for. It also asks
    for the float attributes, so that it complains about their twins of `half` size.

    Raises:
        LyraSimError: A centre or a scale lies beyond what `half` holds (65 km).
    """
    field = UsdVol.ParticleField3DGaussianSplat.Define(stage, path)
    field.AddTranslateOp(UsdGeom.XformOp.PrecisionDouble).Set(Gf.Vec3d(*offset))
    harmonics = _author_half(field, gaussians) if half else _author_float(field, gaussians)
    field.CreateRadianceSphericalHarmonicsDegreeAttr(gaussians.sh_degree)
    primvar = UsdGeom.Primvar(harmonics)
    primvar.SetElementSize(gaussians.sh.shape[1])
    primvar.SetInterpolation(UsdGeom.Tokens.vertex)
    field.CreateProjectionModeHintAttr(UsdVol.Tokens.perspective)
    field.CreateSortingModeHintAttr(UsdVol.Tokens.cameraDistance)
    field.CreateExtentAttr(extent(gaussians))


def _author_float(field: UsdVol.ParticleField3DGaussianSplat, gaussians: Gaussians) -> Usd.Attribute:
    """Author the float arrays and return the attribute of the SH coefficients."""
    field.CreatePositionsAttr(vec3(gaussians.means))
    # A Vt quaternion array lies in memory as xyzw.
    xyzw = np.ascontiguousarray(gaussians.rotations[:, [1, 2, 3, 0]], np.float32)
    field.CreateOrientationsAttr(Vt.QuatfArray.FromNumpy(xyzw))
    field.CreateScalesAttr(vec3(gaussians.scales))
    field.CreateOpacitiesAttr(Vt.FloatArray.FromNumpy(np.ascontiguousarray(gaussians.opacities, np.float32)))
    return field.CreateRadianceSphericalHarmonicsCoefficientsAttr(vec3(gaussians.sh.reshape(-1, 3)))


def _author_half(field: UsdVol.ParticleField3DGaussianSplat, gaussians: Gaussians) -> Usd.Attribute:
    """Author the half twins of the arrays and return the attribute of the SH coefficients."""
    if max(np.abs(gaussians.means).max(), gaussians.scales.max()) > HALF_MOST:
        raise LyraSimError("half precision holds lengths up to 65 km; rescale the scene or leave --half out")
    field.CreatePositionshAttr(_vec3h(gaussians.means))
    xyzw = np.ascontiguousarray(gaussians.rotations[:, [1, 2, 3, 0]], np.float16)
    field.CreateOrientationshAttr(Vt.QuathArray.FromNumpy(xyzw))
    field.CreateScaleshAttr(_vec3h(np.maximum(gaussians.scales, HALF_LEAST)))
    field.CreateOpacitieshAttr(Vt.HalfArray.FromNumpy(np.ascontiguousarray(gaussians.opacities, np.float16)))
    sh = np.clip(gaussians.sh.reshape(-1, 3), -HALF_MOST, HALF_MOST)
    return field.CreateRadianceSphericalHarmonicsCoefficientshAttr(_vec3h(sh))


def _vec3h(array: np.ndarray) -> Vt.Vec3hArray:
    return Vt.Vec3hArray.FromNumpy(np.ascontiguousarray(array, np.float16))


def extent(gaussians: Gaussians) -> Vt.Vec3fArray:
    """Return the bounds of all splats in the frame of their centres."""
    low, high = splat_bounds(gaussians)
    return Vt.Vec3fArray([Gf.Vec3f(*low.tolist()), Gf.Vec3f(*high.tolist())])


def splat_bounds(gaussians: Gaussians) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of the box around all splats [m], (3,) each."""
    reach = EXTENT_SIGMAS * gaussians.scales.max(axis=1, keepdims=True)
    return (gaussians.means - reach).min(axis=0), (gaussians.means + reach).max(axis=0)


def vec3(array: np.ndarray) -> Vt.Vec3fArray:
    """Return an array (N, 3) as a Vt array."""
    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(array, np.float32))
