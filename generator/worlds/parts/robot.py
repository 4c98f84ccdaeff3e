"""Robot arms."""

from __future__ import annotations

import numpy as np

from generator.worlds import textures
from generator.worlds.colours import RGB
from generator.worlds.mesh import Part, yaw_matrix
from generator.worlds.scene import Scene

ROBOT: tuple[RGB, ...] = (
    (0.92, 0.48, 0.08),
    (0.92, 0.78, 0.12),
    (0.86, 0.87, 0.86),
    (0.75, 0.14, 0.12),
    (0.20, 0.36, 0.62),
)


def build_robot_arm(frame: Part, scene: Scene, *, reach: float = 1.5, plinth: float = 0.25) -> None:
    """Stand a six-axis arm on a plinth at the origin; it reaches towards -y."""
    rng = scene.rng
    colour = scene.colour(*ROBOT)
    paint, dark = textures.enamel(colour, scene.variant()), textures.enamel((0.16, 0.17, 0.18), 1)
    part = frame.add("robot_arm")
    base = 0.13 * reach
    part.block((0, 0, 0), (4.2 * base, 4.2 * base, plinth), dark)
    part.cylinder((0, 0, plinth), (0, 0, plinth + base), 1.5 * base, paint, sides=14)
    part.cylinder((0, 0, plinth + base), (0, 0, plinth + 2.2 * base), 1.1 * base, paint, sides=14)
    lean, bend = scene.uniform(-0.35, 0.35), scene.uniform(-0.35, 0.5)
    turn = scene.uniform(0.4, 1.3) * (1 if rng.random() < 0.5 else -1)
    arm = part.tilted(yaw_matrix(turn), (0, 0, plinth + 2.2 * base))
    shoulder = np.array([0.0, 0.0, 0.05])
    elbow = shoulder + 0.55 * reach * np.array([0, -np.sin(lean), np.cos(lean)])
    wrist = elbow + 0.55 * reach * np.array([0, -np.cos(bend), -np.sin(bend)])
    tip = wrist + np.array([0, -0.12, -0.22])
    across = np.array([1.0, 0, 0])
    arm.cylinder(shoulder - 1.3 * base * across, shoulder + 1.3 * base * across, base, dark, sides=14)
    for x in (-0.85 * base, 0.85 * base):
        arm.beam(shoulder + x * across, elbow + x * across, 0.6 * base, 1.2 * base, paint)
    arm.cylinder(elbow - 1.2 * base * across, elbow + 1.2 * base * across, 0.85 * base, dark, sides=14)
    arm.beam(elbow + np.array([0, 0.9 * base, 0.2 * base]), wrist, 1.1 * base, 1.1 * base, paint)
    arm.cylinder(wrist - 0.65 * base * across, wrist + 0.65 * base * across, 0.6 * base, dark, sides=12)
    arm.cylinder(wrist, tip, 0.4 * base, paint, sides=10)
    arm.block(tip - np.array([0, 0, 0.08]), (0.3, 0.12, 0.08), dark)
    for x in (-0.12, 0.12):
        arm.block((x, tip[1], tip[2] - 0.22), (0.035, 0.07, 0.15), textures.steel((0.6, 0.61, 0.62)))
