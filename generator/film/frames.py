"""One frame of a film: colour, depth and labels of a scene from one camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.cameras import Cameras
from generator.film.labels import LabelRaster
from generator.render import render_views
from generator.render.request import Projection
from lyra_sim.gaussians import Gaussians

MILLIMETRES = 1000.0
FARTHEST_MM = 65535
"""Largest depth that 16 bits hold [mm]; what is farther gets 0, which means no depth."""
MIN_ALPHA = 0.5
"""Opacity along a ray below which it has no depth."""
TOO_NEAR = 0.1
"""Depth [m] below which a surface is right before the camera."""


@dataclass(frozen=True)
class Look:
    """Say how frames are drawn."""

    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """sRGB behind the scene."""
    projection: Projection = "ewa"
    """`ewa` (3D Gaussian Splatting) or `3dgut` (as Isaac Sim 6 and Lyra's training draw)."""
    near: float = 0.05
    """Gaussians whose centre is nearer than this are left out [m]."""


@dataclass(frozen=True)
class Frame:
    """Hold what one camera sees."""

    rgb: np.ndarray
    """Display-referred sRGB, (H, W, 3) uint8."""
    depth_mm: np.ndarray
    """Median camera z [mm]; 0 where there is none, or beyond 65.535 m, (H, W) uint16."""
    labels: np.ndarray | None
    """Index into the classes of the raster, (H, W) uint8."""
    near_share: float
    """Share of the pixels that show something less than TOO_NEAR away."""


def draw_frame(
    gaussians: Gaussians, cameras: Cameras, index: int, *, look: Look, labels: LabelRaster | None = None
) -> Frame:
    """Draw what camera `index` sees; label images come from the proxy that `labels` was made of."""
    one = slice(index, index + 1)
    views = render_views(
        gaussians,
        cameras.c2w[one],
        cameras.intrinsics[one],
        height=cameras.height,
        width=cameras.width,
        background=look.background,
        projection=look.projection,
        near=look.near,
    )
    rgb, alpha = views.rgb[0].numpy(), views.alpha[0].numpy()
    depth = np.where(alpha >= MIN_ALPHA, views.median_depth[0].numpy(), 0)
    drawn = None if labels is None else labels.draw(cameras.c2w[index], cameras.intrinsics[index], depth)
    return Frame(
        rgb=(rgb.clip(0, 1) * 255).round().astype(np.uint8),
        depth_mm=millimetres(depth),
        labels=drawn,
        near_share=float(((depth > 0) & (depth < TOO_NEAR)).mean()),
    )


def millimetres(depth: np.ndarray) -> np.ndarray:
    """Return depth [m] as 16-bit millimetres, with 0 for what does not fit."""
    scaled = np.round(depth * MILLIMETRES)
    return np.where((scaled >= 1) & (scaled <= FARTHEST_MM), scaled, 0).astype(np.uint16)
