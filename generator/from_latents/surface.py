"""A collider and a preview from Gaussians and the cameras that they were decoded from."""

from __future__ import annotations

import numpy as np

from generator.cameras import Cameras
from generator.decoder.frames import PATH_NAMES
from generator.preview import contact_sheet, start_and_ends
from generator.render import render_views
from lyra_sim.collider.fuse import fuse_depth
from lyra_sim.collider.report import ColliderReport
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import TriangleMesh

VIEWS_PER_PATH = 6
"""Depth maps per path that a collider is fused from."""
COLLIDER_WIDTH = 480
"""Most columns of these depth maps [px]; more would only show noise below a voxel."""
PREVIEW_WIDTH = 640
"""Columns of each picture of the preview [px]."""


def fuse(gaussians: Gaussians, cameras: list[Cameras]) -> tuple[TriangleMesh, ColliderReport]:
    """Render depth from some of the cameras and fuse it; Gaussians and cameras in one upright frame."""
    width = min(COLLIDER_WIDTH, cameras[0].width)
    views = _of_width(Cameras.joined(_spread(clip) for clip in cameras), width)
    rendered = render_views(gaussians, views.c2w, views.intrinsics, height=views.height, width=views.width)
    return fuse_depth(rendered.median_depth.numpy(), rendered.alpha.numpy(), views.c2w, views.intrinsics)


def preview(
    gaussians: Gaussians, cameras: list[Cameras], names: tuple[str, ...], *, title: str, metric: bool
) -> bytes:
    """Return a PNG of the first camera and of the ends of up to three paths."""
    titles = [f"{name} {PATH_NAMES.get(name, '')}".strip() for name in names]
    labels, views = start_and_ends(list(zip(titles, cameras, strict=True)))
    unit = "m" if metric else "units"
    return contact_sheet(gaussians, _of_width(views, PREVIEW_WIDTH), labels, title=title, unit=unit)


def _spread(cameras: Cameras) -> Cameras:
    """Return some cameras of a path, its ends among them."""
    index = np.linspace(0, len(cameras) - 1, min(VIEWS_PER_PATH, len(cameras))).round().astype(int)
    return cameras.select(np.unique(index))


def _of_width(cameras: Cameras, width: int) -> Cameras:
    """Return the cameras for pictures of about `width` columns."""
    scale = width / cameras.width
    return cameras.resized(round(cameras.height * scale), round(cameras.width * scale))
