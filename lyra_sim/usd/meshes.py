"""The collider and the labelled proxy as USD meshes."""

from __future__ import annotations

import numpy as np
from pxr import Sdf, Usd, UsdGeom, UsdPhysics, UsdSemantics, Vt

from lyra_sim.collider.manifold import split_vertices
from lyra_sim.errors import LyraSimError
from lyra_sim.scene import LabelledMesh, TriangleMesh
from lyra_sim.usd import layout
from lyra_sim.usd.particles import vec3

PLACEHOLDER = TriangleMesh(
    np.array([[0, 0, 0], [1e-3, 0, 0], [0, 1e-3, 0]], np.float32), np.array([[0, 1, 2]], np.int32)
)
"""Stands in an unused slot, invisible: validators and loaders reject a mesh without faces."""


PIECES = "pieces"
"""Name of the approximation by convex meshes of our own; the others are tokens of USD."""


def author_collider(stage: Usd.Stage, mesh: TriangleMesh | None, *, approximation: str = "none") -> None:
    """Define the hidden collision mesh; without a mesh its collision is switched off."""
    if mesh is not None:
        check_mesh(mesh, "the collider")
    in_pieces = approximation == PIECES
    _author_collision(
        stage,
        layout.COLLIDER,
        mesh or PLACEHOLDER,
        enabled=mesh is not None and not in_pieces,
        approximation=UsdPhysics.Tokens.none if in_pieces else approximation,
    )


def author_pieces(stage: Usd.Stage, pieces: tuple[TriangleMesh, ...]) -> None:
    """Define hidden convex meshes that collide in place of the collider, in a fixed number of slots."""
    if len(pieces) > layout.PIECE_SLOTS:
        raise LyraSimError(f"{len(pieces)} convex pieces; a scene holds {layout.PIECE_SLOTS}")
    UsdGeom.Xform.Define(stage, layout.PIECES)
    for index in range(layout.PIECE_SLOTS):
        used = index < len(pieces)
        mesh = pieces[index] if used else PLACEHOLDER
        check_mesh(mesh, "a convex piece")
        hull = UsdPhysics.Tokens.convexHull
        _author_collision(stage, layout.piece(index), mesh, enabled=used, approximation=hull)


def _author_collision(
    stage: Usd.Stage, path: str, mesh: TriangleMesh, *, enabled: bool, approximation: str
) -> None:
    geometry = _author_mesh(stage, path, mesh)
    geometry.CreateVisibilityAttr(UsdGeom.Tokens.invisible)
    prim = geometry.GetPrim()
    UsdPhysics.CollisionAPI.Apply(prim).CreateCollisionEnabledAttr(enabled)
    UsdPhysics.MeshCollisionAPI.Apply(prim).CreateApproximationAttr(approximation)


def author_proxy(stage: Usd.Stage, mesh: LabelledMesh | None) -> None:
    """Define the proxy: one matte mesh per semantic class in a fixed number of slots."""
    UsdGeom.Xform.Define(stage, layout.PROXY)
    if mesh is not None:
        check_mesh(mesh, "the proxy")
        if len(mesh.face_label) != len(mesh.faces) or not _within(mesh.face_label, len(mesh.classes)):
            raise LyraSimError("the proxy needs one label per face, each an index into its classes")
    groups = slot_groups(mesh)
    for index in range(layout.PROXY_SLOTS):
        used = index < len(groups)
        labels, part = groups[index] if used else ((layout.UNLABELLED,), PLACEHOLDER)
        geometry = _author_mesh(stage, layout.slot(index), part)
        geometry.CreateVisibilityAttr(UsdGeom.Tokens.inherited if used else UsdGeom.Tokens.invisible)
        prim = geometry.GetPrim()
        UsdSemantics.LabelsAPI.Apply(prim, layout.TAXONOMY).CreateLabelsAttr(Vt.TokenArray(labels))
        UsdGeom.PrimvarsAPI(prim).CreatePrimvar("isMatteObject", Sdf.ValueTypeNames.Bool).Set(True)


def slot_groups(mesh: LabelledMesh | None) -> list[tuple[tuple[str, ...], TriangleMesh]]:
    """Return (labels, mesh) for every slot in use, classes in their own order."""
    if mesh is None:
        return []
    counts = np.bincount(mesh.face_label, minlength=len(mesh.classes))
    used = [i for i in range(len(mesh.classes)) if counts[i]]
    groups = [[i] for i in used]
    if len(used) > layout.PROXY_SLOTS:
        largest = sorted(used, key=lambda i: -counts[i])[: layout.PROXY_SLOTS - 1]
        groups = [[i] for i in sorted(largest)] + [sorted(set(used) - set(largest))]
    return [
        (tuple(mesh.classes[i] for i in group), _select_faces(mesh, np.isin(mesh.face_label, group)))
        for group in groups
    ]


def check_mesh(mesh: TriangleMesh | LabelledMesh, name: str) -> None:
    """Raise LyraSimError unless `mesh` has faces, finite vertices and no index past them."""
    if not len(mesh.faces) or mesh.faces.shape[1:] != (3,) or mesh.vertices.shape[1:] != (3,):
        raise LyraSimError(f"{name} has no triangles")
    if not np.isfinite(mesh.vertices).all():
        raise LyraSimError(f"{name} has vertices that are not finite")
    if not _within(mesh.faces, len(mesh.vertices)):
        raise LyraSimError(f"{name} has faces that point past its {len(mesh.vertices)} vertices")


def _within(index: np.ndarray, count: int) -> bool:
    return bool(index.min() >= 0 and index.max() < count)


def vertex_normals(mesh: TriangleMesh) -> np.ndarray:
    """Return area-weighted unit normals per vertex, (N, 3); +z for a vertex without area around it."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.stack(
        [
            np.bincount(mesh.faces.ravel(), np.repeat(face_normals[:, i], 3), minlength=len(mesh.vertices))
            for i in range(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-20, normals / np.maximum(length, 1e-20), [0.0, 0.0, 1.0]).astype(np.float32)


def _select_faces(mesh: LabelledMesh, mask: np.ndarray) -> TriangleMesh:
    # Cutting a surface along its labels leaves corners where two fans touch, which split_vertices parts.
    return split_vertices(TriangleMesh(mesh.vertices, mesh.faces[mask]))


def _author_mesh(stage: Usd.Stage, path: str, mesh: TriangleMesh) -> UsdGeom.Mesh:
    geometry = UsdGeom.Mesh.Define(stage, path)
    points = vec3(mesh.vertices)
    geometry.CreatePointsAttr(points)
    geometry.CreateFaceVertexCountsAttr(Vt.IntArray(len(mesh.faces), 3))
    geometry.CreateFaceVertexIndicesAttr(
        Vt.IntArray.FromNumpy(np.ascontiguousarray(mesh.faces, np.int32).ravel())
    )
    geometry.CreateNormalsAttr(vec3(vertex_normals(mesh)))
    geometry.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    geometry.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    geometry.CreateExtentAttr(UsdGeom.PointBased.ComputeExtent(points))
    return geometry
