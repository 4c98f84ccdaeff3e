"""The planes that bound a scene (floor, walls, ceiling), to continue it where the conditioning frame saw nothing."""

from __future__ import annotations

import torch
from torch import Tensor

_MAX_PLANES = 8
_MAX_POINTS = 4000
_MAX_CANDIDATES = 400
_INLIER_DISTANCE = 0.01
"""Largest distance of an inlier from its plane, over the depth of the point."""
_MIN_INLIER_SHARE = 0.015
"""Share of all points that a plane must explain and no earlier plane explains."""
_MAX_BEHIND_SHARE = 0.03
"""Share of all points that may lie behind a plane, as through a door."""


def supporting_planes(points: Tensor, known: Tensor) -> Tensor:
    """Find planes that many points lie on and hardly any lie behind.

    Every sampled point proposes the plane through its neighbours; the proposals are taken greedily by how many
    points they newly explain, and refined by least squares. Nothing is drawn at random.

    Args:
        points: Points [m] of one picture in its camera frame, (H, W, 3).
        known: Pixels whose points are known, (H, W).

    Returns:
        Planes as (nx, ny, nz, d) with unit normals towards the camera and n.x = d on the plane, (P, 4).
    """
    step = max(1, round((known.numel() / _MAX_POINTS) ** 0.5))
    places, normals = _normals(points, known, step)
    if not len(places):
        return points.new_zeros(0, 4)
    chosen = torch.arange(0, len(places), max(1, len(places) // _MAX_CANDIDATES), device=points.device)
    candidates = torch.cat([normals[chosen], (normals[chosen] * places[chosen]).sum(-1, keepdim=True)], dim=1)
    tolerance = _INLIER_DISTANCE * places[:, 2]
    distance = candidates[:, :3] @ places.T - candidates[:, 3:]
    agrees = (candidates[:, :3] @ normals.T) > 0.9
    inliers = (distance.abs() < tolerance) & agrees
    inliers &= ((distance < -3 * tolerance).float().mean(dim=1) < _MAX_BEHIND_SHARE)[:, None]
    planes: list[Tensor] = []
    free = torch.ones(len(places), dtype=torch.bool, device=points.device)
    while len(planes) < _MAX_PLANES:
        counts = (inliers & free).sum(dim=1)
        best = counts.argmax()
        if counts[best] < _MIN_INLIER_SHARE * len(places):
            break
        planes.append(_fit(places[inliers[best]]))
        free &= ~inliers[best]
    return torch.stack(planes) if planes else points.new_zeros(0, 4)


def envelope_depth(
    planes: Tensor,
    poses: Tensor,
    intrinsics: Tensor,
    *,
    height: int,
    width: int,
    farthest: float,
    pixel_center: float = 0.5,
) -> Tensor:
    """Return the z-depth at which the rays of pixels leave the space in front of all planes.

    Args:
        planes: Planes (n, d) in the source camera's frame, (P, 4).
        poses: Source camera to target cameras, (B, 4, 4).
        intrinsics: fx, fy, cx, cy [px] of the target cameras, (B, 4).
        height: Rows of the maps.
        width: Columns of the maps.
        farthest: Depth [m] where a ray leaves through no plane.
        pixel_center: Coordinate of the centre of the first pixel.

    Returns:
        z-depth [m], (B, height, width), positive and at most `farthest`.
    """
    fx, fy, cx, cy = (intrinsics[:, i, None] for i in range(4))
    x = (torch.arange(width, device=planes.device) + pixel_center - cx) / fx
    y = (torch.arange(height, device=planes.device) + pixel_center - cy) / fy
    inverse = poses.new_full((len(poses), height, width), 1 / farthest)
    for plane in planes:
        normal = poses[:, :3, :3] @ plane[:3]
        offset = plane[3] + (normal * poses[:, :3, 3]).sum(-1)
        # A camera that has passed through the plane is not bounded by it.
        slope = torch.where(offset[:, None] < 0, normal / offset[:, None], 0)
        column = slope[:, :1] * x + slope[:, 2:]
        torch.maximum(inverse, column[:, None] + (slope[:, 1:2] * y)[:, :, None], out=inverse)
    return 1 / inverse


def _normals(points: Tensor, known: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Return sampled points and their unit normals towards the camera, (N, 3) each."""
    across = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    whole = known[1:-1, 2:] & known[1:-1, :-2] & known[2:, 1:-1] & known[:-2, 1:-1] & known[1:-1, 1:-1]
    normal = torch.linalg.cross(across, down)[::step, ::step]
    place = points[1:-1, 1:-1][::step, ::step]
    length = normal.norm(dim=-1)
    use = whole[::step, ::step] & (length > 0)
    place, normal = place[use], normal[use] / length[use][:, None]
    return place, normal * -torch.sign((normal * place).sum(-1, keepdim=True))


def _fit(places: Tensor) -> Tensor:
    """Fit a plane to points, weighted by 1 / z as their errors grow with distance."""
    weights = 1 / places[:, 2:]
    centre = (places * weights).sum(0) / weights.sum()
    normal = torch.linalg.svd((places - centre) * weights, full_matrices=False).Vh[-1]
    normal = normal * -torch.sign(normal @ centre)
    return torch.cat([normal, (normal @ centre)[None]])
