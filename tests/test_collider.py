"""Colliders fused from depth: an analytic room, its floor, its labels, floaters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from gaussian_scenes import BOXES, random_gaussians, room_distance, room_views

from lyra_sim.collider import (
    ColliderConfig,
    ColliderReport,
    DepthViews,
    drop_floaters,
    find_floaters,
    find_floor,
    fuse_depth,
    label_mesh,
)
from lyra_sim.collider.fuse import merge
from lyra_sim.collider.pieces import convex_pieces
from lyra_sim.collider.report import RayCaster
from lyra_sim.collider.tsdf import close_gaps
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import TriangleMesh

CONFIG = ColliderConfig(voxel=0.06)


@pytest.fixture(scope="module")
def views() -> DepthViews:
    return room_views()


@pytest.fixture(scope="module")
def fused(views: DepthViews) -> tuple[TriangleMesh, ColliderReport]:
    return fuse_depth(views.depth, np.ones_like(views.depth), views.c2w, views.intrinsics, config=CONFIG)


def test_room_is_within_three_centimetres(fused: tuple[TriangleMesh, ColliderReport]) -> None:
    """Vertices above the floor lie on the true walls and boxes: 95% within 3 cm, the median within 1 cm."""
    mesh, _ = fused
    distance = room_distance(mesh.vertices[mesh.vertices[:, 2] > 0.1])
    assert np.percentile(distance, 95) < 0.03
    assert np.median(distance) < 0.01


def test_collider_has_hardly_a_hole_where_splats_show_something(
    fused: tuple[TriangleMesh, ColliderReport],
) -> None:
    """Rays past the edges of objects and along walls meet the collider too: under 0.5% of them find a hole."""
    assert fused[1].hole_share < 0.005


def test_gaps_are_closed_by_one_sample_and_free_space_stays_free() -> None:
    """One unseen layer across a wall is closed where the wall was, three are not, and seen samples keep their bits."""
    x = np.arange(12, dtype=np.float32)[:, None, None]
    truth = np.broadcast_to((x - 5.5) / 4, (12, 16, 8)).astype(np.float32)
    for gap, closed in ((slice(4, 5), True), (slice(4, 7), False)):
        distance, weight = truth.copy(), np.ones_like(truth)
        distance[:, gap] = weight[:, gap] = 0
        close_gaps(distance, weight)
        assert bool((weight[1:-1, :, 1:-1] > 0).all()) == closed
        np.testing.assert_array_equal(np.delete(distance, gap, axis=1), np.delete(truth, gap, axis=1))
        if closed:
            np.testing.assert_allclose(distance[1:-1, gap, 1:-1], truth[1:-1, gap, 1:-1], atol=1e-5)


def test_report_measures_that_distance(views: DepthViews, fused: tuple[TriangleMesh, ColliderReport]) -> None:
    """The report's figures are small here and grow by the offset when the mesh is moved."""
    from lyra_sim.collider.report import compare

    mesh, report = fused
    assert report.median_cm < 1.0
    assert report.p95_cm < 3.0
    assert report.hole_share < 0.03
    moved = TriangleMesh(mesh.vertices + np.float32([0, 0, 0.2]), mesh.faces)
    assert compare(moved, views, None, voxel=CONFIG.voxel).p95_cm > 15.0


def test_floor_is_flat_closed_and_at_zero(fused: tuple[TriangleMesh, ColliderReport]) -> None:
    """Rays from above meet z = 0 exactly everywhere over the visible floor, also behind and beside the boxes."""
    mesh, _ = fused
    x, y = np.meshgrid(np.linspace(-2.0, 3.8, 40), np.linspace(-1.5, 2.8, 40))
    free = np.ones(x.shape, bool)
    for low, high in BOXES:
        free &= ~((x > low[0] - 0.2) & (x < high[0] + 0.2) & (y > low[1] - 0.2) & (y < high[1] + 0.2))
    origins = np.stack([x[free], y[free], np.full(free.sum(), 0.2)], axis=1)
    reached, _ = RayCaster(mesh).cast(origins, np.tile([0.0, 0.0, -1.0], (len(origins), 1)))
    np.testing.assert_allclose(reached, 0.2, atol=1e-5)
    assert mesh.vertices[:, 2].min() == 0.0


def test_boxes_end_on_the_floor(fused: tuple[TriangleMesh, ColliderReport]) -> None:
    """A ray just above the floor meets the front of a box: no gap is left where it stands."""
    mesh, _ = fused
    origin = np.array([[-1.0, -0.6, 0.02]])
    reached, _ = RayCaster(mesh).cast(origin, np.array([[1.0, 0.0, 0.0]]))
    assert abs(reached[0] - (BOXES[0][0][0] + 1.0)) < 0.06


def test_faces_stay_within_the_budget_and_face_the_viewer(views: DepthViews) -> None:
    """A small budget is kept, and the winding shows the outside to the cameras."""
    config = replace(CONFIG, faces=3000)
    mesh, report = fuse_depth(
        views.depth, np.ones_like(views.depth), views.c2w, views.intrinsics, config=config
    )
    assert len(mesh.faces) <= 3000
    assert report.faces == len(mesh.faces)
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    towards = [np.einsum("ij,ij->i", normal, pose[:3, 3] - a) for pose in views.c2w]
    area = np.linalg.norm(normal, axis=1)
    assert area[np.max(towards, axis=0) > 0].sum() > 0.98 * area.sum()


def test_voxel_budget_bounds_the_grid(views: DepthViews) -> None:
    """A tiny voxel size does not make a huge grid: the voxels grow until the budget holds."""
    config = replace(CONFIG, voxel=0.001, max_voxels=200_000)
    _, report = fuse_depth(views.depth, np.ones_like(views.depth), views.c2w, views.intrinsics, config=config)
    assert report.voxel_cm > 5.0


def test_noise_averages_out(views: DepthViews) -> None:
    """One percent of noise on every pixel leaves walls and boxes within five centimetres."""
    noise = 1 + 0.01 * np.random.default_rng(0).normal(size=views.depth.shape)
    depth = (views.depth * noise).astype(np.float32)
    mesh, _ = fuse_depth(depth, np.ones_like(depth), views.c2w, views.intrinsics, config=CONFIG)
    assert np.percentile(room_distance(mesh.vertices[mesh.vertices[:, 2] > 0.1]), 95) < 0.05


def test_blended_edges_do_not_become_walls(views: DepthViews) -> None:
    """Depth that splats blend across an object's edge leaves no sheet between the object and what is behind."""
    depth = views.depth.copy()
    blended = (depth[:, :, 1:-1] + np.maximum(depth[:, :, 2:], depth[:, :, :-2])) / 2
    depth[:, :, 1:-1] = np.where(np.abs(blended - depth[:, :, 1:-1]) > 0.3, blended, depth[:, :, 1:-1])
    mesh, _ = fuse_depth(depth, np.ones_like(depth), views.c2w, views.intrinsics, config=CONFIG)
    assert (room_distance(mesh.vertices[mesh.vertices[:, 2] > 0.1]) > 0.2).mean() < 0.01


def test_transparent_depth_is_an_error(views: DepthViews) -> None:
    """Nothing opaque enough gives one line, not an empty mesh."""
    with pytest.raises(LyraSimError, match="too transparent"):
        fuse_depth(views.depth, np.zeros_like(views.depth), views.c2w, views.intrinsics)


def test_labels_follow_the_images(views: DepthViews, fused: tuple[TriangleMesh, ColliderReport]) -> None:
    """Faces on the floor, the walls and the boxes get the label that the images show there."""
    classes = ("unlabelled", "floor", "wall", "box")
    images = np.stack([_room_labels(views, i) for i in range(len(views))])
    mesh, _ = fused
    labelled = label_mesh(mesh, images, views, classes)
    centroids = mesh.vertices[mesh.faces].mean(axis=1)
    truth = _label_points(centroids)
    clear = labelled.face_label > 0
    assert clear.mean() > 0.98
    assert (labelled.face_label[clear] == truth[clear]).mean() > 0.95


def _room_labels(views: DepthViews, index: int) -> np.ndarray:
    one = slice(index, index + 1)
    points = DepthViews(views.depth[one], views.c2w[one], views.intrinsics[one]).points()
    return _label_points(points).reshape(views.depth.shape[1:]).astype(np.uint8)


def _label_points(points: np.ndarray) -> np.ndarray:
    label = np.where(points[:, 2] < 0.05, 1, 2)
    for low, high in BOXES:
        label[((points > low - 0.05) & (points < high + 0.05) & (points[:, [2]] > 0.05)).all(axis=1)] = 3
    return label


@pytest.mark.parametrize("tilt", [0.0, 8.0])
def test_floor_is_found_below_a_larger_table(tilt: float) -> None:
    """The lowest large plane wins over a table with more points, also when the frame is tilted."""
    rng = np.random.default_rng(0)
    floor = np.column_stack([rng.uniform(-4, 4, (6000, 2)), rng.normal(scale=0.01, size=6000) - 1.3])
    table = np.column_stack([rng.uniform(-1, 1, (9000, 2)), rng.normal(scale=0.01, size=9000) - 0.5])
    clutter = rng.uniform([-4, -4, -1.3], [4, 4, 1], (6000, 3))
    angle = np.radians(tilt)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    found = find_floor(np.concatenate([floor, table, clutter]) @ turn.T)
    assert found is not None
    assert np.degrees(np.arccos(found.normal @ turn[:, 2])) < 0.5
    assert abs(found.height + 1.3) < 0.02


def test_no_floor_among_scattered_points() -> None:
    """A cloud without a plane has no floor."""
    points = np.random.default_rng(0).uniform(-20, 20, (5000, 3))
    assert find_floor(points, tolerance=0.02) is None


def test_floaters_go_and_surfaces_stay(views: DepthViews) -> None:
    """Isolated, gigantic and invisible Gaussians are found among those of a surface, which all stay."""
    means = views.points(stride=3)
    count = len(means)
    size = np.full((count, 3), 0.03, np.float32)
    surface = Gaussians.from_rgb(
        means, size, np.tile(np.float32([1, 0, 0, 0]), (count, 1)), np.full(count, 0.9, np.float32), means * 0
    )
    strays = random_gaussians(60)
    strays.means[:] = np.random.default_rng(2).uniform([-60, -60, 20], [60, 60, 80], (60, 3))
    strays.scales[:20] = 0.02
    strays.scales[20:40] = 0.05
    strays.scales[40:] = 0.01
    giant = surface.select(np.arange(0, count, count // 10))
    giant = replace(giant, scales=giant.scales * 40)
    faint = replace(surface.select(np.arange(50)), opacities=np.full(50, 0.005, np.float32))
    parts = [surface, strays, giant, faint]
    mixed = Gaussians(*(np.concatenate([getattr(p, n) for p in parts]) for n in Gaussians.__annotations__))
    found = find_floaters(mixed)
    assert found[:count].mean() < 0.01
    assert found[count:].mean() > 0.95
    assert len(drop_floaters(mixed)) == (~found).sum()


def test_convex_pieces_cover_the_room(fused: tuple[TriangleMesh, ColliderReport]) -> None:
    """Every piece is convex and closed, the floor's is exact, and the pieces reach at most 10 cm into free space."""
    mesh, _ = fused
    pieces = convex_pieces(mesh, most=96)
    assert 2 < len(pieces.meshes) <= 96
    assert pieces.worst_cm < 10.0
    for piece in pieces.meshes:
        solid = trimesh.Trimesh(piece.vertices, piece.faces)
        assert solid.is_watertight
        assert solid.volume > 0
        planes = np.einsum("ij,ij->i", solid.face_normals, solid.triangles[:, 0])
        assert (solid.vertices @ solid.face_normals.T - planes).max() < 2e-3
    assert pieces.meshes[0].vertices[:, 2].max() == 0.0
    joined = merge(*pieces.meshes)
    centroids = mesh.vertices[mesh.faces].mean(axis=1)
    inside = np.zeros(len(centroids), bool)
    for piece in pieces.meshes:
        solid = trimesh.Trimesh(piece.vertices, piece.faces)
        planes = np.einsum("ij,ij->i", solid.face_normals, solid.triangles[:, 0])
        inside |= (centroids @ solid.face_normals.T - planes).max(axis=1) < 0.02
    assert inside.mean() > 0.99
    assert len(joined.faces) < len(mesh.faces)
