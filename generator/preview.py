"""The picture beside a scene: rendered views, colour above depth."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from generator.cameras import Cameras
from generator.render import render_views
from lyra_sim.gaussians import Gaussians

_DEPTH_COLOURS = np.array(
    [[255, 240, 180], [250, 180, 90], [225, 95, 85], [150, 45, 120], [70, 20, 110], [15, 10, 50]], np.float32
)
_MARGIN, _HEADER = 8, 44
_USUAL_WIDTH = 640
"""Width of a rendered view at the default resolution [px]; words are scaled with wider ones."""


def contact_sheet(
    gaussians: Gaussians, cameras: Cameras, names: list[str], *, title: str, unit: str = "m"
) -> bytes:
    """Render one column per camera, colour above depth, and return a PNG.

    Depth runs from pale (near) to dark (far) over the 1st to 99th percentile of all views; the title line gives
    the range in `unit`.
    """
    views = render_views(
        gaussians, cameras.c2w, cameras.intrinsics, height=cameras.height, width=cameras.width
    )
    rgb = (views.rgb.numpy().clip(0, 1) * 255).round().astype(np.uint8)
    depth, alpha = views.depth.numpy(), views.alpha.numpy()
    near, far = _range(depth, alpha)
    height, width = cameras.height, cameras.width
    # Words are as large in the picture at every resolution of the frames.
    scale = max(1.0, width / _USUAL_WIDTH)
    header = round(_HEADER * scale)
    size = (len(names) * (width + _MARGIN) + _MARGIN, header + 2 * (height + _MARGIN))
    sheet = Image.new("RGB", size, (24, 24, 28))
    draw = ImageDraw.Draw(sheet)
    told = f"{title}   depth {near:.1f} to {far:.1f} {unit}"
    draw.text((_MARGIN + 2, 10 * scale), told, (230, 230, 230), _font(20 * scale))
    for column, name in enumerate(names):
        x = _MARGIN + column * (width + _MARGIN)
        sheet.paste(Image.fromarray(rgb[column]), (x, header))
        sheet.paste(Image.fromarray(depth_picture(depth[column], near, far)), (x, header + height + _MARGIN))
        draw.text(
            (x + 7, header + 5),
            name,
            (255, 255, 255),
            _font(15 * scale),
            stroke_width=2,
            stroke_fill=(0, 0, 0),
        )
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=False)
    return buffer.getvalue()


def start_and_ends(paths: Sequence[tuple[str, Cameras]]) -> tuple[list[str], Cameras]:
    """Return names and cameras of a preview: the first path's start, and the ends of up to three named paths."""
    chosen = [("start", paths[0][1].select(slice(0, 1)))]
    chosen += [(name, path.select(slice(-1, None))) for name, path in paths[:3]]
    return [name for name, _ in chosen], Cameras.joined(cameras for _, cameras in chosen)


def _range(depth: np.ndarray, alpha: np.ndarray) -> tuple[float, float]:
    seen = depth[alpha > 0.5]
    if not len(seen):
        return 0.0, 1.0
    near, far = np.percentile(seen, [1, 99])
    return float(near), float(max(far, near + 1e-3))


def depth_picture(depth: np.ndarray, near: float, far: float) -> np.ndarray:
    """Return depth (H, W) as colours from pale (`near`) to dark (`far`), uint8."""
    # Logarithmic, because relative depth is what the eye and the metric judge.
    position = np.log(np.clip(depth, near, far) / near) / np.log(far / near) * (len(_DEPTH_COLOURS) - 1)
    low = np.floor(position).astype(int).clip(0, len(_DEPTH_COLOURS) - 2)
    share = (position - low)[..., None]
    return (_DEPTH_COLOURS[low] * (1 - share) + _DEPTH_COLOURS[low + 1] * share).round().astype(np.uint8)


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
