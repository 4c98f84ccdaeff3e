"""Camera paths for films: a flight around where a scene starts, or an orbit, neither through anything.

World frame: any, with a unit vector `up`. Poses: camera to world, OpenCV axes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from generator.film.obstacles import Obstacles

PathKind = Literal["flythrough", "orbit"]

CLEARANCE = 0.15
"""Least distance between a camera and any surface in a scene of the usual size [m]."""
COVERED = 0.97
"""Share of what the first camera sees filled that every camera of a path must see filled."""
SHRINK = 0.85
"""Factor by which a path is made smaller until it fits."""
ORBIT_ANGLES = (360.0, 120.0, 90.0, 70.0, 55.0, 45.0, 35.0, 28.0, 22.0, 17.0, 13.0, 10.0, 7.0, 5.0)
"""A full circle, then swings to either side of the start [degrees]; the first that fits is taken."""
LEAST_REACH = 0.05
"""Share of the wanted reach below which a flight is given up."""
SIDEWAYS = 0.55
"""Movement to either side of a flight over its reach."""
DENSE = 240
"""Cameras along a path that are looked at to find out whether it is clear, whatever the number of frames."""
LIMITS = 8
"""Cameras of a path whose pictures are looked at to find out whether it shows the scene."""


@dataclass(frozen=True)
class Stage:
    """Hold what a path is laid around, and what it must keep clear of."""

    c2w: np.ndarray
    """Pose that the path starts from, (4, 4)."""
    target: float
    """Distance along the view to the point that cameras face [m]."""
    reach: float
    """Distance that a flight may move to the front or the side [m]."""
    up: np.ndarray
    """Unit vector, (3,)."""
    clearance: float
    """Least distance between a camera and any surface [m]."""
    obstacles: Obstacles
    coverage: Callable[[np.ndarray], np.ndarray]
    """Return the share of the picture that the scene fills, for poses (P, 4, 4)."""


@dataclass(frozen=True)
class CameraPath:
    """Hold the poses of a film and what a person should know about them."""

    c2w: np.ndarray
    """(F, 4, 4) float64."""
    description: str
    """What the path does, with its size."""


def lay_path(kind: PathKind, stage: Stage, frames: int) -> CameraPath:
    """Return the largest path of a kind that keeps clear of obstacles and shows the scene.

    A path that fits nowhere becomes a single place: the start, frame after frame.
    """
    return _orbit(stage, frames) if kind == "orbit" else _flythrough(stage, frames)


def _flythrough(stage: Stage, frames: int) -> CameraPath:
    """Fly a loop from the start: to one side, forward, to the other side and back, facing the target."""
    reach = stage.reach
    while reach > LEAST_REACH * stage.reach:
        if _fits(stage, flight(stage, reach, DENSE)):
            return CameraPath(
                flight(stage, reach, frames), f"a flight {2 * SIDEWAYS * reach:.2f} m from side to side"
            )
        reach *= SHRINK
    return _still(stage, frames)


def _orbit(stage: Stage, frames: int) -> CameraPath:
    """Circle the target, or swing about it as far as there is room."""
    for degrees in ORBIT_ANGLES:
        if _fits(stage, swing(stage, degrees, DENSE)):
            how = "a full circle" if degrees == 360.0 else f"a swing of {degrees:.0f} degrees to either side"
            return CameraPath(swing(stage, degrees, frames), f"{how} about a point {stage.target:.1f} m away")
    return _still(stage, frames)


def flight(stage: Stage, reach: float, frames: int) -> np.ndarray:
    """Return a closed flight whose first pose is the start, (frames, 4, 4)."""
    turn = 2 * np.pi * np.arange(frames) / frames
    # In the start's camera frame: x right, y down, z forward.
    offset = np.stack(
        [SIDEWAYS * reach * np.sin(turn), 0.06 * reach * np.sin(2 * turn), 0.35 * reach * (1 - np.cos(turn))],
        axis=1,
    )
    target = np.array([0.0, 0.0, stage.target])
    return stage.c2w @ _facing(offset, target)


def swing(stage: Stage, degrees: float, frames: int) -> np.ndarray:
    """Return a full circle (360) or a swing to either side about the target, (frames, 4, 4)."""
    share = np.arange(frames) / frames
    angles = 2 * np.pi * share if degrees == 360.0 else np.radians(degrees) * np.sin(2 * np.pi * share)
    centre = stage.c2w[:3, 3] + stage.target * stage.c2w[:3, 2]
    turns = _rotations(stage.up, angles)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3, :3] = turns @ stage.c2w[:3, :3]
    poses[:, :3, 3] = centre + turns @ (stage.c2w[:3, 3] - centre)
    return poses


def _fits(stage: Stage, poses: np.ndarray) -> bool:
    """Return whether a closed path keeps its clearance and shows about as much of the scene as its start does.

    No step is longer than the clearance, so no surface can lie between two cameras.
    """
    positions = poses[:, :3, 3]
    steps = np.linalg.norm(positions - np.roll(positions, -1, axis=0), axis=1)
    if steps.max() > stage.clearance or stage.obstacles.clearance(positions).min() < stage.clearance:
        return False
    few = poses[:: max(1, len(poses) // LIMITS)]
    shares = stage.coverage(few)
    return bool(shares.min() >= COVERED * shares[0])


def _still(stage: Stage, frames: int) -> CameraPath:
    return CameraPath(np.tile(stage.c2w, (frames, 1, 1)), "no movement, for lack of room")


def _facing(positions: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return poses at `positions` (F, 3) that face `target` (3,), with down near +y, (F, 4, 4)."""
    forward = target - positions
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    poses = np.tile(np.eye(4), (len(positions), 1, 1))
    poses[:, :3, :3] = np.stack([right, np.cross(forward, right), forward], axis=2)
    poses[:, :3, 3] = positions
    return poses


def _rotations(axis: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return the rotations by `angles` (F,) [rad] about a unit axis (Rodrigues), (F, 3, 3)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    sine, cosine = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
    return np.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)
