"""The conditioning frame's depth as the 3D cache shows it to the decoder from every camera."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from generator.cache.masking import rasterize_depth, reliability_mask, sheet_triangles
from generator.cache.unproject import project, transform, unproject
from generator.cache.warp import splat

_FRAMES_AT_ONCE = 6
_SHEET_CLEARANCE = 0.02
"""Share of its depth by which a surface must lie behind the rubber sheet to be hidden by it."""


def warp_depth(
    depth: Tensor,
    mask: Tensor,
    intrinsics: Tensor,
    c2w: Tensor,
    target_c2w: Tensor,
    target_intrinsics: Tensor,
    *,
    height: int,
    width: int,
) -> tuple[Tensor, Tensor]:
    """Warp one frame's depth into other cameras.

    Args:
        depth: z-depth [m] of the conditioning frame, (H, W).
        mask: 1 where that depth is known, (H, W).
        intrinsics: fx, fy, cx, cy [px] of the conditioning frame, pixel centres at +0.5, (4,).
        c2w: Its pose, OpenCV axes, (4, 4).
        target_c2w: Poses of the cameras to warp to, (F, 4, 4).
        target_intrinsics: Their fx, fy, cx, cy [px], (F, 4).
        height: Rows of the warped maps.
        width: Columns of the warped maps.

    Returns:
        z-depth [m] in the target cameras, 0 in holes, and the mask, 1 where the conditioning frame saw the
        surface and 0 where it is disoccluded or outside, both (F, height, width) float32.
    """
    known = (mask > 0.5) & (depth > 0) & depth.isfinite()
    depth = torch.where(known, depth, 0).float()
    points = unproject(depth[None], intrinsics[None].float())
    # The poses are combined in double precision, so that a world far from its origin costs no accuracy.
    poses = (torch.linalg.inv(target_c2w.double()) @ c2w.double()).float()
    torn = ~reliability_mask(depth)
    torn = torn & (F.max_pool2d((~known)[None].float(), 3, stride=1, padding=1)[0] == 0)
    parts = [
        _warp(points, known, torn, poses[i : i + _FRAMES_AT_ONCE], k, height, width)
        for i, k in zip(
            range(0, len(poses), _FRAMES_AT_ONCE),
            target_intrinsics.float().split(_FRAMES_AT_ONCE),
            strict=True,
        )
    ]
    return torch.cat([d for d, _ in parts]), torch.cat([m for _, m in parts])


def _warp(
    points: Tensor, known: Tensor, torn: Tensor, poses: Tensor, intrinsics: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    seen = transform(poses, points)
    pixels, z = project(seen, intrinsics)
    average, hit = splat(
        z.flatten(1)[:, None],
        pixels.flatten(1, 2),
        z.flatten(1),
        known.flatten()[None].float(),
        height=height,
        width=width,
    )
    warped = average[:, 0]
    sheet = rasterize_depth(sheet_triangles(seen, torn), intrinsics, height=height, width=width)
    hidden = (sheet > 0) & (sheet * (1 + _SHEET_CLEARANCE) < warped)
    hit = hit & ~hidden
    return torch.where(hit, warped, 0), hit.float()


def fill_holes(depth: Tensor, mask: Tensor) -> Tensor:
    """Fill the holes of depth maps from the farther of their neighbours, coarse to fine.

    What a moving camera uncovers lies behind what covered it, so the background is the better guess.

    Args:
        depth: z-depth [m], (F, H, W), read where `mask` is 1.
        mask: 1 where the depth is known, (F, H, W).

    Returns:
        Dense z-depth [m], (F, H, W); unchanged where the mask is 1, and 1 in frames without any depth.
    """
    known = (mask > 0.5) & (depth > 0)
    values = torch.where(known, depth, 1).log()
    return torch.where(known, depth, _fill(values, known.to(depth.dtype)).exp())


def _fill(values: Tensor, weights: Tensor) -> Tensor:
    """Push known log-depths (F, H, W) up a pyramid and pull them down into the holes."""
    height, width = values.shape[-2:]
    if height == 1 and width == 1:
        return values
    pad = (0, width % 2, 0, height % 2)
    blocks_v, blocks_w = (
        F.pad(x, pad).unfold(1, 2, 2).unfold(2, 2, 2).flatten(-2) for x in (values, weights)
    )
    farthest = torch.where(blocks_w > 0, blocks_v, -torch.inf).amax(dim=-1)
    # Far values count e^4 times as much per unit of log-depth, which keeps the fill behind the foreground.
    far_weights = blocks_w * (4 * (blocks_v - torch.where(farthest.isfinite(), farthest, 0)[..., None])).exp()
    total = far_weights.sum(dim=-1)
    average = (far_weights * blocks_v).sum(dim=-1) / total.clamp(min=1e-6)
    coarse = _fill(torch.where(total > 0, average, 0), (total > 0).to(values.dtype))
    fine = F.interpolate(coarse[:, None], size=(height, width), mode="bilinear", align_corners=False)[:, 0]
    return torch.where(weights > 0, values, fine)
