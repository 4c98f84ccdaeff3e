"""Videos longer than one clip: chunk after chunk, the last frame of one being the picture of the next.

GEN3C's own code keeps the colours of later chunks but loses their latents, because it joins them along the batch.
Here every chunk is a clip of its own, with its own latents: the tokenizer is causal, so the latents of a chunk
decode to its frames only when they start where the chunk starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from generator.cache import Cache3D, Cache4D, CacheViews, StillCache, image_tensor
from generator.cameras import Cameras
from generator.depth import DepthEstimator
from lyra_sim.errors import LyraSimError

Complete = Callable[[int, np.ndarray, CacheViews], Tensor]
"""Number of the chunk, its picture (H, W, 3) uint8 and the cache's views to sampled latents (1, C, t, h, w)."""
Decode = Callable[[Tensor], np.ndarray]
"""Sampled latents to frames (T, H, W, 3) uint8."""


@dataclass(frozen=True)
class Chunk:
    """Hold one part of a long video; its first frame is the last one of the part before."""

    cameras: Cameras
    """Its T cameras."""
    views: CacheViews
    """What the cache showed from them when it was sampled."""
    latents: Tensor
    """Latents as they were sampled, (1, C, t, h, w)."""
    rgb: np.ndarray
    """Frames, (T, H, W, 3) uint8."""


def chunk_slices(frames: int, chunk: int) -> list[slice]:
    """Cut a path into chunks that share one frame with their neighbours.

    Args:
        frames: Frames of the path, N (chunk - 1) + 1.
        chunk: Frames per chunk.

    Raises:
        LyraSimError: The path has another number of frames.
    """
    step = chunk - 1
    if step < 1 or frames < chunk or (frames - 1) % step:
        raise LyraSimError(
            f"a path of {frames} frames cannot be cut into chunks of {chunk}; give {step}N + 1 frames, such as "
            f"{2 * step + 1}"
        )
    return [slice(start, start + chunk) for start in range(0, frames - 1, step)]


def imagine_chunks(
    picture: np.ndarray,
    cache: Cache3D | Cache4D | StillCache,
    cameras: Cameras,
    *,
    chunk: int,
    complete: Complete,
    decode: Decode,
    estimator: Callable[[], DepthEstimator],
) -> Iterator[Chunk]:
    """Sample a path chunk by chunk, adding the last frame of each to the cache with estimated, aligned depth.

    Args:
        picture: Conditioning picture, sRGB, (H, W, 3) uint8.
        cache: Cache that shows the picture; it is changed.
        cameras: All cameras of the path, in the frame and unit of the cache.
        chunk: Frames per chunk.
        complete: Samples one chunk.
        decode: Decodes it.
        estimator: Gives the depth estimator; only called when there is a second chunk.

    Yields:
        The chunks in order.

    Raises:
        LyraSimError: The number of frames does not fit, or a last frame cannot be aligned to the cache.
    """
    slices = chunk_slices(len(cameras), chunk)
    for number, part in enumerate(slices):
        here = cameras.select(part)
        views = cache.show(here, start=part.start)
        latents = complete(number, picture, views)
        rgb = decode(latents)
        yield Chunk(here, views, latents, rgb)
        if number + 1 < len(slices):
            picture = rgb[-1]
            # A video goes on by itself, and knows its depth.
            if isinstance(cache, Cache3D):
                remember(cache, picture, here, estimator())


def remember(cache: Cache3D, frame: np.ndarray, cameras: Cameras, estimator: DepthEstimator) -> None:
    """Add a frame, seen from the last of `cameras`, to a cache; its depth is fitted to what the cache shows there."""
    lens = cameras.intrinsics[-1]
    estimate = estimator.estimate(frame, intrinsics=lens)
    if not estimate.trusted.any():
        raise LyraSimError(
            f"the depth estimator {estimator.name} found no depth in the last frame of a chunk"
        )
    cache.update(
        image_tensor(frame),
        torch.from_numpy(estimate.dense()),
        torch.from_numpy(cameras.w2c[-1]).float(),
        torch.from_numpy(lens).float(),
    )
