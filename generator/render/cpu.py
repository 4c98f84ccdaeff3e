"""The compiled CPU renderer as one differentiable operation.

Kernels are numba's: compiled at the first call, cached on disk beside their source (NUMBA_CACHE_DIR moves
the cache), parallel over as many threads as torch uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch

from generator.render.cpu_adjoint import blend_backward
from generator.render.cpu_blend import blend
from generator.render.cpu_project import SPLAT_COLUMNS, project
from generator.render.cpu_reduce import reduce_gradients
from generator.render.cpu_tiles import bin_splats, depth_order, gather, visible_slots
from generator.render.request import Rendering, Request
from lyra_sim.errors import LyraSimError


@dataclass(frozen=True)
class _Binned:
    """Hold what one view's passes share; arrays as `cpu_project` and `cpu_tiles` document them."""

    view: np.ndarray
    splats: np.ndarray
    owners: np.ndarray
    ranks: np.ndarray
    tile_starts: np.ndarray
    list_splat: np.ndarray
    list_rows: np.ndarray
    starts: np.ndarray
    used: np.ndarray
    positions: np.ndarray


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
    """Render every view in float32; arguments as in `generator.render.rasterize`."""
    if request.projection != "ewa" or request.camera_model != "pinhole":
        raise LyraSimError("the cpu renderer draws ewa through a pinhole only: use backend='reference'")
    tensors = [tensor.float().contiguous() for tensor in (means, scales, rotations, opacities, colors)]
    views = _pack_views(c2w, intrinsics, request)
    return Rendering(*_Rasterize.apply(*tensors, views, request))


def _pack_views(c2w: torch.Tensor, intrinsics: torch.Tensor, request: Request) -> np.ndarray:
    """Return one row per view in the layout that `cpu_project` documents, (V, 24) float32."""
    poses, cameras = c2w.double().numpy(), intrinsics.double().numpy()
    rotation = poses[:, :3, :3].transpose(0, 2, 1)
    translation = -(rotation @ poses[:, :3, 3:])[..., 0]
    focal, center = cameras[:, :2], cameras[:, 2:]
    size = np.array([request.width, request.height], np.float64)
    margin = 0.15 * size / focal
    low, high = -center / focal - margin, (size - center) / focal + margin
    limits = np.stack([low, high], axis=-1).reshape(-1, 4)
    clips = np.broadcast_to([request.near, request.far, *size], (len(poses), 4))
    parts = [rotation.reshape(-1, 9), translation, cameras, limits, clips]
    return np.concatenate(parts, axis=1).astype(np.float32)


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: torch.Tensor,
        scales: torch.Tensor,
        rotations: torch.Tensor,
        opacities: torch.Tensor,
        colors: torch.Tensor,
        views: np.ndarray,
        request: Request,
    ) -> tuple[torch.Tensor, ...]:
        _use_torch_threads()
        gaussians = [tensor.detach().numpy() for tensor in (means, scales, rotations, opacities, colors)]
        shape = (len(views), request.height, request.width)
        rgb = torch.empty(*shape, colors.shape[1])
        depth, median, alpha = torch.empty(shape), torch.empty(shape), torch.empty(shape)
        background = np.array(request.background_of(colors.shape[1]), np.float32)
        cap = np.float32(request.alpha_cap)
        binned = []
        for index, view in enumerate(views):
            kept = _bin_view(gaussians, view, request)
            lists = (kept.splats, kept.tile_starts, kept.list_splat, kept.list_rows)
            images = [image[index].numpy() for image in (rgb, depth, median, alpha)]
            blend(*lists, cap, background, *images)
            binned.append(kept)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(means, scales, rotations, opacities, rgb, depth, alpha)
            ctx.binned, ctx.background, ctx.cap = binned, background, cap
        ctx.mark_non_differentiable(median)
        return rgb, depth, median, alpha

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        _use_torch_threads()
        means, scales, rotations, opacities, rgb, depth, alpha = (
            t.detach().numpy() for t in ctx.saved_tensors
        )
        grad_rgb, grad_depth, _, grad_alpha = (grad.float().contiguous().numpy() for grad in grads)
        out = torch.zeros(len(means), 11)
        grad_colors = torch.zeros(len(means), rgb.shape[-1])
        for index, kept in enumerate(ctx.binned):
            images = [image[index] for image in (rgb, depth, alpha, grad_rgb, grad_depth, grad_alpha)]
            lists = (kept.splats, kept.tile_starts, kept.list_splat, kept.list_rows)
            pair_grads = blend_backward(*lists, ctx.cap, ctx.background, *images)
            owned = (kept.splats, kept.owners, kept.ranks, kept.starts, kept.used, kept.positions, pair_grads)
            gaussians = (means, scales, rotations, opacities)
            reduce_gradients(*owned, *gaussians, kept.view, out.numpy(), grad_colors.numpy())
        return out[:, :3], out[:, 3:6], out[:, 6:10], out[:, 10], grad_colors, None, None


def _bin_view(gaussians: list[np.ndarray], view: np.ndarray, request: Request) -> _Binned:
    means, scales, rotations, opacities, colors = gaussians
    splats = np.empty((len(means), SPLAT_COLUMNS), np.float32)
    ellipses = np.empty((len(means), 4), np.float32)
    source = np.empty(len(means), np.int32)
    visible = project(means, scales, rotations, opacities, view, splats, ellipses, source)
    slots = visible_slots(visible)
    order = depth_order(splats, slots)
    rows, shapes, owners, ranks = gather(order, slots, splats, ellipses, source, colors)
    return _Binned(view, rows, owners, ranks, *bin_splats(rows, shapes, request.width, request.height))


def _use_torch_threads() -> None:
    """Give numba as many threads as torch uses."""
    most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    numba.set_num_threads(max(1, min(torch.get_num_threads(), most)))
