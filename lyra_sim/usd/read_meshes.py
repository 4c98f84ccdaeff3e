"""Read the collider and the labelled proxy of a stage."""

from __future__ import annotations

import numpy as np
from pxr import Usd, UsdGeom, UsdPhysics, UsdSemantics

from lyra_sim.errors import LyraSimError
from lyra_sim.scene import LabelledMesh, TriangleMesh
from lyra_sim.transform import Similarity
from lyra_sim.usd import layout
from lyra_sim.usd.meshes import PIECES


def read_collider(stage: Usd.Stage, to_ours: Similarity) -> tuple[TriangleMesh | None, str | None]:
    """Return the joined meshes that collide, in metres and Z up, and the first one's approximation."""
    prims = [p for p in stage.Traverse() if p.IsA(UsdGeom.Mesh) and _collides(p)]
    if not prims:
        return None, None
    if all(str(p.GetPath()).startswith(layout.PIECES + "/") for p in prims):
        # The pieces stand for this mesh, which says more.
        whole = stage.GetPrimAtPath(layout.COLLIDER)
        if whole and whole.IsA(UsdGeom.Mesh):
            return _read_mesh(whole, to_ours), PIECES
    api = UsdPhysics.MeshCollisionAPI(prims[0])
    approximation = str(api.GetApproximationAttr().Get()) if api else "none"
    return _join([_read_mesh(p, to_ours) for p in prims]), approximation


def read_proxy(stage: Usd.Stage, to_ours: Similarity) -> LabelledMesh | None:
    """Return the labelled meshes that do not collide as one mesh with a label per face."""
    parts: list[TriangleMesh] = []
    classes: list[str] = []
    labels: list[np.ndarray] = []
    for prim in stage.Traverse():
        if not prim.IsA(UsdGeom.Mesh) or prim.HasAPI(UsdPhysics.CollisionAPI):
            continue
        if not prim.HasAPI(UsdSemantics.LabelsAPI, layout.TAXONOMY) or _is_unused(prim):
            continue
        name = "|".join(UsdSemantics.LabelsAPI(prim, layout.TAXONOMY).GetLabelsAttr().Get() or ())
        mesh = _read_mesh(prim, to_ours)
        if name not in classes:
            classes.append(name)
        parts.append(mesh)
        labels.append(np.full(len(mesh.faces), classes.index(name), np.int32))
    if not parts:
        return None
    joined = _join(parts)
    return LabelledMesh(joined.vertices, joined.faces, np.concatenate(labels), tuple(classes))


def _collides(prim: Usd.Prim) -> bool:
    api = UsdPhysics.CollisionAPI(prim) if prim.HasAPI(UsdPhysics.CollisionAPI) else None
    return api is not None and api.GetCollisionEnabledAttr().Get() is not False


def _is_unused(prim: Usd.Prim) -> bool:
    return UsdGeom.Imageable(prim).GetVisibilityAttr().Get() == UsdGeom.Tokens.invisible


def _read_mesh(prim: Usd.Prim, to_ours: Similarity) -> TriangleMesh:
    mesh = UsdGeom.Mesh(prim)
    points, counts, indices = (
        np.array(a.Get() or [], dtype)
        for a, dtype in (
            (mesh.GetPointsAttr(), np.float64),
            (mesh.GetFaceVertexCountsAttr(), np.int64),
            (mesh.GetFaceVertexIndicesAttr(), np.int64),
        )
    )
    points = points.reshape(-1, 3)
    bad_counts = len(counts) and (counts.min() < 3 or counts.sum() != len(indices))
    if bad_counts or (len(indices) and (indices.min() < 0 or indices.max() >= len(points))):
        raise LyraSimError(f"mesh {prim.GetPath()} has faces that do not fit its points")
    if not np.isfinite(points).all():
        raise LyraSimError(f"mesh {prim.GetPath()} has points that are not finite")
    matrix = np.array(UsdGeom.XformCache().GetLocalToWorldTransform(prim))
    if not np.array_equal(matrix, np.eye(4)):
        points = points @ matrix[:3, :3] + matrix[3, :3]
    return TriangleMesh(to_ours.points(points), _triangulate(counts, indices))


def _triangulate(counts: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return triangle fans of polygons, (M, 3) int32."""
    if not len(counts):
        return np.zeros((0, 3), np.int32)
    first = np.repeat(np.cumsum(counts) - counts, counts - 2)
    step = np.arange(len(first)) - np.repeat(np.cumsum(counts - 2) - (counts - 2), counts - 2)
    return np.stack([indices[first], indices[first + step + 1], indices[first + step + 2]], 1).astype(
        np.int32
    )


def _join(meshes: list[TriangleMesh]) -> TriangleMesh:
    if len(meshes) == 1:
        return meshes[0]
    offsets = np.cumsum([0, *(len(m.vertices) for m in meshes[:-1])])
    return TriangleMesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + o for m, o in zip(meshes, offsets, strict=True)]).astype(np.int32),
    )
