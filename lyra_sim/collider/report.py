"""Measure how well a collider stands for what the splats show."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from lyra_sim.collider.floor import Floor
from lyra_sim.collider.tsdf import DepthViews
from lyra_sim.scene import TriangleMesh


@dataclass(frozen=True)
class ColliderReport:
    """Hold what was measured on a collider."""

    faces: int
    vertices: int
    voxel_cm: float
    """Distance between samples of the distance field that the mesh came from [cm]."""
    median_cm: float
    """Median distance between a point seen in the splats' depth and the surface its ray meets [cm]."""
    p95_cm: float
    """95th percentile of the same distance [cm]."""
    hole_share: float
    """Share of the rays with depth that meet no surface, or one more than 0.5 m behind it."""
    floor_flatness_cm: float | None
    """Median distance of the splats' floor points from their plane [cm]; None when no floor was seen."""
    floor_offset_cm: float | None
    """Height of that plane above the collider's floor below the views' middle [cm]; None without a floor."""
    floor_tilt_degrees: float | None
    """Angle between that plane and the collider's floor; None without a floor."""

    def scaled(self, factor: float) -> ColliderReport:
        """Return the report of the same scene with all lengths multiplied by `factor`."""
        lengths = {name: value for name, value in asdict(self).items() if name.endswith("_cm")}
        return replace(self, **{name: value * factor for name, value in lengths.items() if value is not None})


class RayCaster:
    """Intersect rays with a mesh."""

    def __init__(self, mesh: TriangleMesh) -> None:
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh as EmbreeMesh

        self._scene = rtcore_scene.EmbreeScene()
        self._mesh = EmbreeMesh(
            self._scene,
            np.ascontiguousarray(mesh.vertices, np.float32),
            np.ascontiguousarray(mesh.faces, np.int32),
        )

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return for rays (N, 3) the distance in units of the direction's length (inf: missed) and the face."""
        hit = self._scene.run(
            np.ascontiguousarray(origins, np.float32),
            np.ascontiguousarray(directions, np.float32),
            query="INTERSECT",
            output=True,
        )
        missed = hit["primID"] < 0
        return np.where(missed, np.inf, hit["tfar"]).astype(np.float32), hit["primID"]


def compare(mesh: TriangleMesh, views: DepthViews, floor: Floor | None, *, voxel: float) -> ColliderReport:
    """Cast the rays of every fourth pixel in both directions against `mesh` and compare with their depth."""
    points, origins = _points_and_origins(views, stride=4)
    directions = points - origins
    reached, face = RayCaster(mesh).cast(origins, directions)
    length = np.linalg.norm(directions, axis=1)
    hole = ~((reached - 1.0) * length < 0.5)
    a, b, c = (mesh.vertices[mesh.faces[face[~hole], i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    # Distance from the seen point to the plane of the face that its ray meets.
    gap = np.abs(np.einsum("ij,ij->i", normal, points[~hole] - a)) * 100
    median, p95 = np.percentile(gap, [50, 95]) if len(gap) else (np.nan, np.nan)
    offset = tilt = None
    if floor is not None:
        middle = np.median(points, axis=0)
        offset = float((floor.height - floor.normal[:2] @ middle[:2]) / floor.normal[2] * 100)
        tilt = float(np.degrees(np.arccos(np.clip(floor.normal[2], -1, 1))))
    return ColliderReport(
        faces=len(mesh.faces),
        vertices=len(mesh.vertices),
        voxel_cm=voxel * 100,
        median_cm=float(median),
        p95_cm=float(p95),
        hole_share=float(hole.mean()) if len(hole) else 1.0,
        floor_flatness_cm=floor.flatness * 100 if floor is not None else None,
        floor_offset_cm=offset,
        floor_tilt_degrees=tilt,
    )


def _points_and_origins(views: DepthViews, *, stride: int) -> tuple[np.ndarray, np.ndarray]:
    points, origins = [], []
    for i in range(len(views)):
        one = slice(i, i + 1)
        seen = DepthViews(views.depth[one], views.c2w[one], views.intrinsics[one]).points(stride=stride)
        points.append(seen)
        origins.append(np.broadcast_to(views.c2w[i, :3, 3].astype(np.float32), seen.shape))
    return np.concatenate(points), np.concatenate(origins)
