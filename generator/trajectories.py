"""The camera paths of the teacher, exactly as GEN3C and Lyra's data generator define them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from lyra_sim.errors import LyraSimError

TrajectoryKind = Literal[
    "left", "right", "up", "down", "zoom_in", "zoom_out", "clockwise", "counterclockwise"
]
CameraRotation = Literal["center_facing", "no_rotation", "trajectory_aligned"]

_LINEAR_DIRECTIONS: dict[str, tuple[float, float, float]] = {
    "left": (-1.0, 0.0, 0.0),
    "right": (1.0, 0.0, 0.0),
    "up": (0.0, -1.0, 0.0),
    "down": (0.0, 1.0, 0.0),
    "zoom_in": (0.0, 0.0, 1.0),
    "zoom_out": (0.0, 0.0, -1.0),
}
_SPIRAL_SIGNS = {"clockwise": 1.0, "counterclockwise": -1.0}
_TARGET_SHARES = {"center_facing": 0.0, "no_rotation": 1.0, "trajectory_aligned": 2.0}
"""How much of the camera's own movement the point that it looks at takes part in."""


@dataclass(frozen=True)
class Trajectory:
    """Describe one camera path of the synthetic-data generator."""

    name: TrajectoryKind
    """Kind of the path, which is also its name."""
    min_distance: float
    """Shortest movement, in units of the centre depth."""
    max_distance: float
    """Longest movement, in units of the centre depth."""
    num_circles: int = 2
    """Turns of a spiral; linear paths ignore it."""
    radius_x_factor: float = 0.15
    """Horizontal radius of a spiral over the movement distance."""
    radius_y_factor: float = 0.10
    """Vertical radius of a spiral over the movement distance."""

    def w2c(
        self,
        *,
        frames: int,
        distance: float,
        center_depth: float = 1.0,
        start_w2c: np.ndarray | None = None,
        rotation: CameraRotation = "center_facing",
    ) -> np.ndarray:
        """Return the world-to-camera poses of the path, (frames, 4, 4); see `trajectory_w2c`."""
        return trajectory_w2c(
            self.name,
            frames=frames,
            distance=distance,
            center_depth=center_depth,
            start_w2c=start_w2c,
            rotation=rotation,
            num_circles=self.num_circles,
            radius_x_factor=self.radius_x_factor,
            radius_y_factor=self.radius_y_factor,
        )


SDG_TRAJECTORIES: tuple[Trajectory, ...] = (
    Trajectory("left", 0.2, 0.3),
    Trajectory("right", 0.2, 0.3),
    Trajectory("up", 0.1, 0.2),
    Trajectory("zoom_out", 0.3, 0.4),
    Trajectory("zoom_in", 0.3, 0.4),
    Trajectory("clockwise", 0.4, 0.6),
)
"""The six paths of Lyra's data generator; the position in the tuple is the index of the path's folder."""


def trajectory_w2c(
    kind: TrajectoryKind,
    *,
    frames: int,
    distance: float,
    center_depth: float = 1.0,
    start_w2c: np.ndarray | None = None,
    rotation: CameraRotation = "center_facing",
    num_circles: int = 1,
    radius_x_factor: float = 1.0,
    radius_y_factor: float = 1.0,
) -> np.ndarray:
    """Return the world-to-camera poses of one of GEN3C's camera paths.

    Args:
        kind: Name of the path; left and up move against the camera's x and y axes.
        frames: Number of poses.
        distance: Movement in units of `center_depth`; a linear path reaches (frames - 1) / frames of it.
        center_depth: Depth of the point that the path is centred on, along the start camera's z axis [m].
        start_w2c: Pose that the path starts from, (4, 4), or one pose per frame, (frames, 4, 4).
        rotation: Whether the camera keeps facing the centre, keeps its direction, or turns along.
        num_circles: Turns of a spiral.
        radius_x_factor: Horizontal radius of a spiral over `distance`.
        radius_y_factor: Vertical radius of a spiral over `distance`.

    Returns:
        Poses, OpenCV axes, (frames, 4, 4) float64.

    Raises:
        LyraSimError: The kind or rotation is unknown, a number is out of range, or the path runs
            through the point that the camera must look at.
    """
    _require(
        kind in get_args(TrajectoryKind),
        f"unknown trajectory {kind!r}; choose from {get_args(TrajectoryKind)}",
    )
    _require(
        rotation in _TARGET_SHARES,
        f"unknown camera rotation {rotation!r}; choose from {tuple(_TARGET_SHARES)}",
    )
    _require(frames >= 1, f"a trajectory needs at least one frame, not {frames}")
    _require(bool(np.isfinite(distance)), f"the movement distance must be a finite number, not {distance}")
    _require(0 < center_depth < np.inf, f"the centre depth must be positive, not {center_depth}")
    if kind in _LINEAR_DIRECTIONS:
        steps = np.arange(frames) * (distance * center_depth / frames)
        positions = steps[:, None] * np.array(_LINEAR_DIRECTIONS[kind])
    else:
        angles = 2 * np.pi * num_circles * np.arange(frames) / max(frames - 1, 1)
        radius = (
            distance * center_depth * np.array([_SPIRAL_SIGNS[kind] * radius_x_factor, radius_y_factor, 0.0])
        )
        positions = np.stack([np.cos(angles) - 1, np.sin(angles), np.zeros(frames)], axis=1) * radius
    targets = np.array([0.0, 0.0, center_depth]) + _TARGET_SHARES[rotation] * positions
    start = np.eye(4) if start_w2c is None else np.asarray(start_w2c, dtype=np.float64)
    _require(
        start.shape in ((4, 4), (frames, 4, 4)),
        f"the start pose must be (4, 4) or ({frames}, 4, 4), not {start.shape}",
    )
    return _look_at(positions, targets) @ start


def _look_at(positions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return GEN3C's look-at matrices, (F, 4, 4).

    The translation column is -p, not -R p, so a turned camera does not stand at p. GEN3C was trained
    with these poses, and the decoder after it, so they are the definition here.
    """
    forward = targets - positions
    length = np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross([0.0, 1.0, 0.0], forward)
    width = np.linalg.norm(right, axis=1, keepdims=True)
    _require(bool((width > 1e-9).all()), "the trajectory runs through the point that it looks at; shorten it")
    forward, right = forward / length, right / width
    poses = np.tile(np.eye(4), (len(positions), 1, 1))
    poses[:, :3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    poses[:, :3, 3] = -positions
    return poses


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise LyraSimError(message)
