"""Which frames of a video of a still scene are shown from a camera: the nearest, and some spread over the video."""

from __future__ import annotations

import numpy as np

from generator.cameras import Cameras

ANCHORS = 5
"""Frames, evenly spread over a video, that may fill what the nearest frame leaves open."""


def sources_of(video: Cameras, targets: Cameras, *, length: float) -> np.ndarray:
    """Return the frames of a video to show from each target camera, best first, (F, up to 1 + ANCHORS) int.

    Args:
        video: Cameras of the video.
        targets: F cameras in the same frame.
        length: Distance that counts as much as a turn of one radian, such as the median depth.
    """
    apart = np.linalg.norm(targets.c2w[:, None, :3, 3] - video.c2w[None, :, :3, 3], axis=-1) / length
    cosine = np.einsum("fi,si->fs", targets.c2w[:, :3, 2], video.c2w[:, :3, 2])
    distance = apart + np.arccos(np.clip(cosine, -1, 1))
    anchors = np.unique(np.linspace(0, len(video) - 1, ANCHORS).round().astype(int))
    nearest = distance.argmin(axis=1)[:, None]
    ranked = anchors[distance[:, anchors].argsort(axis=1, kind="stable")]
    return np.concatenate([nearest, ranked], axis=1)
