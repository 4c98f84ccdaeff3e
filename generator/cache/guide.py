"""The conditioning frame's depth as the 3D cache shows it to the decoder from every camera."""

from __future__ import annotations

import torch
from torch import Tensor

from generator.cache.fill import push_pull
from generator.cache.masking import depth_jumps, rasterize_depth, sheet_triangles
from generator.cache.planes import envelope_depth, supporting_planes
from generator.cache.unproject import project, transform, unproject
from generator.cache.warp import splat

_FRAMES_AT_ONCE = 6
_REACH = 0.6
"""Distance up to which a point is seen, in units of the distance between neighbouring points; half would do
for surfaces that face the camera, slanted ones need a little more."""
_SHEET_CLEARANCE = 0.02
"""Share of its depth by which a surface must lie behind the rubber sheet to be hidden by it."""
_FARTHEST = 3.0
"""Depth of open space, in units of the largest known depth."""
_SNAP = 0.2
"""Log-depth within which a guess is taken to lie on the planes that bound the scene: an average of the
background and of what stands before it is neither."""


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

    What that frame did not see gets a guess: the planes that bound the scene, or, where something stands in
    front of them, the background next to the hole.

    Args:
        depth: z-depth [m] of the conditioning frame, (H, W).
        mask: 1 where that depth is known, (H, W).
        intrinsics: fx, fy, cx, cy [px] of the conditioning frame, pixel centres at +0.5, (4,).
        c2w: Its pose, OpenCV axes, (4, 4).
        target_c2w: Poses of the cameras to warp to, (F, 4, 4).
        target_intrinsics: Their fx, fy, cx, cy [px], (F, 4).
        height: Rows of the warped maps, at most twice those of the conditioning frame for maps without cracks.
        width: Columns of the warped maps.

    Returns:
        Dense z-depth [m] in the target cameras, and the mask, 1 where the conditioning frame saw the surface
        and 0 where the depth is a guess, both (F, height, width) float32.
    """
    known = (mask > 0.5) & (depth > 0) & depth.isfinite()
    depth = torch.where(known, depth, 0).float()
    points = unproject(depth, intrinsics.float())
    planes = supporting_planes(points, known)
    cells = depth_jumps(depth)
    farthest = _FARTHEST * (float(depth.max()) or 1.0)
    # The poses are combined in double precision, so that a world far from its origin costs no accuracy.
    poses = (torch.linalg.inv(target_c2w.double()) @ c2w.double()).float()
    depths, masks = [], []
    for pose, camera in zip(
        poses.split(_FRAMES_AT_ONCE), target_intrinsics.float().split(_FRAMES_AT_ONCE), strict=True
    ):
        seen = transform(pose, points)
        spread = depth.flatten() * (camera[:, :1] / intrinsics[0].float())
        warped, hit = _splat_depth(seen, spread, camera, height, width)
        sheet = rasterize_depth(sheet_triangles(seen, cells), camera, height=height, width=width)
        hit = hit & ~((sheet > 0) & (sheet * (1 + _SHEET_CLEARANCE) < warped))
        envelope = envelope_depth(planes, pose, camera, height=height, width=width, farthest=farthest)
        depths.append(torch.where(hit, warped, _guess(warped, hit, envelope)))
        masks.append(hit.float())
    return torch.cat(depths), torch.cat(masks)


def _splat_depth(
    seen: Tensor, spread: Tensor, intrinsics: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Splat the depth of points (B, H, W, 3).

    `spread`, (B, H W), is the depth at which neighbouring points lie one target pixel apart, 0 where unknown.
    """
    pixels, z = project(seen, intrinsics)
    average, hit = splat(
        z.flatten(1)[:, None],
        pixels.flatten(1, 2),
        z.flatten(1),
        (spread > 0).float(),
        height=height,
        width=width,
        reach=(_REACH * spread / z.flatten(1).clamp(min=1e-6) + 0.05).clamp(max=1),
    )
    return average[:, 0], hit


def _guess(warped: Tensor, hit: Tensor, envelope: Tensor) -> Tensor:
    """Continue known depth into holes: as a share of the envelope's depth, at half the resolution."""
    share = torch.where(hit, warped / envelope, 1).log().clamp(max=0)
    share = push_pull(share[:, ::2, ::2], hit[:, ::2, ::2])
    share = torch.where(share > -_SNAP, 0, share).exp()
    return envelope * share.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, : hit.shape[1], : hit.shape[2]]
