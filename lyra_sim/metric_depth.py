"""The scale of a capture, from metric depth at cameras whose poses in it are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lyra_sim.collider.fuse import ColliderConfig, clean_depth
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians
from lyra_sim.ground import opaque_points
from lyra_sim.transform import Similarity

if TYPE_CHECKING:
    from generator.camera_files import PosedFrames

RenderDepth = Callable[[Gaussians, np.ndarray, np.ndarray, int, int], tuple[np.ndarray, np.ndarray]]
"""Render z-depth [m] and alpha, (V, H, W) each, of Gaussians from poses (V, 4, 4), intrinsics (V, 4), height, width."""

LONGEST_SIDE = 320
"""Most pixels along a side of the maps that are compared [px]."""
MOST_VIEWS = 24
"""Most cameras that are compared; of more, as many are picked evenly."""
FEWEST_PIXELS = 100
TILES = 4
"""Parts that a map is cut into along each side, whose scales are compared."""
ROUGH_SPREAD = 0.05
"""Spread of the pixels' own scales beyond which the scale is rough."""
WORST_SPREAD = 0.4
"""Spread beyond which the two depths show different things."""


@dataclass(frozen=True)
class MetricViews:
    """Hold V metric depth maps and the cameras that saw them."""

    depth: np.ndarray
    """z-depth [m], (V, H, W) float32; 0 where nothing was measured."""
    c2w: np.ndarray
    """Camera poses in the frame and unit of the capture, OpenCV axes, (V, 4, 4)."""
    intrinsics: np.ndarray
    """fx, fy, cx, cy [px], pixel centres at +0.5, (V, 4)."""


@dataclass(frozen=True)
class ScaleReport:
    """Hold a scale that was found from metric depth, and how sure it is."""

    scale: float
    """Metres per unit of the capture."""
    uncertainty: float
    """Typical deviation of the scale between parts of the maps, relative; an error that all of them share, such as
    one of the depth camera itself, is not in it."""
    spread: float
    """Half the distance between the quartiles of the pixels' own scales, relative to the scale."""
    pixels: int
    """Number of pixels that have both depths."""
    views: int
    """Number of depth maps."""


def read_metric_views(cameras: Path, depth: Path | None = None, *, unit: str | None = None) -> MetricViews:
    """Read cameras of a capture and the metric depth that they saw, at a size to compare.

    Args:
        cameras: A nerfstudio `transforms.json` in the frame of the capture.
        depth: Depth map of its only camera, or of the frame that names this file; None for the maps that the
            frames name themselves.
        unit: `mm` or `m`; None takes millimetres for whole numbers and metres for floating-point ones.

    Raises:
        LyraSimError: A file is missing or damaged, a map fits no camera, or is of another shape than its picture.
    """
    from generator.camera_files import read_transforms
    from generator.pictures.depth_file import read_depth

    frames = read_transforms(cameras)
    if depth is not None:
        index, paths = [_frame_of(depth, cameras, frames)], [depth]
    elif frames.depth_file_paths:
        step = -(-len(frames.cameras) // MOST_VIEWS)
        index = list(range(0, len(frames.cameras), step))
        paths = [cameras.parent / frames.depth_file_paths[i] for i in index]
    else:
        raise LyraSimError(
            f"{cameras}: its frames name no depth maps (depth_file_path); give one with --depth"
        )
    seen = frames.cameras.select(index)
    shrink = max(1.0, max(seen.height, seen.width) / LONGEST_SIDE)
    seen = seen.resized(round(seen.height / shrink), round(seen.width / shrink))
    maps = [_sampled(read_depth(p, unit=unit).depth, seen.height, seen.width, p) for p in paths]
    return MetricViews(np.stack(maps), seen.c2w, seen.intrinsics)


def scale_from_depth(gaussians: Gaussians, views: MetricViews, render: RenderDepth) -> ScaleReport:
    """Return the metres per unit of a capture whose rendered depth then agrees with the metric one.

    Args:
        gaussians: The capture, in the frame and unit of the views' poses.
        views: Metric depth and its cameras.
        render: Renders depth of Gaussians in metres.

    Raises:
        LyraSimError: The cameras see nothing of the capture, too few pixels have both depths, or the two disagree
            in more than a factor.
    """
    scale, report = _first_guess(gaussians, views), None
    height, width = views.depth.shape[1:]
    for _ in range(3):
        # Renderers leave out what is nearer than some centimetres, so they get a scene in about metres.
        c2w = views.c2w.copy()
        c2w[:, :3, 3] *= scale
        seen = Similarity(scale=scale).gaussians(gaussians)
        depth, alpha = render(seen, c2w, views.intrinsics, height, width)
        farthest = ColliderConfig(max_depth=float(np.inf))
        rendered = clean_depth(depth, alpha, c2w, views.intrinsics, farthest).depth
        report = estimate_scale(rendered, views.depth)
        scale *= report.scale
        if 0.8 < report.scale < 1.25:
            break
    assert report is not None
    if report.spread > WORST_SPREAD:
        raise LyraSimError(
            f"--camera: half of the pixels disagree by more than {report.spread:.0%} about the scale, so splats and "
            "depth do not show the same view; are the poses in the input's own frame?"
        )
    return replace(report, scale=scale)


def estimate_scale(rendered: np.ndarray, metric: np.ndarray) -> ScaleReport:
    """Return the factor from rendered to metric depth, the median of their ratio where both are positive.

    Its uncertainty is how much parts of the maps differ about it. It does not shrink with their number, because
    the splats err alike in neighbouring pixels and from neighbouring cameras.

    Args:
        rendered: z-depth, (V, H, W); 0 where there is none.
        metric: z-depth of the same pixels [m], (V, H, W); 0 where there is none.

    Raises:
        LyraSimError: Fewer than 100 pixels have both depths.
    """
    both = (rendered > 0) & (metric > 0) & np.isfinite(rendered) & np.isfinite(metric)
    count = int(both.sum())
    if count < FEWEST_PIXELS:
        raise LyraSimError(
            f"only {count} pixels have rendered and metric depth; at least {FEWEST_PIXELS} are needed"
        )
    ratio = np.where(both, metric / np.where(both, rendered, 1.0), np.nan)
    low, factor, high = np.percentile(ratio[both], [25, 50, 75])
    parts = [
        part
        for view in ratio
        for rows in np.array_split(view, TILES)
        for part in np.array_split(rows, TILES, axis=1)
    ]
    known = [part[np.isfinite(part)] for part in parts]
    medians = np.array([np.median(k) for k in known if len(k) >= 20])
    if len(medians) < 4:
        medians = np.array([np.median(quarter) for quarter in np.array_split(ratio[both], 4)])
    # The median deviation of a normal distribution, times this, is its standard deviation.
    uncertainty = 1.4826 * float(np.median(np.abs(medians - factor))) / factor
    return ScaleReport(float(factor), uncertainty, float((high - low) / 2 / factor), count, len(rendered))


def _frame_of(depth: Path, cameras: Path, frames: PosedFrames) -> int:
    """Return the index of the only camera, or of the only one whose frame names the depth map or a like picture."""
    count = len(frames.cameras)
    if count == 1:
        return 0
    named = {i for i, name in enumerate(frames.depth_file_paths) if Path(name).name == depth.name}
    named = named or {i for i, name in enumerate(frames.file_paths) if Path(name).stem == depth.stem}
    if len(named) != 1:
        raise LyraSimError(
            f"{cameras}: holds {count} cameras, of which {len(named)} name {depth.name}; keep only the one that saw it"
        )
    return named.pop()


def _sampled(depth: np.ndarray, height: int, width: int, path: Path) -> np.ndarray:
    """Return the nearest pixels at another size, since means would invent depth at the edges of objects."""
    rows, columns = depth.shape
    if abs(rows * width / (columns * height) - 1) > 0.02:
        raise LyraSimError(
            f"{path}: has {columns}x{rows} px, another shape than its camera's {width}x{height}"
        )
    row = ((np.arange(height) + 0.5) * rows / height).astype(int)
    column = ((np.arange(width) + 0.5) * columns / width).astype(int)
    return depth[row[:, None], column]


def _first_guess(gaussians: Gaussians, views: MetricViews) -> float:
    """Return metres per unit from the centres in view, hidden ones included: right within a small factor."""
    height, width = views.depth.shape[1:]
    points, depths = opaque_points(gaussians).astype(np.float64), []
    for pose, (fx, fy, cx, cy) in zip(views.c2w, views.intrinsics, strict=True):
        x, y, z = (np.linalg.inv(pose) @ np.c_[points, np.ones(len(points))].T)[:3]
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = x / z * fx + cx, y / z * fy + cy
        depths.append(z[(z > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)])
    inside, measured = np.concatenate(depths), views.depth[views.depth > 0]
    if len(inside) < FEWEST_PIXELS or not len(measured):
        raise LyraSimError(
            f"--camera: sees {len(inside)} splats; its poses must be in the input's own frame and unit, OpenGL axes"
        )
    return float(np.median(measured) / np.median(inside))
