"""Which source pixels to trust, and what a surface torn at depth edges must hide (GEN3C's 3D cache)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_NEAR = 1e-6
"""Depth [m] at which triangles are cut off in front of the camera."""
_MAX_CANDIDATES = 1 << 20
"""Pairs of triangle and pixel that are tested at once, which bounds the memory."""


def reliability_mask(depth: Tensor, *, window: int = 5, max_spread: float = 0.05) -> Tensor:
    """Tell which pixels lie on a surface rather than across a depth edge.

    Args:
        depth: z-depth [m], (..., H, W); 0 or less means unknown.
        window: Side of the neighbourhood [px], odd.
        max_spread: Largest (maximum - minimum) / mean of depth in the neighbourhood.

    Returns:
        Boolean mask, (..., H, W). The mean counts what lies outside of the picture as 0, so its borders
        look less reliable than they are; GEN3C was trained with that.
    """
    maps = depth.reshape(-1, 1, *depth.shape[-2:])
    pad = window // 2
    high = F.max_pool2d(maps, window, stride=1, padding=pad)
    low = -F.max_pool2d(-maps, window, stride=1, padding=pad)
    mean = F.avg_pool2d(maps, window, stride=1, padding=pad)
    reliable = ((high - low) / (mean + 1e-6) < max_spread) & (maps > 0)
    return reliable.reshape(depth.shape)


def depth_jumps(depth: Tensor, *, min_bend: float = 0.03, min_ratio: float = 1.05) -> Tensor:
    """Tell which cells of 2x2 pixels a depth edge runs through, however slanted the surfaces are.

    Planes are linear in inverse depth, so only a bend of inverse depth can be an edge. The spread that
    `reliability_mask` looks at calls floors and side walls edges when the picture is small.

    Args:
        depth: z-depth [m], (H, W); 0 or less means unknown.
        min_bend: Least second difference of inverse depth at one corner of the cell, over inverse depth.
        min_ratio: Least ratio of the largest to the smallest depth of the cell.

    Returns:
        Boolean mask of cells, (H - 1, W - 1); False where a depth is unknown.
    """
    inverse = torch.where(depth > 0, 1 / depth, 0)
    bend = torch.zeros_like(depth)
    bend[:, 1:-1] = (inverse[:, 2:] - 2 * inverse[:, 1:-1] + inverse[:, :-2]).abs()
    bend[1:-1] = torch.maximum(bend[1:-1], (inverse[2:] - 2 * inverse[1:-1] + inverse[:-2]).abs())
    bent = any_corner(bend > min_bend * inverse)
    corners = _cell_corners(depth)
    low, high = corners.amin(dim=0), corners.amax(dim=0)
    return bent & (low > 0) & (high > min_ratio * low)


def any_corner(mask: Tensor) -> Tensor:
    """Return which cells of 2x2 pixels have a corner in a mask, (H, W) to (H - 1, W - 1)."""
    return _cell_corners(mask).any(dim=0)


def _cell_corners(x: Tensor) -> Tensor:
    return torch.stack([x[:-1, :-1], x[:-1, 1:], x[1:, :-1], x[1:, 1:]])


def sheet_triangles(points: Tensor, cells: Tensor) -> Tensor:
    """Span a rubber sheet over cells of a map of points.

    Args:
        points: Points of one source picture, (B, h, w, 3), in any frame.
        cells: Cells of 2x2 pixels to cover, (h - 1, w - 1).

    Returns:
        Corners of the triangles, (B, T, 3, 3).
    """
    row, column = cells.nonzero(as_tuple=True)
    top_left, top_right = points[:, row, column], points[:, row, column + 1]
    bottom_left, bottom_right = points[:, row + 1, column], points[:, row + 1, column + 1]
    upper = torch.stack([top_left, top_right, bottom_left], dim=2)
    lower = torch.stack([top_right, bottom_right, bottom_left], dim=2)
    return torch.cat([upper, lower], dim=1)


def rasterize_depth(
    triangles: Tensor, intrinsics: Tensor, *, height: int, width: int, pixel_center: float = 0.5
) -> Tensor:
    """Return the depth at which each pixel's ray first meets a triangle, seen from either side.

    Args:
        triangles: Corners [m] in the camera frames, (B, T, 3, 3). They may reach behind the camera.
        intrinsics: fx, fy, cx, cy [px], (B, 4).
        height: Rows of the pictures.
        width: Columns of the pictures.
        pixel_center: Coordinate of the centre of the first pixel.

    Returns:
        z-depth [m], (B, height, width); 0 where nothing is met.
    """
    nearest = triangles.new_full((len(triangles) * height * width,), torch.inf)
    low, extent = _row_bounds(triangles, intrinsics, height, pixel_center)
    edges, volume = _edge_functions(triangles, intrinsics)
    picture, triangle = ((extent > 0) & (volume != 0)).nonzero(as_tuple=True)
    low, extent, edges, volume = (x[picture, triangle] for x in (low, extent, edges, volume))
    # With the sign of the volume taken out, the visible side of every triangle is where all functions are >= 0.
    edges, volume = edges * volume.sign()[:, None, None], volume.abs()
    owner, place = _enumerate(extent)
    row = low[owner] + place
    across = edges[owner, :, 0]
    along = torch.addcmul(edges[owner, :, 2], edges[owner, :, 1], row[:, None] + pixel_center)
    begin, count = _columns_inside(across, along, width, pixel_center)
    across, along = across.sum(dim=-1), along.sum(dim=-1)
    start, volume = (picture[owner] * height + row) * width + begin, volume[owner]
    for part in _split_by_total(count, _MAX_CANDIDATES):
        span, place = _enumerate(count[part])
        span = span + part[0]
        column = begin[span] + place + pixel_center
        z = volume[span] / torch.addcmul(along[span], across[span], column)
        nearest.scatter_reduce_(0, start[span] + place, torch.where(z > _NEAR, z, torch.inf), "amin")
    return torch.where(nearest.isfinite(), nearest, 0).reshape(len(triangles), height, width)


def _columns_inside(across: Tensor, along: Tensor, width: int, pixel_center: float) -> tuple[Tensor, Tensor]:
    """Return the first column and the number of columns at which across * x + along >= 0 for all three functions."""
    bound = -along / across - pixel_center
    low = torch.where(across > 0, bound, -torch.inf).amax(dim=-1).ceil().clamp(0, width)
    high = torch.where(across < 0, bound, torch.inf).amin(dim=-1).floor().clamp(-1, width - 1)
    possible = ((across != 0) | (along >= 0)).all(dim=-1)
    return low.long(), torch.where(possible, (high - low + 1).clamp(min=0), 0).long()


def _enumerate(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return owner and running number of every item where owner i has `counts[i]` items."""
    owner = torch.repeat_interleave(counts)
    first = torch.cumsum(counts, 0) - counts
    return owner, torch.arange(len(owner), device=owner.device) - first[owner]


def _edge_functions(triangles: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Return the three homogeneous edge functions of pixel coordinates and the signed volume of each triangle.

    With d the ray of a pixel scaled to z = 1 and a, b, c the corners, the functions are d.(b x c), d.(c x a)
    and d.(a x b). The ray meets the triangle where they agree in sign, at depth a.(b x c) over their sum,
    also for triangles that reach behind the camera (Olano and Greer 1997).
    """
    following, last = triangles.roll(-1, dims=-2), triangles.roll(-2, dims=-2)
    normals = torch.linalg.cross(following, last)
    volume = (triangles[..., 0, :] * normals[..., 0, :]).sum(dim=-1)
    fx, fy, cx, cy = (intrinsics[:, i, None, None] for i in range(4))
    x, y = normals[..., 0] / fx, normals[..., 1] / fy
    return torch.stack([x, y, normals[..., 2] - cx * x - cy * y], dim=-1), volume


def _row_bounds(
    triangles: Tensor, intrinsics: Tensor, height: int, pixel_center: float
) -> tuple[Tensor, Tensor]:
    """Return the first row and the number of rows that each triangle can cover, (B, T)."""
    following = triangles.roll(-1, dims=-2)
    z, z_following = triangles[..., 2], following[..., 2]
    crosses = (z > _NEAR) != (z_following > _NEAR)
    share = torch.where(crosses, (_NEAR - z) / (z_following - z), 0)
    cut = triangles[..., 1] + share * (following[..., 1] - triangles[..., 1])
    y = torch.cat([triangles[..., 1] / z.clamp(min=_NEAR), cut / _NEAR], dim=-1)
    row = y * intrinsics[:, None, None, 1] + intrinsics[:, None, None, 3] - pixel_center
    visible = torch.cat([z > _NEAR, crosses], dim=-1)
    low = torch.where(visible, row, torch.inf).amin(dim=-1).ceil().clamp(0, height)
    high = torch.where(visible, row, -torch.inf).amax(dim=-1).floor().clamp(-1, height - 1)
    return low.long(), (high - low + 1).clamp(min=0).long()


def _split_by_total(sizes: Tensor, most: int) -> list[Tensor]:
    """Cut indices into runs whose sizes sum to about `most` at the most."""
    if not len(sizes):
        return []
    run = torch.div(torch.cumsum(sizes, 0), most, rounding_mode="floor")
    counts = torch.unique_consecutive(run, return_counts=True)[1]
    return list(torch.arange(len(sizes), device=sizes.device).split(counts.tolist()))
