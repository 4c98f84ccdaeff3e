"""Small USD scenes for the tests of the panel, made in code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics, Vt

ROOM_M = (6.0, 4.0, 3.0)
"""Size of the room [m]; its floor is at height 0 and its corner at the origin."""


def write_scene(
    path: Path,
    *,
    up: str = "Z",
    meters_per_unit: float = 1.0,
    splats: str = "particle_field",
    collider: bool = True,
    default_prim: bool = True,
    render_settings: dict | None = None,
    box: tuple[float, float, float, float] | None = (2.0, 1.0, 4.0, 3.0),
) -> Path:
    """Write a room with a box in the middle (x0, y0, x1, y1 [m], 1 m high) and one splat prim."""
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, getattr(UsdGeom.Tokens, up.lower()))
    UsdGeom.SetStageMetersPerUnit(stage, meters_per_unit)
    world = UsdGeom.Xform.Define(stage, "/World")
    if default_prim:
        stage.SetDefaultPrim(world.GetPrim())
    if splats == "particle_field":
        stage.DefinePrim("/World/Gaussians", "ParticleField3DGaussianSplat")
    elif splats == "nurec":
        volume = stage.DefinePrim("/World/Gaussians", "Volume")
        volume.CreateAttribute("omni:nurec:isNuRecVolume", Sdf.ValueTypeNames.Bool).Set(True)
    if collider:
        mesh = UsdGeom.Mesh.Define(stage, "/World/Collider")
        boxes = [((0.0, 0.0, 0.0), ROOM_M)] + ([((*box[:2], 0.0), (*box[2:], 1.0))] if box else [])
        points, faces = zip(*(_box(low, high) for low, high in boxes), strict=True)
        offsets = np.cumsum([0] + [len(p) for p in points[:-1]])
        indices = np.concatenate([f + offset for f, offset in zip(faces, offsets, strict=True)])
        vertices = np.concatenate(points) / meters_per_unit
        if up == "Y":
            vertices = vertices[:, [0, 2, 1]] * (1, 1, -1)
        mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(vertices.astype(np.float32)))
        mesh.CreateFaceVertexCountsAttr([4] * len(indices))
        mesh.CreateFaceVertexIndicesAttr(indices.ravel().tolist())
        UsdPhysics.CollisionAPI.Apply(mesh.GetPrim())
    if render_settings is not None:
        stage.GetRootLayer().customLayerData = {"renderSettings": render_settings}
    stage.Save()
    return path


def at(stage: Usd.Stage, path: str, point: tuple[float, float, float]) -> np.ndarray:
    """Return where a point of a prim is in the stage's world frame."""
    matrix = UsdGeom.XformCache().GetLocalToWorldTransform(stage.GetPrimAtPath(path))
    return np.array(matrix.Transform(Gf.Vec3d(*point)))


def _box(low: tuple, high: tuple) -> tuple[np.ndarray, np.ndarray]:
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), -1).reshape(-1, 3)
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return corners, np.array(faces)
