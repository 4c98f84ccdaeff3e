"""Building a world from its specification and a seed."""

from __future__ import annotations

import numpy as np

from generator.worlds.kinds import BUILDERS
from generator.worlds.lighting import expose
from generator.worlds.prompt import WorldSpec
from generator.worlds.scene import Scene, Viewpoint
from generator.worlds.vocabulary import KINDS
from generator.worlds.world import World
from lyra_sim.errors import LyraSimError


def build_world(spec: WorldSpec, *, seed: int) -> World:
    """Build the world that a specification describes; the same specification and seed give the same world.

    Args:
        spec: What `parse_prompt` made of a prompt.
        seed: Chooses layout, colours and camera; not negative.

    Raises:
        LyraSimError: The seed is negative.
    """
    if seed < 0:
        raise LyraSimError(f"the seed is {seed}; it must be 0 or greater")
    stream = [KINDS.index(spec.kind), seed]
    scene = Scene(spec.modifiers, np.random.default_rng([1, *stream]), np.random.default_rng([2, *stream]))
    viewpoint = BUILDERS[spec.kind](scene)
    return expose(_assemble(spec.kind, scene, viewpoint), scene)


def _assemble(kind: str, scene: Scene, viewpoint: Viewpoint) -> World:
    """Return the world with its lights still relative."""
    corners, uv_offset, material, instance = scene.mesh.assemble()
    return World(
        kind=kind,
        corners=corners,
        uv_offset=uv_offset,
        material=material,
        instance=instance,
        materials=tuple(scene.mesh.materials),
        instances=tuple(scene.mesh.instances),
        lights=(),
        ambient=np.zeros(3),
        c2w=camera_pose(viewpoint),
        horizontal_fov=viewpoint.fov,
    )


def camera_pose(viewpoint: Viewpoint) -> np.ndarray:
    """Return the camera-to-world pose of a viewpoint, OpenCV axes, (4, 4)."""
    yaw, pitch = viewpoint.yaw, viewpoint.pitch
    forward = np.array([-np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = viewpoint.eye
    return pose
