"""Fuse depth maps into a truncated signed distance field and take its zero level (Curless and Levoy, 1996)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lyra_sim.scene import TriangleMesh

_BORROWED = np.float32(1e-6)
"""Weight of a sample whose distance comes from its neighbours."""


@dataclass(frozen=True)
class DepthViews:
    """Hold V depth maps of one scene and their cameras."""

    depth: np.ndarray
    """z-depth [m], (V, H, W) float32; 0 where there is none."""
    c2w: np.ndarray
    """Camera-to-world poses, OpenCV axes, (V, 4, 4)."""
    intrinsics: np.ndarray
    """fx, fy, cx, cy [px], pixel centres at +0.5, (V, 4)."""

    def __len__(self) -> int:
        return len(self.depth)

    def points(self, *, stride: int = 1) -> np.ndarray:
        """Return the points [m] behind every `stride`-th pixel that has depth, world frame, (N, 3) float32."""
        parts = []
        for depth, pose, (fx, fy, cx, cy) in zip(self.depth, self.c2w, self.intrinsics, strict=True):
            rows, columns = np.nonzero(depth[::stride, ::stride])
            z = depth[::stride, ::stride][rows, columns]
            x = (columns * stride + 0.5 - cx) / fx * z
            y = (rows * stride + 0.5 - cy) / fy * z
            parts.append(np.stack([x, y, z], axis=1) @ pose[:3, :3].T + pose[:3, 3])
        return np.concatenate(parts).astype(np.float32)


@dataclass(frozen=True)
class Grid:
    """Place a regular grid of samples in the world."""

    origin: np.ndarray
    """Position of sample (0, 0, 0) [m], (3,)."""
    voxel: float
    """Distance between samples [m]."""
    shape: tuple[int, int, int]
    """Number of samples along x, y, z."""


def cover(points: np.ndarray, *, voxel: float, max_voxels: int) -> Grid:
    """Return a grid around nearly all points, its voxels enlarged until there are at most `max_voxels`."""
    low, high = np.percentile(points, [0.2, 99.8], axis=0)
    # Walls lie at the border of the point cloud and need samples behind them.
    low, high = low - 6 * voxel, high + 6 * voxel
    size = high - low
    voxel = max(voxel, float((size.prod() / max_voxels) ** (1 / 3)))
    return Grid(low, voxel, tuple(int(n) for n in np.ceil(size / voxel) + 1))  # type: ignore[arg-type]


def integrate(views: DepthViews, grid: Grid, *, truncation: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean signed distance in units of the truncation and its weight, both of the grid's shape.

    The distance runs along the optical axis, is positive in front of the surface and is cut to [-1, 1];
    samples further behind a surface than the truncation learn nothing from that view.
    """
    distance, weight = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    kernel = _compiled_kernel()
    for depth, pose, intrinsics in zip(views.depth, views.c2w, views.intrinsics, strict=True):
        box = _seen_box(depth, pose, intrinsics, grid, margin=truncation)
        # Pixel coordinates and depth are affine in the grid's indices before the division.
        camera = np.array([[intrinsics[0], 0, intrinsics[2]], [0, intrinsics[1], intrinsics[3]], [0, 0, 1]])
        projection = camera @ np.linalg.inv(pose)[:3]
        offset = projection[:, :3] @ (grid.origin + grid.voxel * box[0]) + projection[:, 3]
        steps = (projection[:, :3] * grid.voxel).astype(np.float32)
        part = tuple(slice(low, high) for low, high in zip(*box, strict=True))
        kernel(
            distance[part], weight[part], np.ascontiguousarray(depth), steps, offset, np.float32(truncation)
        )
    return distance, weight


def close_gaps(distance: np.ndarray, weight: np.ndarray, *, least: int = 12) -> None:
    """Give samples that no view saw the mean of those around them, in place, where at least `least` of 26 were seen.

    A surface then reaches one sample further into the unseen, which closes the gaps along the edges of objects,
    where depth is left out because it cannot be trusted. What a view saw to be free stays free.
    """
    from scipy.ndimage import uniform_filter

    seen = weight > 0
    # The filter gives means over 3 x 3 x 3 samples.
    share = uniform_filter(seen.astype(np.float32), 3, mode="constant")
    mean = uniform_filter(np.where(seen, distance, np.float32(0)), 3, mode="constant")
    closed = ~seen & (share > (least - 0.5) / 27)
    distance[closed] = mean[closed] / share[closed]
    weight[closed] = _BORROWED


def extract(distance: np.ndarray, weight: np.ndarray, grid: Grid) -> TriangleMesh:
    """Return the zero level where all eight corners of a cell were seen, facing free space."""
    from skimage.measure import marching_cubes

    seen = weight > 0
    cell = seen[1:, 1:, 1:].copy()
    for i in range(8):
        a, b, c = i & 1, i >> 1 & 1, i >> 2 & 1
        cell &= seen[a : len(seen) - 1 + a, b : seen.shape[1] - 1 + b, c : seen.shape[2] - 1 + c]
    # The mask of marching_cubes is read at the far corner of a cell.
    mask = np.zeros(grid.shape, bool)
    mask[1:, 1:, 1:] = cell
    if not mask.any() or not (distance[mask].min() < 0 < distance[mask].max()):
        return TriangleMesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    vertices, faces, _, _ = marching_cubes(distance, 0.0, mask=mask, gradient_direction="descent")
    return TriangleMesh((vertices * grid.voxel + grid.origin).astype(np.float32), faces.astype(np.int32))


def _seen_box(
    depth: np.ndarray, pose: np.ndarray, intrinsics: np.ndarray, grid: Grid, *, margin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and past-the-last grid index that the view can reach, up to `margin` behind its depth."""
    height, width = depth.shape
    fx, fy, cx, cy = intrinsics
    far = float(depth.max()) + margin
    corners = [((u - cx) / fx * far, (v - cy) / fy * far, far) for u in (0.0, width) for v in (0.0, height)]
    world = np.array([*corners, (0.0, 0.0, 0.0)]) @ pose[:3, :3].T + pose[:3, 3]
    low = np.floor((world.min(axis=0) - grid.origin) / grid.voxel)
    high = np.ceil((world.max(axis=0) - grid.origin) / grid.voxel) + 1
    return np.clip(low, 0, grid.shape).astype(int), np.clip(high, 0, grid.shape).astype(int)


@functools.cache
def _compiled_kernel() -> Callable[..., None]:
    # Compiled on first use, since importing numba takes longer than most commands run.
    import numba

    return numba.njit(nogil=True, cache=True)(_integrate_view)


def _integrate_view(
    distance: np.ndarray,
    weight: np.ndarray,
    depth: np.ndarray,
    steps: np.ndarray,
    offset: np.ndarray,
    truncation: np.float32,
) -> None:
    """Add one view to the running means of a part of the grid, in place.

    `offset` is (u z, v z, z) of the part's first sample and `steps` (3, 3) how it grows along the axes.
    """
    height, width = depth.shape
    one, near, least = np.float32(1), np.float32(1e-3), np.float32(0.5)
    for i in range(distance.shape[0]):
        for j in range(distance.shape[1]):
            uz = np.float32(offset[0] + i * steps[0, 0] + j * steps[0, 1])
            vz = np.float32(offset[1] + i * steps[1, 0] + j * steps[1, 1])
            z = np.float32(offset[2] + i * steps[2, 0] + j * steps[2, 1])
            du, dv, dz = steps[0, 2], steps[1, 2], steps[2, 2]
            for k in range(distance.shape[2]):
                step = np.float32(k)
                depth_here = z + step * dz
                if depth_here <= near:
                    continue
                inverse = one / depth_here
                u, v = (uz + step * du) * inverse, (vz + step * dv) * inverse
                if not (0 <= u < width and 0 <= v < height):
                    continue
                measured = depth[int(v), int(u)]
                gap = measured - depth_here
                if measured <= 0 or gap < -truncation:
                    continue
                # Depth from a camera gets coarser with its square, so near views count more.
                nearness = one / max(measured, least)
                new = nearness * nearness
                total = weight[i, j, k] + new
                distance[i, j, k] += (min(gap / truncation, one) - distance[i, j, k]) * (new / total)
                weight[i, j, k] = total
