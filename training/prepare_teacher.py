"""Derive from training scenes what the mini GEN3C sees: `python -m training.prepare_teacher --scenes DIR --out DIR`.

Writes one file per clip, (3 C + 1, t, h, w) float16: raw latents of the clip, of its first frame warped into all of
its cameras, and of the warp's mask; last, the share of each latent cell that the warp leaves open. A second version
of every clip is mirrored, has its colour channels permuted, and is warped with disturbed depth, as an estimator
would give it. Safe to stop and to start again.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.cache import Cache3D, CacheConfig, image_tensor, pose_tensors
from generator.cameras import Cameras, relative_to_first
from generator.tokenizer import CosmosTokenizer, load_tokenizer
from training.depth_noise import disturb_depth

log = logging.getLogger(__name__)

VERSIONS = ("exact", "varied")
_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


@dataclass(frozen=True)
class SourceClip:
    """Hold a clip, and the depth that its first frame is warped with."""

    rgb: np.ndarray
    """(T, H, W, 3) uint8."""
    depth: np.ndarray
    """z-depth [m] of frame 0, (H, W)."""
    cameras: Cameras


def read_clip(scene: Path, view: int) -> SourceClip:
    """Read one clip of a scene of `training.scenes`; the first camera becomes the origin."""
    c2w, intrinsics, rgb = (
        np.array(np.load(scene / f"{name}.npy", mmap_mode="r")[view]) for name in ("c2w", "intrinsics", "rgb")
    )
    cameras = Cameras(relative_to_first(c2w), intrinsics, *rgb.shape[1:3])
    return SourceClip(rgb, np.load(scene / "conditioning_depth.npy"), cameras)


def varied(clip: SourceClip, rng: np.random.Generator) -> SourceClip:
    """Return the clip mirrored, with permuted colour channels and disturbed depth."""
    cameras = clip.cameras
    intrinsics = cameras.intrinsics.copy()
    intrinsics[:, 2] = cameras.width - intrinsics[:, 2]
    mirrored = Cameras(_MIRROR @ cameras.c2w @ _MIRROR, intrinsics, cameras.height, cameras.width)
    rgb = clip.rgb[:, :, ::-1][..., rng.permutation(3)]
    return SourceClip(np.ascontiguousarray(rgb), disturb_depth(clip.depth[:, ::-1].copy(), rng), mirrored)


def warp_clip(clip: SourceClip) -> tuple[Tensor, Tensor]:
    """Show frame 0 from all cameras: colours in [-1, 1] (T, 3, H, W) and coverage (T, 1, H, W), 0 or 1."""
    w2c, intrinsics = pose_tensors(clip.cameras)
    depth = torch.from_numpy(np.ascontiguousarray(clip.depth, np.float32))
    cache = Cache3D(
        image_tensor(clip.rgb[0]), depth, w2c[0], intrinsics[0], config=CacheConfig.for_height(len(depth))
    )
    views = cache.render(w2c, intrinsics)
    return views.pixels[:, 0], views.mask[:, 0, None].float()


def open_share(mask: Tensor, *, time_step: int, cell: int) -> Tensor:
    """Return the share of every latent cell that coverage (T, 1, H, W) leaves open, (1, t, h, w)."""
    share = F.avg_pool2d(1 - mask, cell)[:, 0]
    later = share[1:].unflatten(0, (-1, time_step)).mean(dim=1)
    return torch.cat([share[:1], later])[None]


def encode_example(tokenizer: CosmosTokenizer, clip: SourceClip) -> Tensor:
    """Return the array that is stored for a clip."""
    pixels, mask = warp_clip(clip)
    video = image_tensor(clip.rgb)
    videos = torch.stack([video, pixels, (mask * 2 - 1).expand(-1, 3, -1, -1)]).transpose(1, 2)
    with torch.inference_mode():
        latents = torch.cat([tokenizer.encode(v[None])[0] for v in videos])
    share = open_share(mask, time_step=tokenizer.time_compression, cell=tokenizer.space_compression)
    return torch.cat([latents, share])


def main() -> None:
    """Prepare every clip that is not prepared yet, the exact versions first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--versions", nargs="+", choices=VERSIONS, default=list(VERSIONS))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    tokenizer, _ = load_tokenizer()
    args.out.mkdir(parents=True, exist_ok=True)
    scenes = sorted(p.parent for p in args.scenes.glob("[0-9]*/scene.json"))
    clips = [
        (scene, view) for scene in scenes for view in range(len(np.load(scene / "c2w.npy", mmap_mode="r")))
    ]
    todo = [
        (scene, view, version, path)
        for version in args.versions
        for scene, view in clips
        if not (path := args.out / f"{scene.name}_{view}_{version}.npy").exists()
    ]
    began = time.monotonic()
    for done, (scene, view, version, path) in enumerate(todo, start=1):
        clip = read_clip(scene, view)
        if version == "varied":
            clip = varied(clip, np.random.default_rng([int(scene.name), view]))
        temporary = path.with_name(f".{path.stem}.part.npy")
        np.save(temporary, encode_example(tokenizer, clip).numpy().astype(np.float16))
        os.replace(temporary, path)
        if done % 20 == 0:
            left = (time.monotonic() - began) / done * (len(todo) - done)
            log.info("%d of %d, %.0f min left", done, len(todo), left / 60)


if __name__ == "__main__":
    main()
