"""Pictures with depth for the mini estimator: frames of procedural worlds, made to look less alike.

The worlds are drawn, photographs are not; so colours, exposure, sharpness, noise, field of view and surface textures
vary far more than the worlds do by themselves. Textures are those of scikit-image, where it is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.depth.network import CELL, DepthConfig, pixel_rays
from lyra_sim.errors import LyraSimError

_TEXTURES = ("brick", "grass", "gravel", "coffee", "chelsea", "astronaut", "immunohistochemistry", "rocket")
_DENSE_SHARE = 0.35
"""Share of pictures that are frame 0 of a clip, whose depth is known at every pixel; elsewhere it is known at one
pixel per cell."""


@dataclass(frozen=True)
class DepthBatch:
    """Hold pictures and their depth."""

    rgb: Tensor
    """sRGB in [-1, 1], (B, 3, H, W)."""
    rays: Tensor
    """x/z and y/z of every pixel's ray, (B, 2, H, W)."""
    depth: Tensor
    """z-depth [m], 0 where nothing was hit, (B, 1, H, W)."""
    known: Tensor
    """Pixels whose depth was rendered, be it 0, (B, 1, H, W) bool."""


class DepthImages:
    """Draw batches from a folder of training scenes."""

    def __init__(self, folder: Path, config: DepthConfig) -> None:
        self.scenes = sorted(p.parent for p in folder.glob("[0-9]*/scene.json"))
        if not self.scenes:
            raise LyraSimError(f"{folder}: holds no scenes; run training.scenes")
        self.config = config
        self.textures = _load_textures()

    def batch(self, seed: int, step: int, *, count: int, vary: bool = True) -> DepthBatch:
        """Return the pictures of a step; they depend on nothing but the seed, the step and the scenes."""
        rng = np.random.default_rng([seed, step])
        parts = [self._picture(rng, vary=vary) for _ in range(count)]
        return DepthBatch(
            *(torch.stack([getattr(p, name) for p in parts]) for name in ("rgb", "rays", "depth", "known"))
        )

    def _picture(self, rng: np.random.Generator, *, vary: bool) -> DepthBatch:
        scene = self.scenes[rng.integers(len(self.scenes))]
        frames = np.load(scene / "rgb.npy", mmap_mode="r")
        view, frame = int(rng.integers(len(frames))), int(rng.integers(1, frames.shape[1]))
        dense = rng.random() < _DENSE_SHARE
        if dense:
            depth, frame = np.load(scene / "conditioning_depth.npy"), 0
        else:
            depth = np.array(np.load(scene / "depth.npy", mmap_mode="r")[view, frame], np.float32)
        rgb = torch.from_numpy(np.array(frames[view, frame])).permute(2, 0, 1)[None].float() / 255
        lens = torch.from_numpy(np.load(scene / "intrinsics.npy")[view, frame].astype(np.float32))
        target = torch.from_numpy(depth)[None, None]
        if not vary:
            return self._cropped(rgb, target, lens, (0.0, 0.0, 1.0), dense=dense)
        share = float(rng.uniform(0.55, 1.0))
        window = (float(rng.uniform(0, 1 - share)), float(rng.uniform(0, 1 - share)), share)
        part = self._cropped(rgb, target, lens, window, dense=dense)
        if rng.random() < 0.5:
            flipped = part.rays.flip(-1) * torch.tensor([-1.0, 1.0])[:, None, None]
            # Where depth is known at one pixel per cell, that pixel moves to the other side of its cell.
            part = DepthBatch(part.rgb.flip(-1), flipped, part.depth.flip(-1), part.known.flip(-1))
        return DepthBatch(_repaint(part.rgb, self.textures, rng), part.rays, part.depth, part.known)

    def _cropped(
        self,
        rgb: Tensor,
        depth: Tensor,
        lens: Tensor,
        window: tuple[float, float, float],
        *,
        dense: bool,
    ) -> DepthBatch:
        """Return a window (left, top, share of the sides) at the network's size, which narrows the lens."""
        height, width = self.config.height, self.config.width
        left, top, share = window
        x = left + share * (torch.arange(width) + 0.5) / width
        y = top + share * (torch.arange(height) + 0.5) / height
        grid = torch.stack(torch.broadcast_tensors(x[None] * 2 - 1, y[:, None] * 2 - 1), dim=-1)[None]
        image = F.grid_sample(rgb, grid, mode="bilinear", padding_mode="border", align_corners=False)
        nearest = F.grid_sample(depth, grid, mode="nearest", padding_mode="border", align_corners=False)
        known = torch.ones_like(nearest, dtype=torch.bool)
        if not dense:
            # The depth of a cell is that of the pixel nearest to its centre (`inputs.cell_values`).
            known[:] = False
            known[..., CELL // 2 - 1 :: CELL, CELL // 2 - 1 :: CELL] = True
        source = torch.tensor([rgb.shape[-1], rgb.shape[-2]])
        scale = torch.tensor([width, height]) / (share * source)
        focal = lens[:2] * scale
        center = (lens[2:] - torch.tensor([left, top]) * source) * scale
        rays = pixel_rays(torch.cat([focal, center])[None], height=height, width=width)[0]
        return DepthBatch(image[0] * 2 - 1, rays, nearest[0], known[0])


def _load_textures() -> list[Tensor]:
    """Return photographs and textures (3, H, W) in [0, 1]; none where scikit-image is missing."""
    if find_spec("skimage") is None:
        return []
    from skimage.io import imread

    folder = Path(str(find_spec("skimage").submodule_search_locations[0])) / "data"  # type: ignore[union-attr, index]
    pictures = [imread(path) for name in _TEXTURES for path in folder.glob(f"{name}.*")]
    pictures = [np.repeat(p[..., None], 3, axis=-1) if p.ndim == 2 else p[..., :3] for p in pictures]
    return [torch.from_numpy(p.copy()).permute(2, 0, 1).float() / 255 for p in pictures]


def _repaint(rgb: Tensor, textures: list[Tensor], rng: np.random.Generator) -> Tensor:
    """Change the look of a picture (3, H, W) in [-1, 1], and nothing of its geometry."""
    image = (rgb + 1) / 2
    if rng.random() < 0.5:
        image = image[torch.from_numpy(rng.permutation(3))]
    if textures and rng.random() < 0.5:
        image = _textured(image, textures[rng.integers(len(textures))], rng)
    grey = image.mean(dim=0, keepdim=True)
    image = torch.lerp(grey, image, float(rng.uniform(0, 1.5)))
    gain = torch.from_numpy(rng.uniform(0.8, 1.25, (3, 1, 1)).astype(np.float32)) * float(
        rng.uniform(0.6, 1.5)
    )
    image = (image.clamp(1e-4, 1) ** float(rng.uniform(0.6, 1.7)) * gain).clamp(0, 1)
    if rng.random() < 0.3:
        factor = float(rng.uniform(0.4, 0.9))
        small = F.interpolate(image[None], scale_factor=factor, mode="area")
        image = F.interpolate(small, size=rgb.shape[-2:], mode="bilinear", align_corners=False)[0]
    noise = float(rng.uniform(0, 0.05)) * torch.from_numpy(rng.standard_normal(rgb.shape).astype(np.float32))
    return (image + noise).clamp(0, 1) * 2 - 1


def _textured(image: Tensor, texture: Tensor, rng: np.random.Generator) -> Tensor:
    """Multiply a picture by a random piece of a texture, around its mean."""
    height, width = image.shape[-2:]
    rows = int(rng.integers(min(64, texture.shape[1]), texture.shape[1] + 1))
    columns = int(rng.integers(min(64, texture.shape[2]), texture.shape[2] + 1))
    top, left = (
        int(rng.integers(texture.shape[1] - rows + 1)),
        int(rng.integers(texture.shape[2] - columns + 1)),
    )
    piece = texture[None, :, top : top + rows, left : left + columns]
    piece = F.interpolate(piece, size=(height, width), mode="bilinear", align_corners=False)[0]
    factor = piece / piece.mean().clamp(min=0.05)
    return (image * torch.lerp(torch.ones_like(factor), factor, float(rng.uniform(0, 0.6)))).clamp(0, 1)
