"""Where a decoded scene stands: upright, on its floor, and metric where its camera's height is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.cameras import Cameras
from generator.sizes import MINI
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians
from lyra_sim.ground import opaque_points, stand_on_floor
from lyra_sim.transform import AXES, Similarity, rotation_between

_LOWEST = 1.0
"""Percentile of height that counts as the floor where none is seen."""


@dataclass(frozen=True)
class Upright:
    """Hold the way from the frame of the poses to that of the scene."""

    working: Similarity
    """From the poses' frame to a world with z up and the floor at z = 0, in a unit that thresholds are made for."""
    final: float
    """Factor from that unit to the scene's."""
    metric: bool
    """Whether the scene is in metres."""
    report: dict[str, object]
    """What was found (JSON types only)."""
    message: str
    """The same in one sentence."""


def up_axis_of(choice: str, c2w: np.ndarray) -> str:
    """Return the axis of the poses' frame that points up; `c2w` is the first camera's pose (4, 4).

    `auto`: published poses start at the identity, in OpenCV axes, so that -y is up; others are in a world whose
    z is up, as this project writes them.
    """
    if choice != "auto":
        if choice not in AXES:
            raise LyraSimError(f"--up-axis {choice}: is no axis; known are auto, {', '.join(AXES)}")
        return choice
    return "-y" if np.allclose(c2w[:3, :3], np.eye(3), atol=1e-3) else "z"


def stand(
    gaussians: Gaussians,
    cameras: list[Cameras],
    *,
    up_axis: str,
    level: bool,
    camera_height: float | None,
    median_depth: float,
) -> Upright:
    """Return how to stand a scene upright.

    Args:
        gaussians: The scene in the frame of the poses.
        cameras: The views' cameras in that frame.
        up_axis: Axis that points up, or `auto`.
        level: Whether to look for the floor even where z is up.
        camera_height: True height of the first camera above the floor [m].
        median_depth: Depth, in the unit of the poses, that the weights have seen most; lengths are brought to
            those of the mini size before anything is cleaned or fused.

    Raises:
        LyraSimError: The axis is none, or `camera_height` is given and there is no floor below the camera.
    """
    pose = cameras[0].c2w[0]
    axis = up_axis_of(up_axis, pose)
    working = MINI.median_depth / median_depth
    report: dict[str, object] = {"up_axis": axis}
    if axis == "z" and not level and camera_height is None:
        scale = Similarity(scale=working)
        report["floor"] = "as the poses have it"
        message = "The poses' frame has z up: the scene keeps it, and its unit of length"
        return Upright(scale, 1 / working, False, report, message)
    rotation = rotation_between(AXES[axis], np.array([0.0, 0.0, 1.0]))
    turned = Similarity(rotation, -working * rotation @ pose[:3, 3], working)
    points = turned.gaussians(gaussians)
    floor, found = stand_on_floor(points)
    if found is None:
        if camera_height is not None:
            raise LyraSimError(
                f"--height-of-camera {camera_height:g}: no floor is seen to measure from; check --up-axis"
            )
        lowest = float(np.percentile(opaque_points(points)[:, 2], _LOWEST))
        report |= {"floor": "assumed"}
        message = (
            f"No floor found: {axis} of the poses' frame is taken to be up, and the lowest points the ground"
        )
        lift = Similarity(translation=np.array([0.0, 0.0, -lowest]))
        return Upright(turned.then(lift), 1 / working, False, report, message)
    height = -found.height_m
    if camera_height is not None and height <= 0:
        raise LyraSimError(
            f"--height-of-camera {camera_height:g}: the floor lies above the camera; check --up-axis"
        )
    final = 1 / working if camera_height is None else camera_height / height
    report |= {
        "floor": "fitted",
        "tilt_degrees": round(found.tilt_degrees, 2),
        "floor_share": round(found.share, 4),
        "camera_height": round(height * final, 4),
        "scale_from": "the poses" if camera_height is None else "camera height",
    }
    unit = "units of the poses" if camera_height is None else "m"
    message = (
        f"Floor found, tilted by {found.tilt_degrees:.1f} degrees: the first camera stands {height * final:.2f} "
        f"{unit} above it"
        + ("" if camera_height is not None else " (--height-of-camera makes the scene metric)")
    )
    return Upright(turned.then(floor), final, camera_height is not None, report, message)


def move_cameras(move: Similarity, cameras: list[Cameras]) -> list[Cameras]:
    """Return the cameras in the frame that `move` leads to."""
    moved = []
    for clip in cameras:
        c2w = clip.c2w.copy()
        c2w[:, :3, :3] = move.rotation @ c2w[:, :3, :3]
        c2w[:, :3, 3] = c2w[:, :3, 3] @ (move.scale * move.rotation.T) + move.translation
        moved.append(Cameras(c2w, clip.intrinsics, clip.height, clip.width))
    return moved
