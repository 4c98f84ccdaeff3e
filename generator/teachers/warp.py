"""The teacher that imagines nothing: the picture warped by its depth, holes filled from the background."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from generator.cache import (
    Cache3D,
    Cache4D,
    CacheConfig,
    StillCache,
    image_bytes,
    image_tensor,
    pose_tensors,
)
from generator.networks import Networks
from generator.sizes import Size
from generator.teachers.conditioning import Footage, Picture
from generator.teachers.picture_paths import CameraPath, PlannedPath
from generator.teachers.picture_teacher import PictureTeacher, picture_video
from generator.teachers.teacher import Clip, Progress, TeacherVideo

PictureCache = Cache3D | Cache4D | StillCache
"""What a picture, a video that moves, and one of a still scene are shown from."""


@dataclass(kw_only=True)
class WarpTeacher(PictureTeacher):
    """Show a picture's 3D cache along the camera paths, and fill what it leaves open without generating."""

    name: str = field(default="warp", init=False)

    @classmethod
    def for_size(
        cls,
        size: Size,
        *,
        trajectories: tuple[CameraPath, ...],
        movement: float = 1.0,
        networks: Networks | None = None,
    ) -> WarpTeacher:
        """Return the teacher at the resolution of a size."""
        return cls(
            height=size.height,
            width=size.width,
            frames=size.frames,
            trajectories=trajectories,
            movement=movement,
            center_share=size.center_share,
        )

    def imagine(self, conditioning: object, *, seed: int, progress: Progress | None = None) -> TeacherVideo:
        """Warp a `Picture` with depth along every path.

        The world frame is the OpenCV frame of the picture's camera, in the unit of its depth.

        Raises:
            LyraSimError: The conditioning is no picture of this size with depth.
        """
        picture = self.checked(conditioning)
        paths = self.plan(picture, seed=seed)
        cache = open_cache(picture)
        clips, seen = [], {}
        for done, path in enumerate(paths):
            if progress:
                progress(done / len(paths), f"warping along {path.name.replace('_', ' ')}")
            clip, share = warp_clip(picture, cache, path)
            clips.append(clip)
            seen[path.name] = round(share, 4)
        source = {
            "teacher": self.name,
            "seed": seed,
            **self.path_record(picture, paths),
            "least_share_seen": seen,
        }
        return picture_video(picture, clips, source)


def open_cache(picture: Picture) -> PictureCache:
    """Return the 3D cache of a picture with depth, or of a video, in the frame of its (first) camera."""
    config = CacheConfig.for_height(picture.height)
    if isinstance(picture, Footage):
        return _video_cache(picture, config)
    depth = torch.from_numpy(picture.require_depth())
    return Cache3D(
        image_tensor(picture.rgb),
        depth,
        torch.eye(4),
        torch.from_numpy(picture.intrinsics).float(),
        config=replace(config, max_depth=2 * float(depth.max())),
    )


def _video_cache(footage: Footage, config: CacheConfig) -> Cache4D | StillCache:
    video, depth = footage.video, torch.from_numpy(footage.video.depth)
    images = image_tensor(video.rgb)
    config = replace(config, max_depth=2 * float(depth.max()))
    if not footage.moving:
        return StillCache(images, depth, video.cameras, config=config)
    return Cache4D(images, depth, *pose_tensors(video.cameras), masks=(depth > 0).float(), config=config)


def warp_clip(picture: Picture, cache: PictureCache, path: PlannedPath) -> tuple[Clip, float]:
    """Return the filled clip of one path, and the least share of a frame that the picture really shows."""
    views = cache.show(path.cameras, cautious=False)
    mask, shown = views.mask[:, 0], views.depth[:, 0].numpy().astype(np.float32)
    rgb = image_bytes(views.filled()[0])
    # The splat of a view onto itself depends on rounding at edges; the picture is known.
    rgb[0], shown[0] = picture.rgb, picture.require_depth()
    least = float(mask[1:].float().mean(dim=(1, 2)).min()) if len(mask) > 1 else 1.0
    return Clip(path.name, path.cameras, rgb, shown), least
