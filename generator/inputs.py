"""What may reach the Gaussians: latents, cameras, and the depth of the one conditioning frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from generator.cache import fill_holes, warp_depth
from generator.cache.nearest import sources_of
from generator.cameras import Cameras
from generator.teachers.teacher import Clip, TeacherVideo


@dataclass(frozen=True)
class WarpedDepth:
    """Hold the conditioning depth as the 3D cache sees it from every frame, one value per output cell."""

    depth: torch.Tensor
    """z-depth [m], hole-filled, (V, T, H/cell, W/cell) float32."""
    mask: torch.Tensor
    """1 where the cache really covers the cell, 0 where it was filled, same shape."""


def relative_c2w(c2w: torch.Tensor) -> torch.Tensor:
    """Make the first of (F, 4, 4) camera-to-world poses the origin (the decoder's frame)."""
    return torch.linalg.inv(c2w[0]) @ c2w


def cell_values(depth: torch.Tensor, mask: torch.Tensor, *, cell: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Reduce (F, H, W) maps to one value per `cell` x `cell` block: the valid pixel nearest its centre.

    Averages would put points between foreground and background; picking keeps them on a surface.
    """
    frames, height, width = depth.shape
    shape = (frames, height // cell, cell, width // cell, cell)
    order = _centre_first(cell).to(depth.device)
    depth, mask = (
        x.reshape(shape).permute(0, 1, 3, 2, 4).reshape(frames, height // cell, width // cell, -1)[..., order]
        for x in (depth, mask)
    )
    first = (mask > 0.5).to(torch.uint8).argmax(dim=-1, keepdim=True)
    return depth.gather(-1, first)[..., 0], (mask.gather(-1, first)[..., 0] > 0.5).to(depth.dtype)


def warp_conditioning(depth: np.ndarray, clips: list[Cameras], *, cell: int) -> WarpedDepth:
    """Warp the conditioning frame's z-depth [m] (H, W) into every camera of every clip.

    Frame 0 of the first clip is the conditioning camera (GEN3C's 3D cache; Lyra section 3).
    """
    source = torch.from_numpy(np.ascontiguousarray(depth, dtype=np.float32))
    first = clips[0]
    joined = Cameras.joined(clips)
    targets, intrinsics = (torch.from_numpy(part).float() for part in (joined.c2w, joined.intrinsics))
    warped, mask = warp_depth(
        source,
        (source > 0).float(),
        torch.from_numpy(first.intrinsics[0]).float(),
        torch.from_numpy(first.c2w[0]).float(),
        targets,
        intrinsics,
        height=first.height,
        width=first.width,
    )
    cell_depth, cell_mask = cell_values(warped, mask, cell=cell)
    filled = fill_holes(cell_depth, cell_mask)
    shape = (len(clips), len(first), *filled.shape[1:])
    return WarpedDepth(filled.reshape(shape), cell_mask.reshape(shape))


def warp_footage(footage: Clip, clips: Sequence[Clip], *, cell: int, still: bool) -> WarpedDepth:
    """Warp the z-depth of a video's frames into every frame of every clip.

    Args:
        footage: The video; its depth is 0 where unknown.
        clips: Clips that were filmed around it, from `Clip.start` on.
        cell: Pixels per side of an output cell.
        still: Whether nothing moves, so that the nearest frames are taken; else the one of the same time.
    """
    targets, frames = Cameras.joined(clip.cameras for clip in clips), len(clips[0].cameras)
    if still:
        sources = sources_of(
            footage.cameras, targets, length=float(np.median(footage.depth[footage.depth > 0]))
        )
    else:
        sources = np.concatenate([clip.start + np.arange(frames) for clip in clips])[:, None]
    cells = (targets.height // cell, targets.width // cell)
    depth, mask = (torch.zeros(len(targets), *cells) for _ in range(2))
    for rank, source in ((r, s) for r in range(sources.shape[1]) for s in np.unique(sources[:, r])):
        here = np.flatnonzero(sources[:, rank] == source)
        guess, seen = _warp_frame(footage, source, targets.select(here), cell)
        # The best source decides what is guessed where none of them looks.
        better = (mask[here] < 0.5) & ((seen > 0.5) | (rank == 0))
        depth[here] = torch.where(better, guess, depth[here])
        mask[here] = torch.where(better, seen, mask[here])
    filled = fill_holes(depth, mask)
    shape = (len(clips), frames, *cells)
    return WarpedDepth(filled.reshape(shape), mask.reshape(shape))


def _warp_frame(footage: Clip, time: int, targets: Cameras, cell: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return dense depth and mask at output cells, (F, H/cell, W/cell), of one frame seen from F cameras."""
    source, own = torch.from_numpy(footage.depth[time]), footage.cameras.select(time)
    depth, mask = warp_depth(
        source,
        (source > 0).float(),
        *(torch.from_numpy(part).float() for part in (own.intrinsics, own.c2w)),
        *(torch.from_numpy(part).float() for part in (targets.c2w, targets.intrinsics)),
        height=targets.height,
        width=targets.width,
    )
    return cell_values(depth, mask, cell=cell)


def conditioning_depth(video: TeacherVideo) -> np.ndarray:
    """Return the z-depth [m] of the one conditioning frame, (H, W) float32."""
    return video.clips[0].depth[0]


def _centre_first(cell: int) -> torch.Tensor:
    offsets = np.arange(cell) - (cell - 1) / 2
    distance = (offsets[:, None] ** 2 + offsets[None, :] ** 2).ravel()
    return torch.from_numpy(np.argsort(distance, kind="stable"))
