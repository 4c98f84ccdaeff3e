"""Choose the view that a viewer begins with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lyra_sim.collider.viewpoints import choose_views
from lyra_sim.frusta import Frustum
from lyra_sim.gaussians import Gaussians
from lyra_sim.viewer.rays import splat_depth

WIDTH, HEIGHT, FOCAL = 320, 180, 200.0
"""Picture and focal length [px] of a view that no camera gave."""

_ENOUGH = 60_000
"""Gaussians that depth is judged by; a choice of view needs no more."""


def first_view(gaussians: Gaussians, cameras: Sequence[Frustum]) -> tuple[Frustum, float]:
    """Return the camera to begin with and the distance of what it looks at [m].

    The first camera is the one that a picture was taken with. A file without cameras is looked at from the free
    place and in the direction that see farthest, so that nobody begins in front of a wall.
    """
    sample = gaussians
    if len(gaussians) > _ENOUGH:
        sample = gaussians.select(np.arange(0, len(gaussians), -(-len(gaussians) // _ENOUGH)))
    if cameras:
        distances = _distances(sample, cameras[0].c2w)
        return cameras[0], _typical(distances, gaussians)
    poses, _ = choose_views(sample, places=1, height=HEIGHT, width=WIDTH)
    seen = [_distances(sample, pose) for pose in poses]
    # A direction in which rays leave the scene is worse than one that ends in a wall far away.
    score = [len(d) + float(np.median(d)) / (1 + float(np.median(d))) if len(d) else 0.0 for d in seen]
    best = int(np.argmax(score))
    camera = Frustum("", poses[best], (FOCAL, FOCAL), WIDTH, HEIGHT)
    return camera, _typical(seen[best], gaussians)


def _distances(gaussians: Gaussians, c2w: np.ndarray) -> np.ndarray:
    """Return the distances at which rays over the picture meet something [m]; those that leave are left out."""
    rays = [np.array([x, y, 1.0]) for x in (-0.4, 0.0, 0.4) for y in (-0.25, 0.0, 0.2)]
    found = (splat_depth(gaussians, c2w[:3, 3], c2w[:3, :3] @ ray) for ray in rays)
    return np.array([d for d in found if d is not None])


def _typical(distances: np.ndarray, gaussians: Gaussians) -> float:
    if len(distances):
        return max(float(np.median(distances)), 0.1)
    return max(float(np.linalg.norm(np.ptp(gaussians.means, axis=0))) / 2, 0.1)
