"""From pixels with depth to points and back (OpenCV axes, intrinsics fx, fy, cx, cy [px])."""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_rays(intrinsics: Tensor, height: int, width: int, *, pixel_center: float = 0.5) -> Tensor:
    """Return the camera-frame rays through all pixels, scaled to z = 1.

    Args:
        intrinsics: fx, fy, cx, cy [px], (..., 4).
        height: Rows of the picture.
        width: Columns of the picture.
        pixel_center: Coordinate of the centre of the first pixel; GEN3C's own code uses 0.

    Returns:
        Rays (x, y, 1), (..., height, width, 3).
    """
    fx, fy, cx, cy = (intrinsics[..., i, None, None] for i in range(4))
    column = torch.arange(width, dtype=intrinsics.dtype, device=intrinsics.device) + pixel_center
    row = torch.arange(height, dtype=intrinsics.dtype, device=intrinsics.device)[:, None] + pixel_center
    x, y = torch.broadcast_tensors((column - cx) / fx, (row - cy) / fy)
    return torch.stack([x, y, torch.ones_like(x)], dim=-1)


def unproject(
    depth: Tensor,
    intrinsics: Tensor,
    w2c: Tensor | None = None,
    *,
    pixel_center: float = 0.5,
    is_ray_distance: bool = False,
) -> Tensor:
    """Lift depth maps to points.

    Args:
        depth: z-depth [m], or distance along the ray, (..., H, W); 0 or less means unknown.
        intrinsics: fx, fy, cx, cy [px], (..., 4).
        w2c: World-to-camera poses, (..., 4, 4); without them the points stay in the camera frame.
        pixel_center: Coordinate of the centre of the first pixel.
        is_ray_distance: Whether `depth` is the distance along the ray instead of z.

    Returns:
        Points [m], (..., H, W, 3); the origin where depth is unknown.
    """
    rays = pixel_rays(intrinsics, depth.shape[-2], depth.shape[-1], pixel_center=pixel_center)
    if is_ray_distance:
        rays = rays / rays.norm(dim=-1, keepdim=True)
    points = rays * depth[..., None]
    if w2c is not None:
        points = transform(torch.linalg.inv(w2c), points)
    return torch.where(depth[..., None] > 0, points, torch.zeros_like(points))


def transform(poses: Tensor, points: Tensor) -> Tensor:
    """Apply rigid transforms, (..., 4, 4), to maps of points, (..., H, W, 3)."""
    rotation, translation = poses[..., None, :3, :3], poses[..., None, None, :3, 3]
    return points @ rotation.transpose(-1, -2) + translation


def project(points: Tensor, intrinsics: Tensor, *, pixel_center: float = 0.5) -> tuple[Tensor, Tensor]:
    """Project camera-frame points, (..., H, W, 3), with intrinsics, (..., 4).

    Returns:
        Pixel coordinates (column, row) that are integers at pixel centres, (..., H, W, 2), and z, (..., H, W).
        The coordinates of points with z <= 0 mean nothing.
    """
    focal, centre = intrinsics[..., None, None, :2], intrinsics[..., None, None, 2:]
    depth = points[..., 2]
    return points[..., :2] * focal / (depth[..., None] + 1e-7) + (centre - pixel_center), depth
