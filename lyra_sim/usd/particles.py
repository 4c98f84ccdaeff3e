"""Gaussians as the OpenUSD schema `ParticleField3DGaussianSplat`."""

from __future__ import annotations

import numpy as np
from pxr import Gf, Usd, UsdGeom, UsdVol, Vt

from lyra_sim.gaussians import Gaussians

EXTENT_SIGMAS = 3.0
"""Renderers cull by the extent, so it reaches this many standard deviations past the centres."""


def author_particles(
    stage: Usd.Stage, path: str, gaussians: Gaussians, offset: tuple[float, float, float]
) -> None:
    """Define the particle field at `path`, its local origin at `offset` [m] in the parent, in double precision.

    Every attribute is the float one, and the SH attribute carries element size and vertex interpolation:
    NVIDIA's rule VG.035 asks for both.
    """
    field = UsdVol.ParticleField3DGaussianSplat.Define(stage, path)
    field.AddTranslateOp(UsdGeom.XformOp.PrecisionDouble).Set(Gf.Vec3d(*offset))
    field.CreatePositionsAttr(vec3(gaussians.means))
    # A Vt quaternion array lies in memory as xyzw.
    xyzw = np.ascontiguousarray(gaussians.rotations[:, [1, 2, 3, 0]], np.float32)
    field.CreateOrientationsAttr(Vt.QuatfArray.FromNumpy(xyzw))
    field.CreateScalesAttr(vec3(gaussians.scales))
    field.CreateOpacitiesAttr(Vt.FloatArray.FromNumpy(np.ascontiguousarray(gaussians.opacities, np.float32)))
    field.CreateRadianceSphericalHarmonicsDegreeAttr(gaussians.sh_degree)
    field.CreateRadianceSphericalHarmonicsCoefficientsAttr(vec3(gaussians.sh.reshape(-1, 3)))
    primvar = UsdGeom.Primvar(field.GetRadianceSphericalHarmonicsCoefficientsAttr())
    primvar.SetElementSize(gaussians.sh.shape[1])
    primvar.SetInterpolation(UsdGeom.Tokens.vertex)
    field.CreateProjectionModeHintAttr(UsdVol.Tokens.perspective)
    field.CreateSortingModeHintAttr(UsdVol.Tokens.cameraDistance)
    field.CreateExtentAttr(extent(gaussians))


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
