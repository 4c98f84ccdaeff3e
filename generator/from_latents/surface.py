"""A collider and a preview from Gaussians and the cameras that they were decoded from."""

from __future__ import annotations

import numpy as np

from generator.cameras import Cameras
from generator.decoder.frames import PATH_NAMES
from generator.preview import contact_sheet
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
    views = _joined([_spread(clip) for clip in cameras], width)
    rendered = render_views(gaussians, views.c2w, views.intrinsics, height=views.height, width=views.width)
    return fuse_depth(rendered.median_depth.numpy(), rendered.alpha.numpy(), views.c2w, views.intrinsics)


def preview(
    gaussians: Gaussians, cameras: list[Cameras], names: tuple[str, ...], *, title: str, metric: bool
) -> bytes:
    """Return a PNG of the first camera and of the ends of up to three paths."""
    wanted = [("start", cameras[0].select(slice(0, 1)))]
    wanted += [
        (f"{name} {PATH_NAMES.get(name, '')}".strip(), clip.select(slice(-1, None)))
        for name, clip in zip(names, cameras, strict=True)
    ]
    views = _joined([clip for _, clip in wanted[:4]], PREVIEW_WIDTH)
    labels, unit = [name for name, _ in wanted[:4]], "m" if metric else "units"
    return contact_sheet(gaussians, views, labels, title=title, unit=unit)


def _spread(cameras: Cameras) -> Cameras:
    """Return some cameras of a path, its ends among them."""
    index = np.linspace(0, len(cameras) - 1, min(VIEWS_PER_PATH, len(cameras))).round().astype(int)
    return cameras.select(np.unique(index))


def _joined(clips: list[Cameras], width: int) -> Cameras:
    """Return the cameras of all clips, for pictures of about `width` columns."""
    first = clips[0]
    scale = width / first.width
    joined = Cameras(
        np.concatenate([clip.c2w for clip in clips]),
        np.concatenate([clip.intrinsics for clip in clips]),
        first.height,
        first.width,
    )
    return joined.resized(round(first.height * scale), round(first.width * scale))
