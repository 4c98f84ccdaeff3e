"""The compiled CPU renderer as one differentiable operation.

Kernels are numba's: compiled at the first call, cached on disk beside their source (NUMBA_CACHE_DIR moves
the cache), parallel over as many threads as torch uses.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from torch.autograd.function import once_differentiable

from generator.render import lens
from generator.render.cpu_blend import blend
from generator.render.cpu_blend_adjoint import blend_backward
from generator.render.cpu_layout import (
    COLOR,
    ELLIPSE_COLUMNS,
    TILE_HEIGHT,
    TILE_WIDTH,
    Bins,
    Images,
    Screen,
    Shapes,
    View,
)
from generator.render.cpu_lens import project_fisheye
from generator.render.cpu_project import project
from generator.render.cpu_project_adjoint import SHAPE_COLUMNS, reduce_gradients
from generator.render.cpu_tiles import bin_splats
from generator.render.cpu_unscented import FORM_COLUMNS, project_unscented
from generator.render.request import Rendering, Request, needs_gradients
from lyra_sim.errors import LyraSimError


@dataclass(frozen=True)
class _Binned:
    """Hold what the two passes of one view share; see `cpu_layout`."""

    view: View
    splats: np.ndarray
    source: np.ndarray
    forms: np.ndarray | None
    bins: Bins


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
    """Render every view in float32; arguments as in `generator.render.rasterize`.

    Raises:
        LyraSimError: when gradients are asked for that only the reference has.
    """
    gaussians = (means, scales, rotations, opacities, colors)
    if needs_gradients(gaussians) and not request.is_plain:
        raise LyraSimError(
            "the cpu renderer differentiates ewa through a pinhole only: use backend='reference'"
        )
    tensors = [tensor.float().contiguous() for tensor in gaussians]
    return Rendering(*_Rasterize.apply(*tensors, _views(c2w, intrinsics, request), request))


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[torch.Tensor, ...]:
        *gaussians, views, request = arguments
        _use_torch_threads()
        *shapes, colors = (tensor.detach().numpy() for tensor in gaussians)
        channels, shape = colors.shape[1], (len(views), request.height, request.width)
        outputs = (torch.empty(*shape, channels), torch.empty(shape), torch.empty(shape), torch.empty(shape))
        background = np.array(request.background_of(channels), np.float32)
        cap = np.float32(request.alpha_cap)
        binned = []
        for index, view in enumerate(views):
            kept = _bin_view(Shapes(*shapes), colors, view, request)
            rays = None if kept.forms is None else _tile_rays(view[12:16], request)
            images = Images(*(output[index].numpy() for output in outputs))
            blend(kept.splats, kept.forms, rays, kept.bins, cap, background, images)
            binned.append(kept)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*gaussians[:4], *outputs)
            ctx.binned, ctx.background, ctx.cap = binned, background, cap
        ctx.mark_non_differentiable(outputs[2])
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        _use_torch_threads()
        saved = [tensor.numpy() for tensor in ctx.saved_tensors]
        arriving = [grad.float().contiguous().numpy() for grad in grads]
        shapes, outputs = Shapes(*saved[:4]), saved[4:]
        out = torch.zeros(len(shapes.means), SHAPE_COLUMNS)
        grad_colors = torch.zeros(len(shapes.means), outputs[0].shape[-1])
        for index, kept in enumerate(ctx.binned):
            images = Images(*(output[index] for output in outputs))
            image_grads = Images(*(grad[index] for grad in arriving))
            pair_grads = blend_backward(kept.splats, kept.bins, ctx.cap, ctx.background, images, image_grads)
            owned = (kept.splats, kept.source, kept.bins, pair_grads)
            reduce_gradients(*owned, shapes, kept.view, out.numpy(), grad_colors.numpy())
        return out[:, :3], out[:, 3:6], out[:, 6:10], out[:, 10], grad_colors, None, None


def _views(c2w: torch.Tensor, intrinsics: torch.Tensor, request: Request) -> list[View]:
    """Turn poses and intrinsics into the kernels' cameras."""
    poses, cameras = c2w.double().numpy(), intrinsics.double().numpy()
    rotation = poses[:, :3, :3].transpose(0, 2, 1)
    translation = -(rotation @ poses[:, :3, 3:])[..., 0]
    focal, center = cameras[:, :2], cameras[:, 2:]
    size = np.array([request.width, request.height], np.float64)
    # The Jacobian is clamped 30% of half the field of view outside the image, as gsplat's is.
    margin = 0.15 * size / focal
    limits = np.stack([-center / focal - margin, (size - center) / focal + margin], axis=-1)
    clips = np.broadcast_to([request.near, request.far, *size], (len(poses), 4))
    parts = [rotation.reshape(-1, 9), translation, cameras, limits.reshape(-1, 4), clips]
    return [View(*row) for row in np.concatenate(parts, axis=1).astype(np.float32)]


def _bin_view(shapes: Shapes, colors: np.ndarray, view: View, request: Request) -> _Binned:
    """Project, sort and bin the Gaussians of one view."""
    count, channels = colors.shape
    splats, ellipses = (
        np.empty((count, COLOR + channels), np.float32),
        np.empty((count, ELLIPSE_COLUMNS), np.float32),
    )
    screen = Screen(splats, ellipses, np.empty(count, np.int32))
    boxes = forms = None
    if request.projection == "3dgut":
        boxes, forms = np.empty((count, 4), np.int32), np.empty((count, FORM_COLUMNS), np.float32)
        visible = project_unscented(shapes, colors, view, _lens(request), screen, boxes, forms)
    elif request.camera_model == "fisheye":
        visible = project_fisheye(shapes, colors, view, _lens(request), screen)
    else:
        visible = project(shapes, colors, view, screen)
    bins = bin_splats(screen, boxes, visible, request.width, request.height)
    return _Binned(view, splats, screen.source, forms, bins)


def _lens(request: Request) -> np.ndarray:
    """Return the lens in the layout that `cpu_lens` documents."""
    if request.camera_model == "pinhole":
        return np.empty(0, np.float32)
    return np.array([*request.distortion, lens.largest_angle(request.distortion)], np.float32)


@functools.lru_cache(maxsize=8)
def _tile_rays(intrinsics: tuple[float, ...], request: Request) -> np.ndarray:
    """Return the viewing directions in tile order, (tiles, TILE_HEIGHT, 3, TILE_WIDTH) float32."""
    if request.camera_model == "fisheye":
        rays = lens.pixel_rays(request.height, request.width, np.array(intrinsics), request.distortion)
    else:
        fx, fy, cx, cy = (float(value) for value in intrinsics)
        x, y = (np.arange(request.width) + 0.5 - cx) / fx, (np.arange(request.height) + 0.5 - cy) / fy
        grid_x, grid_y = np.meshgrid(x, y)
        rays = np.stack([grid_x, grid_y, np.ones_like(grid_x)], axis=-1)
    rows, columns = -(-request.height // TILE_HEIGHT), -(-request.width // TILE_WIDTH)
    padded = np.zeros((rows * TILE_HEIGHT, columns * TILE_WIDTH, 3), np.float32)
    padded[: request.height, : request.width] = rays
    tiled = padded.reshape(rows, TILE_HEIGHT, columns, TILE_WIDTH, 3).transpose(0, 2, 1, 4, 3)
    return np.ascontiguousarray(tiled).reshape(rows * columns, TILE_HEIGHT, 3, TILE_WIDTH)


def _use_torch_threads() -> None:
    """Give numba as many threads as torch uses."""
    most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    numba.set_num_threads(max(1, min(torch.get_num_threads(), most)))
