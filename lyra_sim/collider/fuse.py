"""Make a collision mesh from depth that was rendered from the Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lyra_sim.collider.floor import Floor, drop_unused, find_floor, flatten_floor, floor_tiles
from lyra_sim.collider.manifold import split_vertices
from lyra_sim.collider.report import ColliderReport, compare
from lyra_sim.collider.tsdf import DepthViews, close_gaps, cover, extract, integrate
from lyra_sim.errors import LyraSimError
from lyra_sim.scene import TriangleMesh


@dataclass(frozen=True)
class ColliderConfig:
    """Say how a collider is made."""

    voxel: float = 0.04
    """Distance between samples of the distance field [m]; grows when the scene needs too many."""
    max_voxels: int = 8_000_000
    """Most samples of the distance field, which bounds memory and time."""
    truncation: float = 4.0
    """Half width of the band around a surface [voxels]."""
    min_alpha: float = 0.7
    """Least opacity along a ray for its depth to count."""
    max_depth: float = 20.0
    """Depth beyond which pixels do not count [m]."""
    edge: float = 0.06
    """Largest relative bend of inverse depth between neighbours; more is the edge of an object."""
    faces: int = 50_000
    """Most faces of the mesh."""
    min_component: float = 0.25
    """Smallest extent of a connected piece [m]; smaller ones are floaters."""
    floor: bool = True
    """Whether to put a closed flat floor at z = 0."""
    floor_tolerance: float = 0.06
    """Height below which surface counts as floor [m]."""


def fuse_depth(
    depths: np.ndarray,
    alphas: np.ndarray,
    c2w: np.ndarray,
    intrinsics: np.ndarray,
    *,
    config: ColliderConfig | None = None,
) -> tuple[TriangleMesh, ColliderReport]:
    """Fuse depth maps of one scene into a collision mesh with a closed flat floor at z = 0.

    Args:
        depths: Expected or median z-depth rendered from the Gaussians [m], (V, H, W).
        alphas: Accumulated opacity, (V, H, W) in [0, 1].
        c2w: Camera poses, OpenCV axes, to the world frame (metres, Z up, floor near z = 0), (V, 4, 4).
        intrinsics: fx, fy, cx, cy [px], pixel centres at +0.5, (V, 4).
        config: Resolution, budgets and thresholds.

    Returns:
        The mesh in the world frame and a report that compares it with the depth maps.

    Raises:
        LyraSimError: Hardly any pixel has usable depth.
    """
    config = config or ColliderConfig()
    views = clean_depth(depths, alphas, c2w, intrinsics, config)
    points = views.points(stride=2)
    if len(points) < 100:
        raise LyraSimError(
            "the Gaussians are too transparent for a collider: hardly a pixel has depth; leave it out"
        )
    grid = cover(points, voxel=config.voxel, max_voxels=config.max_voxels)
    distance, weight = integrate(views, grid, truncation=config.truncation * grid.voxel)
    close_gaps(distance, weight)
    surface = drop_small(extract(distance, weight, grid), min_extent=config.min_component)
    seen_floor = find_floor(points, tolerance=max(config.floor_tolerance, 1.5 * grid.voxel))
    if config.floor:
        tolerance = _floor_tolerance(config, grid.voxel, seen_floor)
        floor = floor_tiles(points.min(axis=0), points.max(axis=0))
        surface = decimate(flatten_floor(surface, tolerance=tolerance), config.faces - len(floor.faces))
        # Collapsing edges may leave corners slightly below the plane that they stood on.
        np.maximum(surface.vertices[:, 2], 0.0, out=surface.vertices[:, 2])
        mesh = merge(surface, floor)
    else:
        mesh = decimate(surface, config.faces)
    mesh = split_vertices(mesh)
    if not len(mesh.faces):
        raise LyraSimError("no surface came out of the depth; the views may contradict each other")
    return mesh, compare(mesh, views, seen_floor, voxel=grid.voxel)


def _floor_tolerance(config: ColliderConfig, voxel: float, floor: Floor | None) -> float:
    """Return the height [m] below which surface is floor: enough for the splats' own floor, at most 15 cm."""
    least = max(config.floor_tolerance, 1.5 * voxel)
    if floor is None or floor.normal[2] < 0.99:
        return least
    return float(np.clip(floor.height + 4 * floor.flatness, least, max(0.15, least)))


def clean_depth(
    depths: np.ndarray, alphas: np.ndarray, c2w: np.ndarray, intrinsics: np.ndarray, config: ColliderConfig
) -> DepthViews:
    """Return depth maps with 0 where a ray is not opaque, too long, not finite or crosses an object's edge.

    Splats blend depth across the edges of objects, which would fuse into sheets between near and far. Inverse
    depth is affine across a plane, so its second difference tells edges from planes seen at a flat angle.
    """
    with np.errstate(invalid="ignore"):
        good = (alphas >= config.min_alpha) & (depths > 0.05) & (depths < config.max_depth)
    inverse = np.where(good, 1.0 / np.where(good, depths, 1.0), 0.0).astype(np.float32)
    bend = np.zeros_like(inverse)
    bend[:, 1:-1] = np.abs(inverse[:, 2:] - 2 * inverse[:, 1:-1] + inverse[:, :-2])
    across = np.abs(inverse[:, :, 2:] - 2 * inverse[:, :, 1:-1] + inverse[:, :, :-2])
    bend[:, :, 1:-1] = np.maximum(bend[:, :, 1:-1], across)
    good &= bend < config.edge * np.maximum(inverse, 1e-6)
    depth = np.where(good, depths, 0.0).astype(np.float32)
    return DepthViews(depth, np.asarray(c2w, np.float64), np.asarray(intrinsics, np.float64))


def drop_small(mesh: TriangleMesh, *, min_extent: float) -> TriangleMesh:
    """Return the mesh without connected pieces whose largest extent [m] is below `min_extent`."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not len(mesh.faces):
        return mesh
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]]])
    count = len(mesh.vertices)
    graph = coo_matrix((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    pieces, piece = connected_components(graph, directed=False)
    low, high = np.full((pieces, 3), np.inf, np.float32), np.full((pieces, 3), -np.inf, np.float32)
    np.minimum.at(low, piece, mesh.vertices)
    np.maximum.at(high, piece, mesh.vertices)
    kept = (high - low).max(axis=1) >= min_extent
    return drop_unused(TriangleMesh(mesh.vertices, mesh.faces[kept[piece[mesh.faces[:, 0]]]]))


def decimate(mesh: TriangleMesh, faces: int) -> TriangleMesh:
    """Return the mesh with at most about `faces` faces (quadric edge collapse)."""
    import fast_simplification

    if len(mesh.faces) <= max(faces, 4):
        return mesh
    vertices, triangles = fast_simplification.simplify(mesh.vertices, mesh.faces, target_count=max(faces, 4))
    return drop_unused(TriangleMesh(np.asarray(vertices, np.float32), np.asarray(triangles, np.int32)))


def merge(*meshes: TriangleMesh) -> TriangleMesh:
    """Return one mesh of all faces."""
    offsets = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    return TriangleMesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + o for m, o in zip(meshes, offsets[:-1], strict=True)]).astype(np.int32),
    )
