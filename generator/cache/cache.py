"""The 3D cache: a few pictures with depth, shown from other cameras (GEN3C section 3; Lyra section 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from generator.cache.align import Alignment, align_depth
from generator.cache.nearest import sources_of
from generator.cache.picture import CacheConfig, CachedPicture, CacheViews, pose_tensors, warp_picture
from generator.cameras import Cameras


class Cache3D:
    """Keep a few pictures of a static scene and show them from any camera."""

    def __init__(
        self,
        image: Tensor,
        depth: Tensor,
        w2c: Tensor,
        intrinsics: Tensor,
        *,
        mask: Tensor | None = None,
        config: CacheConfig | None = None,
    ) -> None:
        """Start a cache from its first picture.

        Args:
            image: Colours in [-1, 1], (3, H, W).
            depth: z-depth, in the unit of the poses, (H, W).
            w2c: World-to-camera pose, OpenCV axes, (4, 4).
            intrinsics: fx, fy, cx, cy [px], (4,).
            mask: 1 where the depth is known, (H, W).
            config: How pictures are treated.
        """
        self.config = config or CacheConfig()
        self.pictures = [CachedPicture.from_depth(image, depth, w2c, intrinsics, mask, self.config)]

    def render(self, w2c: Tensor, intrinsics: Tensor, *, cautious: bool = True) -> CacheViews:
        """Show every picture, newest first, from cameras `w2c` (F, 4, 4) with `intrinsics` (F, 4).

        `cautious` is that of `warp_picture`.
        """
        step = self.config.frames_at_once
        torn = self.pictures[-1].torn if self.config.official_quirks else None
        frames = [
            [warp_picture(p, w, k, self.config, torn=torn, cautious=cautious) for p in self.pictures]
            for w, k in zip(w2c.split(step), intrinsics.split(step), strict=True)
        ]
        return _join([_join(layers, dim=1) for layers in frames], dim=0)

    def show(self, cameras: Cameras, *, start: int = 0, cautious: bool = True) -> CacheViews:
        """Show every picture, newest first, from `cameras`, at whatever time they `start`; see `render`."""
        return self.render(*pose_tensors(cameras), cautious=cautious)

    def update(
        self,
        image: Tensor,
        depth: Tensor,
        w2c: Tensor,
        intrinsics: Tensor,
        *,
        mask: Tensor | None = None,
        align: Alignment | None = "non_rigid",
    ) -> None:
        """Add a picture, shaped as the first one, after fitting its depth to what the cache shows from there.

        The first picture always stays; of the others, the newest are kept.

        Raises:
            LyraSimError: The picture shares too little with the cache to be aligned.
        """
        if align is not None:
            shown = self.render(w2c[None], intrinsics[None])
            depth = align_depth(
                torch.nan_to_num(depth, nan=self.config.max_depth),
                shown.depth[0, 0],
                shown.mask[0, 0],
                intrinsics,
                method=align,
                official_quirks=self.config.official_quirks,
            )
        picture = CachedPicture.from_depth(image, depth, w2c, intrinsics, mask, self.config)
        kept = self.pictures[:-1][: max(self.config.max_frames - 2, 0)]
        self.pictures = [picture, *kept, self.pictures[-1]]


class Cache4D:
    """Keep one picture per point in time of a moving scene; each is only shown at its own time."""

    def __init__(
        self,
        images: Tensor,
        depths: Tensor,
        w2c: Tensor,
        intrinsics: Tensor,
        *,
        masks: Tensor | None = None,
        config: CacheConfig | None = None,
    ) -> None:
        """Start a cache from a video.

        Args:
            images: Colours in [-1, 1], (F, 3, H, W).
            depths: z-depth, in the unit of the poses, (F, H, W).
            w2c: World-to-camera poses, OpenCV axes, (F, 4, 4).
            intrinsics: fx, fy, cx, cy [px], (F, 4).
            masks: 1 where the depth is known, (F, H, W).
            config: How pictures are treated.
        """
        self.config = config or CacheConfig()
        self.pictures = [
            CachedPicture.from_depth(
                images[i], depths[i], w2c[i], intrinsics[i], None if masks is None else masks[i], self.config
            )
            for i in range(len(images))
        ]

    def render(self, w2c: Tensor, intrinsics: Tensor, *, start: int = 0, cautious: bool = True) -> CacheViews:
        """Show picture `start` + f from camera f, with `w2c` (F, 4, 4) and `intrinsics` (F, 4).

        `cautious` is that of `warp_picture`.
        """
        pictures = self.pictures[start : start + len(w2c)]
        return _join(
            [
                warp_picture(p, w[None], k[None], self.config, cautious=cautious)
                for p, w, k in zip(pictures, w2c, intrinsics, strict=True)
            ],
            dim=0,
        )

    def show(self, cameras: Cameras, *, start: int = 0, cautious: bool = True) -> CacheViews:
        """Show picture `start` + f from camera f of `cameras`; see `render`."""
        return self.render(*pose_tensors(cameras), start=start, cautious=cautious)


class StillCache:
    """Keep the pictures of a video in which nothing moves, and show the best of them from any camera, in one layer."""

    def __init__(self, images: Tensor, depths: Tensor, cameras: Cameras, *, config: CacheConfig) -> None:
        """Start a cache from a video.

        Args:
            images: Colours in [-1, 1], (F, 3, H, W).
            depths: z-depth, in the unit of the poses, (F, H, W); 0 where unknown.
            cameras: F cameras.
            config: How pictures are treated.
        """
        times = Cache4D(images, depths, *pose_tensors(cameras), masks=(depths > 0).float(), config=config)
        self.config, self.pictures, self.cameras = times.config, times.pictures, cameras
        self.length = float(depths[depths > 0].median())

    def show(self, cameras: Cameras, *, start: int = 0, cautious: bool = True) -> CacheViews:
        """Show the nearest picture from each of `cameras`, and others in its holes; `start` does not matter.

        `cautious` is that of `warp_picture`.
        """
        views = []
        for sources, w, k in zip(
            sources_of(self.cameras, cameras, length=self.length), *pose_tensors(cameras), strict=True
        ):
            first, *others = (self.pictures[source] for source in dict.fromkeys(sources))
            shown = warp_picture(first, w[None], k[None], self.config, cautious=cautious)
            for picture in others:
                if not shown.mask.all():
                    behind = warp_picture(picture, w[None], k[None], self.config, cautious=cautious)
                    shown = shown.before(behind)
            views.append(shown)
        return _join(views, dim=0)


def _join(views: list[CacheViews], dim: int) -> CacheViews:
    return CacheViews(
        torch.cat([v.pixels for v in views], dim),
        torch.cat([v.depth for v in views], dim),
        torch.cat([v.mask for v in views], dim),
    )
