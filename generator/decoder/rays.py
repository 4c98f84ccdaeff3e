"""Rays of pinhole cameras and their Plücker maps (OpenCV axes; intrinsics fx, fy, cx, cy in pixels)."""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_rays(
    c2w: Tensor, intrinsics: Tensor, image_size: tuple[int, int], *, cell: int = 1, unit: bool = True
) -> tuple[Tensor, Tensor]:
    """Return origins and directions of the rays through the centres of `cell` x `cell` pixel cells.

    The arithmetic, pixel grid included, runs in the dtype of `c2w`. In float32 the rays are right; in
    bfloat16 they are those that the published weights were trained with, coarse grid and all (only 481
    of 1280 columns stay distinct).

    Args:
        c2w: Camera-to-world poses, OpenCV axes, (..., 4, 4).
        intrinsics: fx, fy, cx, cy [px] of the full image, (..., 4).
        image_size: Height and width of the full image [px].
        cell: Side of a cell [px]; the intrinsics are divided by it.
        unit: Whether directions have length 1; otherwise their z in the camera is 1.

    Returns:
        Origins and directions in the world frame of `c2w`, both (..., 3, H/cell, W/cell).
    """
    dtype, device = c2w.dtype, c2w.device
    height, width = image_size[0] // cell, image_size[1] // cell
    rows = torch.linspace(0, height - 1, height, dtype=dtype, device=device) + 0.5
    columns = torch.linspace(0, width - 1, width, dtype=dtype, device=device) + 0.5
    fx, fy, cx, cy = (intrinsics.to(dtype) / cell)[..., None, None].unbind(-3)
    x = ((columns - cx) / fx).expand(*c2w.shape[:-2], height, width)
    y = ((rows[:, None] - cy) / fy).expand(*c2w.shape[:-2], height, width)
    local = torch.stack([x, y, torch.ones_like(x)], dim=-1).flatten(-3, -2)
    if unit:
        local = local / local.norm(dim=-1, keepdim=True)
    directions = local @ c2w[..., :3, :3].transpose(-1, -2)
    directions = directions.transpose(-1, -2).unflatten(-1, (height, width))
    origins = c2w[..., :3, 3, None, None].expand_as(directions)
    return origins, directions


def plucker_maps(c2w: Tensor, intrinsics: Tensor, image_size: tuple[int, int], *, cell: int = 1) -> Tensor:
    """Return Plücker maps (..., 6, H/cell, W/cell): moment origin x direction, then the unit direction."""
    origins, directions = pixel_rays(c2w, intrinsics, image_size, cell=cell)
    return torch.cat([torch.linalg.cross(origins, directions, dim=-3), directions], dim=-3)


def ray_length_per_depth(intrinsics: Tensor, image_size: tuple[int, int], *, cell: int = 1) -> Tensor:
    """Return |((u-cx)/fx, (v-cy)/fy, 1)| per cell, (..., H/cell, W/cell): ray distance = this x z-depth."""
    eye = torch.eye(4, dtype=intrinsics.dtype, device=intrinsics.device)
    _, directions = pixel_rays(
        eye.expand(*intrinsics.shape[:-1], 4, 4), intrinsics, image_size, cell=cell, unit=False
    )
    return directions.norm(dim=-3)


def frames_to_latent_channels(maps: Tensor, time_compression: int) -> Tensor:
    """Stack the frames behind each latent frame on channels, as the causal tokenizer groups them.

    Latent frame 0 holds frame 0 alone, so frame 0 stands there `time_compression` times.

    Args:
        maps: One clip per batch item, (B, 8k+1, C, h, w).
        time_compression: Frames per latent frame (8).

    Returns:
        (B, k+1, 8*C, h, w); channels ordered frame, then map.
    """
    first = maps[:, :1].expand(-1, time_compression, -1, -1, -1)
    padded = torch.cat([first, maps[:, 1:]], dim=1)
    return padded.unflatten(1, (-1, time_compression)).flatten(2, 3)
