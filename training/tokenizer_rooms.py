"""Random rooms full of boxes in any colour: variety for the tokenizer that no vocabulary of words limits."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from generator.worlds.world import Instance, Light, Material, World

TEXTURE = 128
"""Side of a texture [texels]."""
_FACES = np.array(
    [
        [(0, 1, 0), (1, 1, 0), (1, 0, 0), (0, 0, 0)],
        [(0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)],
        [(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)],
        [(1, 1, 0), (0, 1, 0), (0, 1, 1), (1, 1, 1)],
        [(0, 1, 0), (0, 0, 0), (0, 0, 1), (0, 1, 1)],
        [(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)],
    ],
    np.float32,
)
"""The six faces of the unit cube, counter-clockwise from outside."""


def random_room(rng: np.random.Generator) -> World:
    """Draw a room: walls, up to thirty boxes turned about z, one or two ceiling lights, a camera at one end."""
    size = rng.uniform((4, 3, 2.4), (12, 8, 4.5))
    boxes = [_FACES[:, ::-1] * size.astype(np.float32)]
    boxes += [_random_box(rng, size) for _ in range(rng.integers(4, 30))]
    materials = tuple(_random_material(rng, f"material_{n}") for n in range(rng.integers(4, 16)))
    lights = tuple(_ceiling_light(rng, size) for _ in range(rng.integers(1, 3)))
    glow = Material("glow", np.ones((4, 4, 3), np.float32), 1.0, (6.0, 6.0, 6.0))
    panels = [
        np.stack([a.corner, a.corner + a.edge_u, a.corner + a.edge_u + a.edge_v, a.corner + a.edge_v])
        for a in lights
    ]
    corners = np.concatenate([*boxes, np.stack(panels)]).astype(np.float32)
    material = rng.integers(0, len(materials), len(corners))
    whole = rng.random(len(boxes)) < 0.6
    for box in np.flatnonzero(whole):
        material[6 * box : 6 * box + 6] = material[6 * box]
    material[-len(lights) :] = len(materials)
    instance = np.append(np.repeat(np.arange(len(boxes)), 6), np.full(len(lights), len(boxes)))
    return World(
        kind="random_room",
        corners=corners,
        uv_offset=rng.uniform(0, 2, (len(corners), 2)).astype(np.float32),
        material=material.astype(np.int32),
        instance=instance.astype(np.int32),
        materials=(*materials, glow),
        instances=tuple(Instance("box", f"box_{n}") for n in range(len(boxes) + 1)),
        lights=lights,
        ambient=rng.uniform(0.1, 0.5) * rng.uniform(0.8, 1.0, 3),
        c2w=_pose(rng, size),
        horizontal_fov=float(np.deg2rad(rng.uniform(55, 85))),
    )


def _random_box(rng: np.random.Generator, room: np.ndarray) -> np.ndarray:
    size = np.minimum(rng.lognormal(-0.6, 0.6, 3), 0.5 * room).astype(np.float32)
    angle = rng.choice([0.0, rng.uniform(0, np.pi)])
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]], np.float32
    )
    place = rng.uniform((1.6, 0.3, 0), room - (0.3, 0.3, 0.5)).astype(np.float32)
    if rng.random() < 0.7:
        place[2] = 0
    return ((_FACES - (0.5, 0.5, 0)) * size) @ turn.T + place


def _random_material(rng: np.random.Generator, name: str) -> Material:
    """Mix two colours by stripes, checks, bricks, noise at some scale, or not at all."""
    y, x = np.mgrid[:TEXTURE, :TEXTURE] / TEXTURE
    period = 2 ** rng.integers(1, 6)
    brick = (x * period / 2 + 0.5 * (np.floor(y * period) % 2)) % 1
    noise = gaussian_filter(rng.normal(size=(TEXTURE, TEXTURE)), 2.0 ** rng.uniform(0, 4), mode="wrap")
    noise = np.clip(0.5 + noise / (4 * noise.std()), 0, 1)
    mix = [
        np.zeros_like(x),
        (x * period) % 1 < rng.uniform(0.1, 0.9),
        (np.floor(x * period) + np.floor(y * period)) % 2,
        (brick < 0.08) | ((y * period) % 1 < 0.15),
        noise,
        noise > 0.6,
    ][rng.integers(6)]
    first, second = _random_colour(rng), _random_colour(rng)
    second = first + rng.choice([0.2, 1.0]) * (second - first)
    grain = 0.03 * rng.random() * rng.normal(size=(TEXTURE, TEXTURE, 1))
    texture = first + (second - first) * np.asarray(mix, np.float64)[..., None] + grain
    return Material(name, np.clip(texture, 0, 1).astype(np.float32), float(rng.uniform(0.4, 3.0)))


def _random_colour(rng: np.random.Generator) -> np.ndarray:
    """Draw sRGB, more often pale than saturated."""
    grey, colour = rng.uniform(0.05, 0.95), rng.uniform(0, 1, 3)
    return grey + rng.beta(1, 2) * (colour - grey)


def _ceiling_light(rng: np.random.Generator, room: np.ndarray) -> Light:
    side = rng.uniform(0.4, 1.5, 2)
    corner = np.append(rng.uniform(0.2, 0.8, 2) * (room[:2] - side), room[2] - 0.01)
    radiance = rng.uniform(3, 12) * rng.uniform(0.8, 1.0, 3)
    return Light(corner, np.array([0, side[1], 0.0]), np.array([side[0], 0, 0.0]), radiance)


def _pose(rng: np.random.Generator, room: np.ndarray) -> np.ndarray:
    """Stand near x = 0 and look along +x, a little to the side and down."""
    yaw, pitch = rng.uniform(-0.3, 0.3), rng.uniform(-0.05, 0.3)
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.cross(forward, (0, 0, 1.0))
    right /= np.linalg.norm(right)
    c2w = np.eye(4)
    c2w[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    c2w[:3, 3] = (rng.uniform(0.6, 1.2), rng.uniform(0.35, 0.65) * room[1], rng.uniform(0.45, 0.7) * room[2])
    return c2w
