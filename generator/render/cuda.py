"""The CUDA renderer: gsplat, called one view at a time with the flags that Lyra trains with.

Two things are gsplat's own: its cap on alpha (0.999 in 1.5.3, 0.99 in 1.6; `alpha_cap` is not passed on),
and that it has no median depth, which is found here from depth bins, and is NaN while gradients are recorded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from generator.render.request import DEPTH_ALPHA_MIN, EPS2D, Rendering, Request, needs_gradients
from lyra_sim.errors import LyraSimError

MEDIAN_BINS = 31
"""Depth bins of the median; with alpha they fill one pass of gsplat's 32 channels."""


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
        LyraSimError: without CUDA, without gsplat, and for lenses that gsplat has for 3DGUT only.
    """
    rasterization = _load()
    if request.projection == "ewa" and any(request.distortion):
        raise LyraSimError("gsplat distorts a fisheye for projection='3dgut' only")
    gaussians = [tensor.float().contiguous() for tensor in (means, scales, rotations, opacities, colors)]
    w2c = torch.linalg.inv(c2w.to(means.device).double()).float()
    cameras = (w2c, intrinsics.to(means.device).float())
    rgb, depth, alpha = _Deferred.apply(*gaussians, *cameras, rasterization, request)
    if needs_gradients(gaussians):
        return Rendering(rgb, depth, torch.full_like(depth, torch.nan), alpha)
    medians = [_median(rasterization, gaussians, *view, request) for view in zip(*cameras, strict=True)]
    return Rendering(rgb, depth, torch.stack(medians) if medians else depth, alpha)


def _load() -> Callable[..., Any]:
    """Import gsplat, which fails where nvcc is present but no device, so look for the device first."""
    if not torch.cuda.is_available():
        raise LyraSimError("the cuda renderer needs a CUDA device: set LYRA_SIM_RENDERER=cpu")
    try:
        return importlib.import_module("gsplat").rasterization
    except ImportError as error:
        raise LyraSimError(
            f"the cuda renderer needs gsplat: pip install 'lyra-sim[cuda]' ({error})"
        ) from error


class _Deferred(torch.autograd.Function):
    """Render all views without a graph; build the graph of one view at a time on the way back.

    Memory holds the activations of one view, at the price of rendering each view once more.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[torch.Tensor, ...]:
        *gaussians, w2c, intrinsics, rasterization, request = arguments
        ctx.save_for_backward(*gaussians, w2c, intrinsics)
        ctx.rasterization, ctx.request = rasterization, request
        views = [
            _view(rasterization, gaussians, *camera, request) for camera in zip(w2c, intrinsics, strict=True)
        ]
        if not views:
            empty = gaussians[0].new_zeros(0, request.height, request.width)
            return empty[..., None].expand(-1, -1, -1, gaussians[4].shape[1]), empty, empty.clone()
        rgb, depth, alpha = (torch.stack(images) for images in zip(*views, strict=True))
        return rgb, depth, alpha

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        *gaussians, w2c, intrinsics = ctx.saved_tensors
        leaves = [
            tensor.detach().requires_grad_(needed)
            for tensor, needed in zip(gaussians, ctx.needs_input_grad, strict=False)
        ]
        for index, camera in enumerate(zip(w2c, intrinsics, strict=True)):
            with torch.enable_grad():
                images = _view(ctx.rasterization, leaves, *camera, ctx.request)
            torch.autograd.backward(images, [grad[index] for grad in grads])
        return (*(leaf.grad for leaf in leaves), None, None, None, None)


def _view(
    rasterization: Callable[..., Any],
    gaussians: list[torch.Tensor],
    w2c: torch.Tensor,
    intrinsics: torch.Tensor,
    request: Request,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return one view's colours (H, W, C), expected depth (H, W) and alpha (H, W)."""
    means, scales, rotations, opacities, colors = gaussians
    unscented = request.projection == "3dgut"
    fx, fy, cx, cy = intrinsics
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    matrix = torch.stack([fx, zero, cx, zero, fy, cy, zero, zero, one]).reshape(1, 3, 3)
    lens = {}
    if request.camera_model == "fisheye" and unscented:
        lens = {"radial_coeffs": means.new_tensor([request.distortion])}
    images, alphas, _ = rasterization(
        means=means,
        quats=rotations,
        scales=scales,
        opacities=opacities,
        colors=colors,
        viewmats=w2c[None],
        Ks=matrix,
        width=request.width,
        height=request.height,
        near_plane=request.near,
        far_plane=request.far,
        eps2d=EPS2D,
        packed=False,
        backgrounds=means.new_tensor([request.background_of(colors.shape[1])]),
        render_mode="RGB+ED",
        rasterize_mode="classic",
        camera_model=request.camera_model,
        with_ut=unscented,
        with_eval3d=unscented,
        **lens,
    )
    return images[0, ..., :-1], images[0, ..., -1], alphas[0, ..., 0]


def _median(
    rasterization: Callable[..., Any],
    gaussians: list[torch.Tensor],
    w2c: torch.Tensor,
    intrinsics: torch.Tensor,
    request: Request,
) -> torch.Tensor:
    """Return median depth (H, W), exact to within one of MEDIAN_BINS bins of equally many Gaussians.

    Each bin's channel composites to the opacity that lies in front of the bin's far edge.
    """
    means = gaussians[0]
    z = means @ w2c[2, :3] + w2c[2, 3]
    inside = z[(z >= request.near) & (z <= request.far)]
    if not len(inside):
        return means.new_zeros(request.height, request.width)
    ranks = torch.linspace(0, len(inside) - 1, MEDIAN_BINS, device=z.device).round().long()
    edges = inside.sort().values[ranks]
    before = (z[:, None] <= edges).float()
    plain = Request(**{**vars(request), "background": None})
    share = _view(rasterization, [*gaussians[:4], before], w2c, intrinsics, plain)[0]
    reached = share >= 0.5
    far = reached.float().argmax(dim=-1)
    near = (far - 1).clamp(min=0)
    low, high = (share.gather(-1, index[..., None])[..., 0] for index in (near, far))
    fraction = ((0.5 - low) / (high - low).clamp(min=DEPTH_ALPHA_MIN)).clamp(0, 1)
    depth = edges[near] + fraction * (edges[far] - edges[near])
    return torch.where(reached.any(dim=-1), depth, torch.zeros_like(depth))
