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


def sheet_triangles(points: Tensor, torn: Tensor) -> Tensor:
    """Span a rubber sheet over the depth edges of a map of points.

    Args:
        points: Points of one source picture, (B, h, w, 3), in any frame.
        torn: Pixels at depth edges, (h, w); every cell of 2x2 pixels with such a corner is covered.

    Returns:
        Corners of the triangles, (B, T, 3, 3).
    """
    cells = F.max_pool2d(torn[None, None].float(), 2, stride=1)[0, 0] > 0
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
    batch = len(triangles)
    nearest = triangles.new_full((batch * height * width,), torch.inf)
    low, extent = _pixel_bounds(triangles, intrinsics, height, width, pixel_center)
    area = extent.prod(dim=-1)
    edges, volume = _edge_functions(triangles, intrinsics)
    kept = (area > 0).nonzero(as_tuple=True)
    low, extent, area, edges, volume = (x[kept] for x in (low, extent, area, edges, volume))
    for part in _split_by_total(area, _MAX_CANDIDATES):
        owner = torch.repeat_interleave(part, area[part])
        first = torch.cumsum(area[part], 0) - area[part]
        place = torch.arange(len(owner), device=owner.device) - torch.repeat_interleave(first, area[part])
        column = low[owner, 0] + place % extent[owner, 0]
        row = low[owner, 1] + torch.div(place, extent[owner, 0], rounding_mode="floor")
        pixel = torch.stack([column, row], dim=-1) + pixel_center
        inside_of = edges[owner]
        side = inside_of[..., 0] * pixel[:, :1] + inside_of[..., 1] * pixel[:, 1:] + inside_of[..., 2]
        z = volume[owner] / side.sum(dim=-1)
        hit = ((side >= 0).all(dim=-1) | (side <= 0).all(dim=-1)) & (z > _NEAR) & z.isfinite()
        target = (kept[0][owner] * height + row) * width + column
        nearest.scatter_reduce_(0, target[hit], z[hit], "amin")
    return torch.where(nearest.isfinite(), nearest, 0).reshape(batch, height, width)


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


def _pixel_bounds(
    triangles: Tensor, intrinsics: Tensor, height: int, width: int, pixel_center: float
) -> tuple[Tensor, Tensor]:
    """Return the first pixel (column, row) and the extent of each triangle's box in the picture, (B, T, 2)."""
    following = triangles.roll(-1, dims=-2)
    z, z_following = triangles[..., 2], following[..., 2]
    crosses = (z > _NEAR) != (z_following > _NEAR)
    share = torch.where(crosses, (_NEAR - z) / (z_following - z), 0)
    cut = triangles + share[..., None] * (following - triangles)
    corners = torch.cat([triangles, cut], dim=-2)
    visible = torch.cat([z > _NEAR, crosses], dim=-1)[..., None]
    focal, centre = intrinsics[:, None, None, :2], intrinsics[:, None, None, 2:]
    pixels = corners[..., :2] * focal / corners[..., 2:].clamp(min=_NEAR) + (centre - pixel_center)
    limits = pixels.new_tensor([width - 1, height - 1])
    low = torch.where(visible, pixels, torch.inf).amin(dim=-2).ceil().clamp(min=0)
    high = torch.minimum(torch.where(visible, pixels, -torch.inf).amax(dim=-2).floor(), limits)
    return low.clamp(max=1e6).long(), (high - low + 1).clamp(min=0).nan_to_num(nan=0.0).long()


def _split_by_total(sizes: Tensor, most: int) -> list[Tensor]:
    """Cut indices into runs whose sizes sum to about `most` at the most."""
    if not len(sizes):
        return []
    run = torch.div(torch.cumsum(sizes, 0), most, rounding_mode="floor")
    counts = torch.unique_consecutive(run, return_counts=True)[1]
    return list(torch.arange(len(sizes), device=sizes.device).split(counts.tolist()))
