"""Render 3D Gaussians: one front door, three backends that agree.

`rasterize` is the only entry. It picks the backend by device: the compiled CPU one (`cpu`), gsplat on
CUDA (`cuda`), or the plain PyTorch one (`reference`), which is the test oracle and also serves float64 and
gradients through 3DGUT or a fisheye on the CPU. The environment variable LYRA_SIM_RENDERER names one of
the three to override the choice.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
import torch

from generator.render.harmonics import view_colors
from generator.render.request import (
    CameraModel,
    Projection,
    Rendering,
    Request,
    check_request,
    check_tensors,
    needs_gradients,
)
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians

BACKENDS = ("reference", "cpu", "cuda")

__all__ = ["BACKENDS", "Rendering", "rasterize", "render_views"]


def rasterize(
    means: torch.Tensor,
    scales: torch.Tensor,
    rotations: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
    c2w: torch.Tensor,
    intrinsics: torch.Tensor,
    *,
    height: int,
    width: int,
    background: tuple[float, ...] | None = (1.0, 1.0, 1.0),
    near: float = 0.1,
    far: float = 500.0,
    projection: Projection = "ewa",
    camera_model: CameraModel = "pinhole",
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
    alpha_cap: float = 0.999,
    backend: str | None = None,
) -> Rendering:
    """Render N Gaussians from V cameras, with gradients to the five Gaussian tensors.

    Colour, expected depth and alpha are differentiable; the cameras are constants. The formulas are
    those of 3D Gaussian Splatting (Kerbl et al. 2023, EWA splatting after Zwicker et al. 2001) or, for
    `projection="3dgut"`, of 3DGUT (Wu et al. 2025), with gsplat's thresholds.

    Args:
        means: centres [m] in the world frame, (N, 3).
        scales: standard deviations along the local axes [m], (N, 3).
        rotations: quaternions wxyz, local axes to world, normalised here, (N, 4).
        opacities: opacities in [0, 1], (N,).
        colors: RGB, then any extra channels to composite alike (labels, features), (N, C) with C >= 3.
        c2w: camera-to-world poses, OpenCV axes, (V, 4, 4).
        intrinsics: fx, fy, cx, cy [px], pixel centres at +0.5, (V, 4).
        height: image height [px].
        width: image width [px].
        background: colour behind the scene for the leading channels; None means 0 everywhere.
        near: smallest camera z of a centre that is drawn [m].
        far: largest camera z of a centre that is drawn [m].
        projection: `ewa` (affine approximation on the image) or `3dgut` (evaluated along each pixel's ray).
        camera_model: `pinhole` or `fisheye` (OpenCV's).
        distortion: fisheye coefficients k1..k4.
        alpha_cap: largest alpha of one Gaussian at one pixel; on CUDA, gsplat's own holds instead.
        backend: `reference`, `cpu` or `cuda` instead of the one that fits the tensors' device.

    Returns:
        The images on the device of `means`; float32, except that the reference keeps the dtype of `means`.

    Raises:
        LyraSimError: for shapes, values, sizes or a backend that cannot be served.
    """
    if len(distortion) != 4:
        raise LyraSimError(f"distortion needs the 4 values k1..k4, got {len(distortion)}")
    k1, k2, k3, k4 = distortion
    behind = None if background is None else tuple(background)
    request = Request(height, width, behind, near, far, projection, camera_model, (k1, k2, k3, k4), alpha_cap)
    check_request(request, len(c2w))
    gaussians = {
        "means": means,
        "scales": scales,
        "rotations": rotations,
        "opacities": opacities,
        "colors": colors,
    }
    check_tensors(gaussians, c2w, intrinsics)
    module: Any = importlib.import_module(f"generator.render.{_choose(backend, gaussians, request)}")
    return module.render(
        means, scales, rotations, opacities, colors, c2w.detach(), intrinsics.detach(), request
    )


def render_views(gaussians: Gaussians, c2w: np.ndarray, intrinsics: np.ndarray, **options: Any) -> Rendering:
    """Render numpy Gaussians without gradients; `options` are those of `rasterize`.

    Args:
        gaussians: the scene; colours of SH degree 1 and more are evaluated for each camera.
        c2w: camera-to-world poses, OpenCV axes, (V, 4, 4).
        intrinsics: fx, fy, cx, cy [px], (V, 4).
        **options: keyword arguments of `rasterize`, `height` and `width` among them.

    Returns:
        The images as CPU tensors; `.numpy()` shares their memory.
    """
    shapes = (gaussians.means, gaussians.scales, gaussians.rotations, gaussians.opacities)
    # Colours that do not depend on the view serve all views in one call.
    together = gaussians.sh_degree == 0 or len(c2w) == 0
    groups = [slice(0, len(c2w))] if together else [slice(view, view + 1) for view in range(len(c2w))]
    parts = []
    with torch.no_grad():
        for group in groups:
            eye = c2w[group.start, :3, 3] if len(c2w) else np.zeros(3)
            arrays = (*shapes, view_colors(gaussians, eye), c2w[group], intrinsics[group])
            tensors = [torch.from_numpy(np.ascontiguousarray(array, np.float32)) for array in arrays]
            parts.append(rasterize(*tensors, **options))
    if len(parts) == 1:
        return parts[0]
    names = ("rgb", "depth", "median_depth", "alpha")
    return Rendering(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def _choose(backend: str | None, gaussians: dict[str, torch.Tensor], request: Request) -> str:
    means = gaussians["means"]
    name = backend or os.environ.get("LYRA_SIM_RENDERER") or _default(gaussians, request)
    if name not in BACKENDS:
        raise LyraSimError(
            f"renderer {name!r} is unknown: set LYRA_SIM_RENDERER to one of {', '.join(BACKENDS)}"
        )
    if name == "cpu" and means.device.type != "cpu":
        raise LyraSimError(f"the cpu renderer was given tensors on {means.device}: move them to the CPU")
    if name == "cuda" and means.device.type != "cuda":
        raise LyraSimError(
            f"the cuda renderer was given tensors on {means.device}: move them to a CUDA device"
        )
    return name


def _default(gaussians: dict[str, torch.Tensor], request: Request) -> str:
    means = gaussians["means"]
    if means.device.type == "cuda":
        return "cuda"
    if means.device.type != "cpu" or means.dtype == torch.float64:
        return "reference"
    return "cpu" if request.is_plain or not needs_gradients(gaussians.values()) else "reference"
