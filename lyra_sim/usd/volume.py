"""Gaussians as a NuRec volume, which Isaac Sim 5 shows."""

from __future__ import annotations

from pxr import Gf, Sdf, Usd, UsdGeom, UsdVol

from lyra_sim.gaussians import Gaussians
from lyra_sim.usd import layout
from lyra_sim.usd.particles import extent

RENDER_SETTINGS: dict[str, object] = {
    "rtx:rendermode": "RaytracedLighting",
    "rtx:directLighting:sampledLighting:samplesPerPixel": 8,
    "rtx:post:histogram:enabled": False,
    "rtx:post:registeredCompositing:invertToneMap": True,
    "rtx:post:registeredCompositing:invertColorCorrection": True,
    "rtx:material:enableRefraction": False,
    "rtx:post:tonemap:op": 2,
    "rtx:raytracing:fractionalCutoutOpacity": False,
    "rtx:matteObject:visibility:secondaryRays": True,
    "rtx:post:matteObject:enabled": True,
    "rtx:post:matteObject:enableShadowCatcher": True,
}
"""Custom data `renderSettings` of the root layer; Kit applies it when a person opens the file, and only then."""


def author_volume(
    stage: Usd.Stage, path: str, gaussians: Gaussians, offset: tuple[float, float, float], payload: str
) -> None:
    """Define the volume at `path`.

    Args:
        stage: Stage to write to.
        path: Prim path of the volume.
        gaussians: Gaussians in the volume's local frame, as they are in the payload.
        offset: Position of the local origin in the parent [m]; kept in double precision.
        payload: File name of the payload beside the layer.
    """
    volume = UsdVol.Volume.Define(stage, path)
    prim = volume.GetPrim()
    bounds = extent(gaussians)
    volume.CreateExtentAttr(bounds)
    volume.AddTransformOp().Set(Gf.Matrix4d(1.0).SetTranslate(Gf.Vec3d(*offset)))
    types = Sdf.ValueTypeNames
    for name, kind, value in (
        ("isNuRecVolume", types.Bool, True),
        ("useProxyTransform", types.Bool, False),
        ("offset", types.Float3, Gf.Vec3f(0)),
        ("crop:minBounds", types.Float3, bounds[0]),
        ("crop:maxBounds", types.Float3, bounds[1]),
    ):
        prim.CreateAttribute(f"omni:nurec:{name}", kind).Set(value)
    prim.CreateRelationship("proxy").SetTargets([layout.slot(i) for i in range(layout.PROXY_SLOTS)])
    density = _author_field(stage, path, "density", "density", "float", payload)
    emission = _author_field(stage, path, "emissive_color", "emissiveColor", "float3", payload)
    for row, name in enumerate(("ccmR", "ccmG", "ccmB")):
        unit = Gf.Vec4f(*(1.0 if i == row else 0.0 for i in range(4)))
        emission.CreateAttribute(f"omni:nurec:{name}", types.Float4).Set(unit)
    # The schema's own method would want a field prim of a type that OpenUSD knows.
    prim.CreateRelationship("field:density").SetTargets([density.GetPath()])
    prim.CreateRelationship("field:emissiveColor").SetTargets([emission.GetPath()])


def _author_field(stage: Usd.Stage, volume: str, name: str, role: str, kind: str, payload: str) -> Usd.Prim:
    prim = stage.DefinePrim(f"{volume}/{name}_field", "OmniNuRecFieldAsset")
    types = Sdf.ValueTypeNames
    prim.CreateAttribute("filePath", types.Asset).Set(Sdf.AssetPath(f"./{payload}"))
    for attribute, value in (("fieldName", role), ("fieldRole", role), ("fieldDataType", kind)):
        prim.CreateAttribute(attribute, types.Token).Set(value)
    return prim


def is_volume(prim: Usd.Prim) -> bool:
    """Return whether a prim is a NuRec volume."""
    flag = prim.GetAttribute("omni:nurec:isNuRecVolume")
    return bool(prim.IsA(UsdGeom.Gprim) and flag and flag.Get())
