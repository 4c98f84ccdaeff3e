"""One picture of the 3D cache, and what it shows from other cameras (GEN3C section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.cache.fill import fill_colours, fill_holes
from generator.cache.masking import any_corner, rasterize_depth, reliability_mask, sheet_triangles
from generator.cache.unproject import project, transform, unproject
from generator.cache.warp import splat
from generator.cameras import Cameras


def image_tensor(rgb: np.ndarray) -> Tensor:
    """Return sRGB pictures (..., H, W, 3) uint8 as colours in [-1, 1], (..., 3, H, W)."""
    return torch.tensor(rgb).movedim(-1, -3).float() / 127.5 - 1


def image_bytes(colours: Tensor) -> np.ndarray:
    """Return colours in [0, 1], (F, 3, H, W), as sRGB pictures (F, H, W, 3) uint8; beyond the range they are cut."""
    return (colours.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def pose_tensors(cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Return `w2c` (F, 4, 4) and `intrinsics` (F, 4) of cameras, float32."""
    return torch.from_numpy(cameras.w2c).float(), torch.from_numpy(cameras.intrinsics).float()


@dataclass(frozen=True)
class CacheConfig:
    """Say how a cache treats its pictures."""

    max_frames: int = 2
    """Pictures that a cache keeps: the newest ones and always the first."""
    max_spread: float = 0.05
    """Spread of depth around a pixel above which it is not warped; 1 or more warps every pixel."""
    edge_spread: float = 0.05
    """Spread of depth around a pixel above which it lies on a torn surface."""
    foreground_masking: bool = True
    """Whether surfaces torn at depth edges hide what shows through the gap."""
    max_depth: float = 100.0
    """Depth that everything farther is moved to, in units of the depth maps."""
    clearance: float = 0.02
    """How far behind the torn surface a point must lie to be hidden, as a share of the surface's depth."""
    sheet_step: int = 4
    """Pixels per vertex of the torn surface."""
    frames_at_once: int = 2
    """Target cameras that are warped together, which bounds the memory."""
    official_quirks: bool = False
    """Whether to reproduce what GEN3C's code does by accident: pixel centres at integers, one depth scale per pair
    of frames, points on pixel centres counted twice, unknown depth splatted at the camera, an absolute clearance,
    and the first picture's depth edges for all pictures."""

    @classmethod
    def for_height(cls, height: int) -> CacheConfig:
        """Return the published settings, made for pictures of 704 rows, for pictures of `height` rows.

        Larger pixels span more of a slanted floor, so the same surface shows a larger spread of depth.
        """
        spread = 0.05 * 704 / height
        return cls(max_spread=spread, edge_spread=spread)


@dataclass(frozen=True)
class CacheViews:
    """Hold what a cache shows from F cameras, one layer per picture in it, newest first."""

    pixels: Tensor
    """Colours in [-1, 1], -1 in holes, (F, N, 3, H, W)."""
    depth: Tensor
    """z-depth in the target cameras, 0 in holes, (F, N, H, W)."""
    mask: Tensor
    """Pixels that are covered, (F, N, H, W) bool."""

    def before(self, behind: CacheViews) -> CacheViews:
        """Return these views with their holes filled from others of the same shape."""
        pixels = torch.where(self.mask[:, :, None], self.pixels, behind.pixels)
        return CacheViews(pixels, torch.where(self.mask, self.depth, behind.depth), self.mask | behind.mask)

    def merged(self, layers: int) -> CacheViews:
        """Return at most so many layers: what older ones show stands in the holes of the last that is kept."""
        if self.mask.shape[1] <= layers:
            return self
        kept = self._layers(slice(None, layers - 1))
        last = self._layers(slice(layers - 1, layers))
        for older in range(layers, self.mask.shape[1]):
            last = last.before(self._layers(slice(older, older + 1)))
        return CacheViews(
            *(
                torch.cat([getattr(v, name) for v in (kept, last)], dim=1)
                for name in ("pixels", "depth", "mask")
            )
        )

    def _layers(self, which: slice) -> CacheViews:
        return CacheViews(self.pixels[:, which], self.depth[:, which], self.mask[:, which])

    def resized(self, height: int, width: int) -> CacheViews:
        """Return the views at another size; a pixel is covered where at least half of what it spans is."""
        if self.mask.shape[-2:] == (height, width):
            return self
        covered = self.mask[:, :, None].float()
        both = torch.cat([(self.pixels + 1) * covered, self.depth[:, :, None] * covered, covered], dim=2)
        sums = F.interpolate(both.flatten(0, 1), size=(height, width), mode="bilinear", antialias=True)
        *colours, depth, share = sums.unflatten(0, self.mask.shape[:2]).unbind(2)
        mask, whole = share >= 0.5, share.clamp(min=0.5)
        pixels = torch.where(mask[:, :, None], torch.stack(colours, dim=2) / whole[:, :, None] - 1, -1)
        return CacheViews(pixels, torch.where(mask, depth / whole, 0), mask)

    def filled(self) -> tuple[Tensor, Tensor]:
        """Return the first layer with its holes filled from the background.

        Returns:
            Colours in [0, 1], (F, 3, H, W), and z-depth, (F, H, W).
        """
        depth, mask = self.depth[:, 0], self.mask[:, 0]
        dense = fill_holes(depth, mask.float())
        return fill_colours((self.pixels[:, 0] + 1) / 2, dense, mask).clamp(0, 1), dense


@dataclass(frozen=True)
class CachedPicture:
    """Hold one picture of a cache as points of its camera."""

    image: Tensor
    """Colours in [-1, 1], (3, H, W)."""
    points: Tensor
    """Points in the picture's camera frame, (H, W, 3)."""
    c2w: Tensor
    """Pose of that camera, OpenCV axes, (4, 4) float64."""
    known: Tensor
    """1 for pixels whose depth is known, (H, W)."""
    reliable: Tensor
    """1 for those of them that do not lie at a depth edge, (H, W)."""
    torn: Tensor
    """Pixels at depth edges, (H, W) bool."""

    @classmethod
    def from_depth(
        cls,
        image: Tensor,
        depth: Tensor,
        w2c: Tensor,
        intrinsics: Tensor,
        mask: Tensor | None,
        config: CacheConfig,
    ) -> CachedPicture:
        """Lift a picture (3, H, W) with z-depth (H, W), seen from `w2c` (4, 4) with `intrinsics` (4,)."""
        depth = torch.nan_to_num(depth, nan=config.max_depth).clamp(0, config.max_depth)
        if mask is not None:
            depth = torch.where(mask > 0.5, depth, 0)
        known = torch.ones_like(depth) if config.official_quirks else (depth > 0).to(depth)
        reliable = known
        if config.max_spread < 1:
            reliable = known * reliability_mask(depth, max_spread=config.max_spread)
        torn = ~reliability_mask(depth, max_spread=config.edge_spread)
        points = unproject(depth, intrinsics, pixel_center=_center(config))
        return cls(image, points, torch.linalg.inv(w2c.double()), known, reliable, torn)


def warp_picture(
    picture: CachedPicture,
    w2c: Tensor,
    intrinsics: Tensor,
    config: CacheConfig,
    *,
    torn: Tensor | None = None,
    cautious: bool = True,
) -> CacheViews:
    """Show one picture from F cameras, with `w2c` (F, 4, 4) and `intrinsics` (F, 4), all at once.

    Args:
        picture: The picture.
        w2c: World-to-camera poses, OpenCV axes.
        intrinsics: fx, fy, cx, cy [px].
        config: How pictures are treated.
        torn: Pixels at depth edges, (H, W); None takes the picture's own.
        cautious: Whether to leave out, as GEN3C does, what a video model had better imagine anew: pixels at depth
            edges, and what shows through the surfaces torn there. Two fifths of what is then open the picture does
            show, and its colours are the best guess there for everything else (`benchmarks/disocclusion.py`).
    """
    height, width = picture.known.shape
    poses = (w2c.double() @ picture.c2w).to(picture.points)
    seen = transform(poses, picture.points)
    pixels, z = project(seen, intrinsics, pixel_center=_center(config))
    values = torch.cat(
        [picture.image.flatten(1).expand(len(z), -1, -1), z.flatten(1)[:, None]],
        dim=1,
    )
    average, hit = splat(
        values,
        pixels.flatten(1, 2),
        z.flatten(1),
        (picture.reliable if cautious else picture.known).flatten()[None],
        height=height,
        width=width,
        official_quirks=config.official_quirks,
    )
    depth = average[:, 3]
    if config.foreground_masking and cautious:
        sheet = _torn_surface(seen, picture.torn if torn is None else torn, intrinsics, config)
        clearance = config.clearance * (1 if config.official_quirks else sheet)
        hit = hit & ~((sheet > 0) & (sheet + clearance < depth))
    image = torch.where(hit[:, None], average[:, :3], -1).clamp(-1, 1)
    return CacheViews(image[:, None], torch.where(hit, depth, 0)[:, None], hit[:, None])


def _torn_surface(seen: Tensor, torn: Tensor, intrinsics: Tensor, config: CacheConfig) -> Tensor:
    height, width = torn.shape
    size = (height // config.sheet_step, width // config.sheet_step)
    vertices = F.interpolate(seen.permute(0, 3, 1, 2), size=size, mode="bilinear", align_corners=False)
    cells = any_corner(F.interpolate(torn[None, None].float(), size=size, mode="nearest")[0, 0] > 0)
    triangles = sheet_triangles(vertices.permute(0, 2, 3, 1), cells)
    return rasterize_depth(triangles, intrinsics, height=height, width=width, pixel_center=_center(config))


def _center(config: CacheConfig) -> float:
    """Return the coordinate of the first pixel's centre."""
    return 0.0 if config.official_quirks else 0.5
