"""Depth of videos that come without: estimated frame by frame, brought to one scale and to the unit of the poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.cache import Cache3D, CacheConfig, align_depth, image_tensor, pose_tensors
from generator.depth import DepthEstimator
from generator.pictures.conditioning import Note, estimate_depth
from generator.teachers.conditioning import Picture
from generator.videos.recording import Recording
from lyra_sim.errors import LyraSimError

_SHARES = np.geomspace(0.01, 3.0, 41)
"""Ways of the camera, over the median depth, that are tried."""
_PROBES = np.array([0.5, 0.75, 1.0])
"""Frames that the first is compared with, as ranks among all by their distance from it."""
_LEAST_COVERED = 0.3
"""Share of a frame that the first must show for a comparison."""
_CLEAR = 0.9
"""Difference of colours at the best scale, over that at a middling one, above which there is no best scale."""
_SAME = 12.0
"""Difference of colours (of 255) below which a pixel of a camera that stands still shows the same."""


def estimate_first(
    recording: Recording, estimator: DepthEstimator, *, note: Note
) -> tuple[Recording, Picture]:
    """Return the first frame with estimated depth, and the recording with the lens that this found, if any.

    Raises:
        LyraSimError: The estimate is no usable depth.
    """
    first = estimate_depth(recording.frame(0), estimator, note=note)
    if first.source["intrinsics_from"] == recording.source["intrinsics_from"]:
        return recording, first
    return replace(recording, intrinsics=np.tile(first.intrinsics, (len(recording), 1))), first


def estimate_rest(
    recording: Recording, first: Picture, estimator: DepthEstimator, *, update: Callable[[float], None]
) -> tuple[Recording, Picture]:
    """Return the recording with depth of every frame, and its first frame, both in the unit of the poses.

    A camera that stands still keeps the unit of the first frame's depth, and the others are fitted to it where their
    colours are the same. One that moves gets the scale at which the first frame, shown from other poses, looks most
    like what was seen there; then every frame is fitted to what those before it show.

    Args:
        recording: Frames, with poses where they are known.
        first: The first frame with estimated depth.
        estimator: Estimates the others.
        update: Told the share that is done.

    Raises:
        LyraSimError: No scale of the depth explains what the camera saw, or a frame shares too little with others.
    """
    if not recording.stands_still:
        first = replace(first.scaled(scale_to_poses(recording, first)), metric=False)
    cache, depths = _cache(recording, first), [first.require_depth()]
    for index in range(1, len(recording)):
        update(index / len(recording))
        if recording.picked[index] == recording.picked[index - 1]:
            depths.append(depths[-1])
            continue
        estimate = estimator.estimate(recording.rgb[index], intrinsics=recording.intrinsics[index])
        if not estimate.trusted.any():
            raise LyraSimError(
                f"the depth estimator {estimator.name} found no depth in frame {recording.picked[index]} of the video"
            )
        depth = torch.from_numpy(estimate.dense())
        depths.append(_fitted(recording, cache, index, depth).numpy())
    about = {name: value for name, value in first.source.items() if name not in recording.source}
    return recording.with_depth(np.stack(depths), metric=first.metric, **about), first


def scale_to_poses(recording: Recording, first: Picture) -> float:
    """Return the factor that brings the depth of the first frame to the unit of the poses.

    Raises:
        LyraSimError: The camera hardly moves, or no factor makes the frames look alike.
    """
    cameras = recording.cameras
    travel = np.linalg.norm(cameras.c2w[:, :3, 3], axis=1)
    farthest_last = np.argsort(travel, kind="stable")
    probes = farthest_last[((len(recording) - 1) * _PROBES).round().astype(int)]
    longest = float(travel.max()) / float(np.median(first.require_depth()))
    factors = longest / _SHARES
    unlike = np.array([_unlikeness(recording, first, float(factor), probes) for factor in factors])
    best = int(unlike.argmin())
    within = 0 < best < len(unlike) - 1 and bool(np.isfinite(unlike[best]))
    if not within or unlike[best] > _CLEAR * np.median(unlike[np.isfinite(unlike)]):
        raise LyraSimError(
            "the estimated depth cannot be brought to the unit of the poses: the camera moves too little, or poses and "
            "frames do not belong together; give --depth-video"
        )
    closer = np.geomspace(factors[max(best - 1, 0)], factors[min(best + 1, len(factors) - 1)], 9)
    return float(closer[np.argmin([_unlikeness(recording, first, float(f), probes) for f in closer])])


def _unlikeness(recording: Recording, first: Picture, factor: float, probes: np.ndarray) -> float:
    """Return how much the first frame, its depth scaled, differs from others at half resolution; inf if it leaves."""
    cameras = recording.cameras.resized(first.height // 2, first.width // 2)
    image, *others = (_half(image_tensor(recording.rgb[index])) for index in (0, *probes))
    depth = torch.from_numpy(first.require_depth())[None] * factor
    depth = F.interpolate(depth[None], size=image.shape[1:], mode="nearest")[0, 0]
    config = replace(CacheConfig.for_height(cameras.height), max_depth=2 * float(depth.max()))
    w2c, lens = pose_tensors(cameras)
    shown = Cache3D(image, depth, w2c[0], lens[0], config=config).show(cameras.select(probes))
    mask = shown.mask[:, :1]
    if float(mask.float().mean(dim=(1, 2, 3)).min()) < _LEAST_COVERED:
        return float("inf")
    return float((shown.pixels[:, 0] - torch.stack(others)).abs()[mask.expand(-1, 3, -1, -1)].mean())


def _fitted(recording: Recording, cache: Cache3D, index: int, depth: Tensor) -> Tensor:
    """Return the depth of a frame, fitted to what the cache shows; frames of a camera that moves join the cache."""
    cameras = recording.cameras
    w2c, lens = (part[index] for part in pose_tensors(cameras))
    if recording.stands_still:
        same = np.abs(recording.rgb[index].astype(np.float32) - recording.rgb[0]).max(axis=-1) < _SAME
        return align_depth(
            depth, cache.pictures[-1].points[..., 2], torch.from_numpy(same), lens, method="rigid"
        )
    shown = cache.render(w2c[None], lens[None])
    layers = shown.mask[0].any(dim=0)
    target = torch.where(shown.mask[0, 0], shown.depth[0, 0], shown.depth[0, -1])
    depth = align_depth(depth, target, layers, lens, method="rigid")
    cache.update(image_tensor(recording.rgb[index]), depth, w2c, lens, align=None)
    return depth


def _cache(recording: Recording, first: Picture) -> Cache3D:
    """Return a cache that shows the first frame."""
    depth = torch.from_numpy(first.require_depth())
    config = replace(CacheConfig.for_height(first.height), max_depth=10 * float(depth.max()))
    lens = torch.from_numpy(recording.intrinsics[0]).float()
    return Cache3D(image_tensor(recording.rgb[0]), depth, torch.eye(4), lens, config=config)


def _half(image: Tensor) -> Tensor:
    return F.interpolate(image[None], scale_factor=0.5, mode="area")[0]
