"""A small world made by hand for the tests of the ray caster: a room, two boxes and a ceiling panel."""

from __future__ import annotations

import numpy as np

from generator.cameras import Cameras
from generator.worlds.world import Instance, Light, Material, World

ROOM = (6.0, 5.0, 3.0)
"""Length (x), width (y) and height (z) of the room [m]."""


def flat(
    name: str, colour: tuple[float, float, float], emission: tuple[float, float, float] = (0, 0, 0)
) -> Material:
    return Material(name, np.full((4, 4, 3), colour, np.float32), 1.0, emission)


def checker(name: str, dark: float, light: float, *, tile_size: float = 1.0) -> Material:
    texture = np.full((64, 64, 3), dark, np.float32)
    texture[:32, :32] = texture[32:, 32:] = light
    return Material(name, texture, tile_size)


def box_faces(low: np.ndarray, high: np.ndarray, *, inward: bool = False) -> np.ndarray:
    """Return the six faces of a box, counter-clockwise from outside (or inside), (6, 4, 3)."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    faces = np.array(
        [
            [[x0, y1, z0], [x1, y1, z0], [x1, y0, z0], [x0, y0, z0]],
            [[x0, y0, z1], [x1, y0, z1], [x1, y1, z1], [x0, y1, z1]],
            [[x0, y1, z0], [x0, y0, z0], [x0, y0, z1], [x0, y1, z1]],
            [[x1, y0, z0], [x1, y1, z0], [x1, y1, z1], [x1, y0, z1]],
            [[x0, y0, z0], [x1, y0, z0], [x1, y0, z1], [x0, y0, z1]],
            [[x1, y1, z0], [x0, y1, z0], [x0, y1, z1], [x1, y1, z1]],
        ],
        np.float32,
    )
    return faces[:, [1, 0, 3, 2]] if inward else faces


def box_room() -> World:
    """Return the room; the camera stands at one end of it and looks along +x."""
    lamp = np.array([[2.5, 2.0, 2.99], [2.5, 3.0, 2.99], [3.5, 3.0, 2.99], [3.5, 2.0, 2.99]], np.float32)
    corners = np.concatenate(
        [
            box_faces(np.zeros(3), np.array(ROOM), inward=True),
            box_faces(np.array([3.4, 1.0, 0.0]), np.array([4.2, 1.8, 0.9])),
            box_faces(np.array([4.0, 3.0, 0.0]), np.array([4.6, 3.6, 1.8])),
            lamp[None],
        ]
    )
    labels = ["floor", "ceiling", *["wall"] * 4, *["cardboard_box"] * 6, *["cabinet"] * 6, "lamp"]
    names = [*labels[:2], *(f"wall_{n}" for n in range(4)), "cardboard_box_0", "cabinet_0", "lamp_0"]
    instance = np.array([0, 1, 2, 3, 4, 5, *[6] * 6, *[7] * 6, 8], np.int32)
    materials = (
        checker("tiles", 0.55, 0.75),
        flat("plaster", (0.85, 0.83, 0.8)),
        flat("cardboard", (0.7, 0.5, 0.3)),
        flat("steel", (0.3, 0.4, 0.6)),
        flat("glow", (0.9, 0.9, 0.9), (8.0, 8.0, 7.6)),
    )
    return World(
        kind="box_room",
        corners=corners,
        uv_offset=np.zeros((len(corners), 2), np.float32),
        material=np.array([0, *[1] * 5, *[2] * 6, *[3] * 6, 4], np.int32),
        instance=instance,
        materials=materials,
        instances=tuple(
            Instance(labels[int(np.flatnonzero(instance == i)[0])], name) for i, name in enumerate(names)
        ),
        lights=(Light(lamp[0], lamp[1] - lamp[0], lamp[3] - lamp[0], np.array([8.0, 8.0, 7.6])),),
        ambient=np.array([0.15, 0.15, 0.16]),
        c2w=look_along_x(np.array([0.5, 2.5, 1.5])),
        horizontal_fov=np.deg2rad(70.0),
    )


def look_along_x(position: np.ndarray) -> np.ndarray:
    """Return the pose at `position` that looks along world +x with up along world +z."""
    c2w = np.eye(4)
    c2w[:3, 0], c2w[:3, 1], c2w[:3, 2], c2w[:3, 3] = (0, -1, 0), (0, 0, -1), (1, 0, 0), position
    return c2w


def camera(world: World, c2w: np.ndarray | None = None, *, height: int = 48, width: int = 80) -> Cameras:
    """Return one or more cameras with the world's field of view."""
    poses = np.asarray(world.c2w if c2w is None else c2w, np.float64).reshape(-1, 4, 4)
    focal = width / 2 / np.tan(world.horizontal_fov / 2)
    intrinsics = np.tile([focal, focal, width / 2, height / 2], (len(poses), 1))
    return Cameras(poses, intrinsics, height, width)
