"""The renderer in plain PyTorch: any dtype, autograd throughout, slow; the oracle of the other backends.

Camera frame: OpenCV (x right, y down, z forward). Image coordinates in pixels, pixel centres at +0.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from generator.render import lens
from generator.render.request import (
    ALPHA_MIN,
    DEPTH_ALPHA_MIN,
    EPS2D,
    SCALE_MIN,
    TILE,
    TRANSMITTANCE_MIN,
    UT_BETA,
    UT_MARGIN,
    UT_SPREAD,
    Rendering,
    Request,
)

EXTENT = math.sqrt(2.0 * math.log(1.0 / ALPHA_MIN))
"""Standard deviations at which a Gaussian of opacity 1 falls below ALPHA_MIN, about 3.33."""


@dataclass(frozen=True)
class Footprints:
    """Hold the M Gaussians that a view may show, front to back."""

    center: torch.Tensor
    """Centres in the camera frame [m], (M, 3)."""
    axes: torch.Tensor
    """Local axes times standard deviations as columns, camera frame [m], (M, 3, 3)."""
    mean2d: torch.Tensor
    """Image of the centre [px], (M, 2)."""
    conic: torch.Tensor
    """Inverse image covariance: xx, xy, yy [1/px^2], (M, 3); unused by 3DGUT."""
    box: torch.Tensor
    """Support on the image: x0, y0, x1, y1 [px], (M, 4), without gradient."""
    opacity: torch.Tensor
    """(M,)"""
    features: torch.Tensor
    """Colours, camera z and 1 (which composites to alpha), (M, C + 2)."""


def render(
    means: torch.Tensor,
    scales: torch.Tensor,
    rotations: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
    c2w: torch.Tensor,
    intrinsics: torch.Tensor,
    request: Request,
) -> Rendering:
    """Render every view; arguments as in `generator.render.rasterize`."""
    c2w, intrinsics = c2w.to(means), intrinsics.to(means)
    axes = rotation_matrices(rotations) * scales.clamp(min=SCALE_MIN)[:, None, :]
    views = []
    for pose, camera in zip(c2w, intrinsics, strict=True):
        footprints = _project(means, axes, opacities, colors, pose, camera, request)
        views.append(_composite(footprints, camera, request))
    if not views:
        # The sum ties the empty images to the Gaussians, whose gradients are then zeros instead of missing.
        empty = means.new_zeros(0, request.height, request.width) + 0 * sum(
            tensor.sum() for tensor in (means, scales, rotations, opacities, colors)
        )
        return Rendering(empty[..., None].expand(-1, -1, -1, colors.shape[1]), empty, empty, empty)
    sums, medians = torch.stack([view[0] for view in views]), torch.stack([view[1] for view in views])
    alpha = sums[..., -1]
    background = means.new_tensor(request.background_of(colors.shape[1]))
    rgb = sums[..., :-2] + (1 - alpha)[..., None] * background
    return Rendering(rgb, sums[..., -2] / alpha.clamp(min=DEPTH_ALPHA_MIN), medians, alpha)


def rotation_matrices(rotations: torch.Tensor) -> torch.Tensor:
    """Turn quaternions wxyz (N, 4) into rotation matrices (N, 3, 3); a zero quaternion is the identity."""
    w, x, y, z = torch.unbind(rotations / rotations.norm(dim=-1, keepdim=True).clamp(min=1e-12), dim=-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _project(
    means: torch.Tensor,
    axes: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
    c2w: torch.Tensor,
    camera: torch.Tensor,
    request: Request,
) -> Footprints:
    """Move the Gaussians into the camera frame, drop those that cannot be seen, sort by camera z."""
    rotation = c2w[:3, :3].T
    center = (means - c2w[:3, 3]) @ rotation.T
    z = center[:, 2].detach()
    candidates = torch.nonzero((z >= request.near) & (z <= request.far) & (opacities >= ALPHA_MIN))[:, 0]
    order = candidates[torch.argsort(z[candidates], stable=True)]
    center, axes, opacity = center[order], rotation @ axes[order], opacities[order]
    mean2d, covariance, valid = (_unscented if request.projection == "3dgut" else _affine)(
        center, axes, camera, request
    )
    covariance = covariance + EPS2D * torch.eye(2).to(covariance)
    a, b, c = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    conic = torch.stack([c, -b, a], dim=-1) / (a * c - b * b)[:, None]
    box = _support(mean2d.detach(), a.detach(), c.detach(), opacity.detach(), request)
    size = box.new_tensor([request.width, request.height])
    keep = valid & (box[:, 2:] > 0).all(dim=-1) & (box[:, :2] < size).all(dim=-1)
    features = torch.cat([colors[order], center[:, 2:], torch.ones_like(center[:, 2:])], dim=-1)
    fields = (center, axes, mean2d, conic, box, opacity, features)
    return Footprints(*(field[keep] for field in fields))


def _support(
    mean2d: torch.Tensor, var_x: torch.Tensor, var_y: torch.Tensor, opacity: torch.Tensor, request: Request
) -> torch.Tensor:
    """Return the box outside of which alpha < ALPHA_MIN; for 3DGUT, which it truncates, rounded out to tiles."""
    extent = torch.sqrt(2.0 * torch.log((opacity / ALPHA_MIN).clamp(min=1.0))).clamp(max=EXTENT)
    half = torch.ceil(extent[:, None] * torch.sqrt(torch.stack([var_x, var_y], dim=-1)))
    low, high = mean2d - half, mean2d + half
    if request.projection == "3dgut":
        low, high = torch.floor(low / TILE) * TILE, torch.ceil(high / TILE) * TILE
    return torch.cat([low, high], dim=-1)


def _affine(
    center: torch.Tensor, axes: torch.Tensor, camera: torch.Tensor, request: Request
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Project by the first-order expansion of the camera at each centre (EWA splatting).

    Returns:
        Image means (M, 2), image covariances (M, 2, 2), and which Gaussians the camera can see (M,).
    """
    if request.camera_model == "fisheye":
        mean2d, valid = _fisheye(center, camera, request)
        jacobian = _fisheye_jacobian(center, camera, request)
    else:
        mean2d, valid = _pinhole(center, camera)
        jacobian = _pinhole_jacobian(center, camera, request)
    spread = jacobian @ axes
    return mean2d, spread @ spread.transpose(-1, -2), valid


def _pinhole(points: torch.Tensor, camera: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    valid = points[..., 2] > 0
    z = torch.where(valid, points[..., 2], torch.ones_like(points[..., 2]))
    return points[..., :2] / z[..., None] * camera[:2] + camera[2:], valid


def _pinhole_jacobian(center: torch.Tensor, camera: torch.Tensor, request: Request) -> torch.Tensor:
    """Return d(u, v)/d(x, y, z), (M, 2, 3), with the slope clamped 30% of the field of view outside the image."""
    size = camera.new_tensor([request.width, request.height])
    margin = 0.15 * size / camera[:2]
    z = center[:, 2:]
    slope = (center[:, :2] / z).clamp(
        min=-(camera[2:] / camera[:2] + margin), max=(size - camera[2:]) / camera[:2] + margin
    )
    scale = camera[:2] / z
    return torch.cat([torch.diag_embed(scale), -(scale * slope)[..., None]], dim=-1)


def _fisheye(
    points: torch.Tensor, camera: torch.Tensor, request: Request
) -> tuple[torch.Tensor, torch.Tensor]:
    x, y, z = torch.unbind(points, dim=-1)
    radius = torch.sqrt((x * x + y * y).clamp(min=1e-20))
    theta = torch.atan2(radius, z)
    theta2 = theta * theta
    k1, k2, k3, k4 = request.distortion
    factor = 1 + theta2 * (k1 + theta2 * (k2 + theta2 * (k3 + theta2 * k4)))
    scale = theta * factor / radius
    image = torch.stack([x * scale, y * scale], dim=-1) * camera[:2] + camera[2:]
    return image, theta < lens.largest_angle(request.distortion)


def _fisheye_jacobian(center: torch.Tensor, camera: torch.Tensor, request: Request) -> torch.Tensor:
    """Return d(u, v)/d(x, y, z), (M, 2, 3), differentiable once more."""

    def project(point: torch.Tensor) -> torch.Tensor:
        return _fisheye(point, camera, request)[0]

    if not len(center):
        return center.new_zeros(0, 2, 3)
    return torch.func.vmap(torch.func.jacrev(project))(center)


def _unscented(
    center: torch.Tensor, axes: torch.Tensor, camera: torch.Tensor, request: Request
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Project by the unscented transform (3DGUT, section 3.2; weights after Wan and van der Merwe 2000).

    Returns:
        Image means (M, 2), image covariances (M, 2, 2), and which Gaussians have all sigma points in view (M,).
    """
    spread = 3.0 * UT_SPREAD**2
    offsets = math.sqrt(spread) * axes.transpose(-1, -2)
    points = torch.cat([center[:, None], center[:, None] + offsets, center[:, None] - offsets], dim=1)
    if request.camera_model == "fisheye":
        images, valid = _fisheye(points, camera, request)
    else:
        images, valid = _pinhole(points, camera)
    size = camera.new_tensor([request.width, request.height])
    inside = ((images >= -UT_MARGIN * size) & (images < (1 + UT_MARGIN) * size)).all(dim=-1)
    others = 1.0 / (2.0 * spread)
    # Weights sum to 1, so differences to the central point need its weight only in the covariance.
    deltas = images - images[:, :1]
    mean = others * deltas.sum(dim=1)
    central = 1.0 - 6.0 * others + (1.0 - UT_SPREAD**2 + UT_BETA)
    residuals = deltas - mean[:, None]
    weights = images.new_tensor([central] + [others] * 6)
    covariance = torch.einsum("k,mki,mkj->mij", weights, residuals, residuals)
    return images[:, 0] + mean, covariance, (valid & inside).all(dim=1)


def _composite(
    footprints: Footprints, camera: torch.Tensor, request: Request
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend front to back, tile by tile.

    Returns:
        Weighted sums of the features (H, W, C + 2) and median depth (H, W).
    """
    rays = None
    if request.projection == "3dgut":
        rays = _rays(camera, request)
    rows, median_rows = [], []
    for y in range(0, request.height, TILE):
        tiles = [_composite_tile(footprints, rays, x, y, request) for x in range(0, request.width, TILE)]
        rows.append(torch.cat([tile[0] for tile in tiles], dim=1))
        median_rows.append(torch.cat([tile[1] for tile in tiles], dim=1))
    return torch.cat(rows), torch.cat(median_rows)


def _composite_tile(
    footprints: Footprints, rays: torch.Tensor | None, x0: int, y0: int, request: Request
) -> tuple[torch.Tensor, torch.Tensor]:
    x1, y1 = min(x0 + TILE, request.width), min(y0 + TILE, request.height)
    box = footprints.box
    inside = (box[:, 0] < x1) & (box[:, 2] > x0) & (box[:, 1] < y1) & (box[:, 3] > y0)
    index = torch.nonzero(inside)[:, 0]
    features = footprints.features[index]
    if rays is None:
        half_distance = _image_distance(footprints.mean2d[index], footprints.conic[index], x0, y0, x1, y1)
    else:
        tile_rays = rays[y0:y1, x0:x1].reshape(-1, 3)
        half_distance = _ray_distance(footprints.center[index], footprints.axes[index], tile_rays)
    alpha = (footprints.opacity[index] * torch.exp(-half_distance)).clamp(max=request.alpha_cap)
    alpha = torch.where((alpha >= ALPHA_MIN) & (half_distance >= 0), alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1 - alpha, dim=1)
    before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], dim=1)
    going = after > TRANSMITTANCE_MIN
    weights = torch.where(going, alpha * before, torch.zeros_like(alpha))
    crossing = (before > 0.5) & (after <= 0.5)
    median = (crossing * features[:, -2]).sum(dim=1).detach()
    shape = (y1 - y0, x1 - x0)
    return (weights @ features).reshape(*shape, -1), median.reshape(shape)


def _image_distance(
    mean2d: torch.Tensor, conic: torch.Tensor, x0: int, y0: int, x1: int, y1: int
) -> torch.Tensor:
    """Return half the squared Mahalanobis distance on the image, (pixels, M)."""
    y, x = torch.meshgrid(torch.arange(y0, y1), torch.arange(x0, x1), indexing="ij")
    dx = (x.to(mean2d) + 0.5).reshape(-1, 1) - mean2d[:, 0]
    dy = (y.to(mean2d) + 0.5).reshape(-1, 1) - mean2d[:, 1]
    return 0.5 * (conic[:, 0] * dx * dx + conic[:, 2] * dy * dy) + conic[:, 1] * dx * dy


def _ray_distance(center: torch.Tensor, axes: torch.Tensor, rays: torch.Tensor) -> torch.Tensor:
    """Return half the squared distance from ray to centre where the Gaussian is a unit ball, (pixels, M)."""
    whiten = axes.transpose(-1, -2) / (axes * axes).sum(dim=-2)[:, :, None]
    origin = -(whiten @ center[..., None])[..., 0]
    direction = torch.einsum("mij,pj->pmi", whiten, rays)
    missing = (rays == 0).all(dim=-1)[:, None]
    length = direction.norm(dim=-1).clamp(min=1e-12)
    across = torch.linalg.cross(direction / length[..., None], origin.expand_as(direction), dim=-1)
    half = 0.5 * (across * across).sum(dim=-1)
    return torch.where(missing, torch.full_like(half, torch.inf), half)


def _rays(camera: torch.Tensor, request: Request) -> torch.Tensor:
    """Return the viewing direction of every pixel centre in the camera frame, (H, W, 3), of any length."""
    if request.camera_model == "fisheye":
        rays = lens.pixel_rays(
            request.height, request.width, camera.cpu().double().numpy(), request.distortion
        )
        return torch.from_numpy(rays).to(camera)
    x = (torch.arange(request.width).to(camera) + 0.5 - camera[2]) / camera[0]
    y = (torch.arange(request.height).to(camera) + 0.5 - camera[3]) / camera[1]
    grid = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid[1], grid[0], torch.ones_like(grid[0])], dim=-1)
