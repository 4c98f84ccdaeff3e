"""A picture of where the cameras stood: the conditioning frame's point cloud and a frustum per camera."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from generator.cache.unproject import unproject
from generator.cameras import Cameras, invert_rigid
from generator.teachers.teacher import Clip, TeacherVideo

_SIZE = (1280, 800)
"""Columns and rows of the picture."""
_COLOURS = ("#ffb02e", "#4cc2ff", "#7ee081", "#ff6fae", "#c59bff", "#ff5d4d")
"""One colour per path, in turn."""
_PANEL = (300, 26)
"""Width and height of one line of the legend [px]."""


def draw_frusta(video: TeacherVideo) -> Image.Image:
    """Return a picture of the first frame's points and of all input cameras, seen from above and behind."""
    first = video.clips[0]
    points, colours = _cloud(first)
    view = _overview(points, first.cameras.c2w[0])
    picture = Image.fromarray(_splat(points, colours, view))
    draw = ImageDraw.Draw(picture)
    length = 0.12 * float(np.median(first.depth[0][first.depth[0] > 0]))
    for index, clip in enumerate(video.clips):
        colour = _COLOURS[index % len(_COLOURS)]
        _draw_path(draw, clip.cameras, view, colour, length)
        top = 12 + index * _PANEL[1]
        draw.rectangle((14, top + 5, 30, top + 19), fill=colour)
        travel = np.linalg.norm(clip.cameras.c2w[-1, :3, 3] - clip.cameras.c2w[0, :3, 3])
        unit = "m" if video.metric else "units"
        text = f"{clip.name.replace('_', ' ')}: ends {travel:.2f} {unit} from its start"
        draw.text((40, top), text, "white", _font(), stroke_width=2, stroke_fill="black")
    return picture


def _cloud(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, 3) in the world and colours (N, 3) uint8 of a clip's first frame."""
    cameras, depth = clip.cameras, torch.from_numpy(np.ascontiguousarray(clip.depth[0]))
    points = unproject(depth, torch.from_numpy(cameras.intrinsics[0]).float()).numpy().astype(np.float64)
    known = clip.depth[0] > 0
    c2w = cameras.c2w[0]
    return points[known] @ c2w[:3, :3].T + c2w[:3, 3], clip.rgb[0][known]


def _overview(points: np.ndarray, c2w: np.ndarray) -> Cameras:
    """Return a camera behind and above `c2w` from which it and the points are in view."""
    eye, ahead = c2w[:3, 3], c2w[:3, 2].copy()
    ahead[2] = 0
    ahead /= max(float(np.linalg.norm(ahead)), 1e-9)
    reach = float(np.percentile((points - eye) @ ahead, 80))
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    position = eye - 0.3 * reach * ahead + 0.5 * reach * np.array([0, 0, 1]) + 0.35 * reach * right
    target = eye + 0.55 * reach * ahead - 0.1 * reach * np.array([0, 0, 1])
    forward = (target - position) / np.linalg.norm(target - position)
    side = np.cross(forward, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([side, np.cross(forward, side), forward], axis=1)
    pose[:3, 3] = position
    focal = 0.85 * _SIZE[0]
    return Cameras(pose[None], np.array([[focal, focal, _SIZE[0] / 2, _SIZE[1] / 2]]), _SIZE[1], _SIZE[0])


def _project(points: np.ndarray, view: Cameras) -> np.ndarray:
    """Return column, row [px] and depth of world points, (N, 3)."""
    w2c = invert_rigid(view.c2w[0])
    local = points @ w2c[:3, :3].T + w2c[:3, 3]
    z = np.maximum(local[:, 2:], 1e-6)
    return np.concatenate(
        [local[:, :2] / z * view.intrinsics[0, :2] + view.intrinsics[0, 2:], local[:, 2:]], 1
    )


def _splat(points: np.ndarray, colours: np.ndarray, view: Cameras) -> np.ndarray:
    """Draw points as dots of about their spacing, near ones over far ones."""
    canvas = np.full((view.height, view.width, 3), 22, np.uint8)
    column, row, depth = _project(points, view).T
    order = np.argsort(-depth)
    order = order[depth[order] > 0]
    radius = 2 if len(points) < 300_000 else 1
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            x, y = column[order].astype(int) + dx, row[order].astype(int) + dy
            inside = (x >= 0) & (x < view.width) & (y >= 0) & (y < view.height)
            canvas[y[inside], x[inside]] = colours[order][inside]
    return canvas


def _draw_path(
    draw: ImageDraw.ImageDraw, cameras: Cameras, view: Cameras, colour: str, length: float
) -> None:
    """Draw the way of a path, and the frusta of its first, middle and last camera."""
    way = _project(cameras.c2w[:, :3, 3], view)
    draw.line([(x, y) for x, y, z in way if z > 0], fill=colour, width=3)
    for index in (0, len(cameras) // 2, len(cameras) - 1):
        fx, fy, cx, cy = cameras.intrinsics[index]
        edges = np.array([[0, 0], [cameras.width, 0], [cameras.width, cameras.height], [0, cameras.height]])
        rays = np.concatenate([(edges - [cx, cy]) / [fx, fy], np.ones((4, 1))], axis=1) * length
        c2w = cameras.c2w[index]
        corners = _project(np.concatenate([rays @ c2w[:3, :3].T + c2w[:3, 3], c2w[None, :3, 3]]), view)
        if (corners[:, 2] <= 0).any():
            continue
        frame = [tuple(corner[:2]) for corner in corners[:4]]
        draw.line([*frame, frame[0]], fill=colour, width=2)
        for corner in frame:
            draw.line([tuple(corners[4, :2]), corner], fill=colour, width=1)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(17)
