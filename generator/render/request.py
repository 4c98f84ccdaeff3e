"""What the renderer is asked for and what it gives back, and the checks on the way in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch

from lyra_sim.errors import LyraSimError

EPS2D = 0.3
"""Variance added to every projected Gaussian [px^2], the blur of the classic formulation."""
ALPHA_MIN = 1.0 / 255.0
"""A Gaussian that covers a pixel by less than this is skipped there."""
TRANSMITTANCE_MIN = 1e-4
"""A pixel is finished when the next Gaussian would leave it at most this transmittance."""
DEPTH_ALPHA_MIN = 1e-10
"""Expected depth divides by at least this alpha."""
SCALE_MIN = 1e-8
"""Smaller standard deviations [m] are raised to this, so that a flat Gaussian has an inverse."""
TILE = 16
"""Side of the square tiles [px]; 3DGUT's support is rounded out to such tiles, as gsplat's is."""
UT_SPREAD = 0.1
"""Alpha of the unscented transform: sigma points lie at sqrt(3) alpha standard deviations."""
UT_BETA = 2.0
"""Beta of the unscented transform, best for Gaussians."""
UT_MARGIN = 0.1
"""3DGUT drops a Gaussian with a sigma point farther outside the image than this share of its side."""
MAX_SIDE = 16384
"""Largest image side [px] that is accepted."""
MAX_PIXELS = 2**28
"""Largest number of pixels over all views that is accepted."""

Projection = Literal["ewa", "3dgut"]
CameraModel = Literal["pinhole", "fisheye"]


@dataclass(frozen=True)
class Rendering:
    """Hold the images of V views."""

    rgb: torch.Tensor
    """Composited colours, not clamped, channels beyond the third composited alike, (V, H, W, C)."""
    depth: torch.Tensor
    """Expected camera z [m]: sum(w z) / max(alpha, 1e-10), so 0 where nothing was hit, (V, H, W)."""
    median_depth: torch.Tensor
    """Camera z [m] of the Gaussian that takes transmittance to 0.5 or below; 0 where none does, (V, H, W).

    It carries no gradient.
    """
    alpha: torch.Tensor
    """Accumulated opacity, 1 - transmittance, (V, H, W)."""


@dataclass(frozen=True)
class Request:
    """Hold everything about a render but the Gaussians and the cameras' poses."""

    height: int
    width: int
    background: tuple[float, ...] | None = (1.0, 1.0, 1.0)
    """Colour behind the scene for the leading channels; the others, and all for None, get 0."""
    near: float = 0.1
    """Gaussians whose centre has a smaller camera z [m] are left out."""
    far: float = 500.0
    """Gaussians whose centre has a larger camera z [m] are left out."""
    projection: Projection = "ewa"
    camera_model: CameraModel = "pinhole"
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """OpenCV fisheye coefficients k1..k4; the pinhole model takes none."""
    alpha_cap: float = 0.999
    """Largest alpha of one Gaussian at one pixel (gsplat 1.5.3: 0.999, gsplat 1.6: 0.99)."""

    @property
    def is_plain(self) -> bool:
        """Whether this is EWA splatting through a pinhole, the case with a compiled gradient on the CPU."""
        return self.projection == "ewa" and self.camera_model == "pinhole"

    def background_of(self, channels: int) -> tuple[float, ...]:
        """Return one background value per channel."""
        given = tuple(self.background or ())[:channels]
        return given + (0.0,) * (channels - len(given))


def needs_gradients(tensors: Iterable[torch.Tensor]) -> bool:
    """Return whether autograd will ask for gradients of any of the tensors."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def check_request(request: Request, views: int) -> None:
    """Raise LyraSimError for options that no backend can serve; nothing has been allocated yet."""
    height, width = request.height, request.width
    for name, side in (("height", height), ("width", width)):
        if not 1 <= side <= MAX_SIDE:
            raise LyraSimError(f"image {name} {side} px is out of range: use 1 to {MAX_SIDE}")
    if views * height * width > MAX_PIXELS:
        raise LyraSimError(
            f"{views} views of {width}x{height} px are more than {MAX_PIXELS} pixels: ask for fewer or smaller images"
        )
    if request.projection not in ("ewa", "3dgut"):
        raise LyraSimError(f"projection {request.projection!r} is unknown: use 'ewa' or '3dgut'")
    if request.camera_model not in ("pinhole", "fisheye"):
        raise LyraSimError(f"camera model {request.camera_model!r} is unknown: use 'pinhole' or 'fisheye'")
    if request.camera_model == "pinhole" and any(request.distortion):
        raise LyraSimError(
            "the pinhole model takes no distortion: undistort first, or use camera_model='fisheye'"
        )
    if not 0 < request.near < request.far:
        raise LyraSimError(f"near {request.near} and far {request.far} must satisfy 0 < near < far")
    if not 0 < request.alpha_cap < 1:
        raise LyraSimError(f"alpha_cap {request.alpha_cap} must lie between 0 and 1")


def check_tensors(gaussians: dict[str, torch.Tensor], c2w: torch.Tensor, intrinsics: torch.Tensor) -> None:
    """Raise LyraSimError for tensors of the wrong shape, or with values no image can come from.

    Args:
        gaussians: `means` (N, 3), `scales` (N, 3), `rotations` (N, 4), `opacities` (N,), `colors` (N, C >= 3).
        c2w: camera-to-world poses, (V, 4, 4).
        intrinsics: fx, fy, cx, cy [px], (V, 4).
    """
    count = len(gaussians["means"])
    channels = gaussians["colors"].shape[-1]
    shapes = {
        "means": (3,),
        "scales": (3,),
        "rotations": (4,),
        "opacities": (),
        "colors": (max(3, channels),),
    }
    for name, tail in shapes.items():
        _check_shape(name, gaussians[name], (count, *tail))
        _check_finite(name, gaussians[name])
    _check_shape("c2w", c2w, (len(c2w), 4, 4))
    _check_shape("intrinsics", intrinsics, (len(c2w), 4))
    _check_finite("c2w", c2w)
    _check_finite("intrinsics", intrinsics)
    if count and float(gaussians["scales"].detach().amin()) < 0:
        raise LyraSimError("scales hold a negative value: pass standard deviations, not their logarithms")
    if (
        count
        and not 0
        <= float(gaussians["opacities"].detach().amin())
        <= float(gaussians["opacities"].detach().amax())
        <= 1
    ):
        raise LyraSimError("opacities hold a value outside [0, 1]: pass opacities, not their logits")
    if len(intrinsics) and float(intrinsics[:, :2].amin()) <= 0:
        raise LyraSimError("intrinsics hold a focal length that is not positive")


def _check_shape(name: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise LyraSimError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")
    if not tensor.is_floating_point():
        raise LyraSimError(f"{name} has dtype {tensor.dtype}, expected a floating-point one")


def _check_finite(name: str, tensor: torch.Tensor) -> None:
    """Look at the sum first, which is cheap; only a sum that overflowed needs the full check."""
    values = tensor.detach()
    if not torch.isfinite(values.sum()) and not torch.isfinite(values).all():
        raise LyraSimError(f"{name} holds values that are not finite: remove those Gaussians or cameras")
