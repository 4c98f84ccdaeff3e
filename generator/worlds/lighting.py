"""Setting the exposure: the conditioning view is metered, then all lights are scaled together.

Shading model, the ray caster's: radiance = albedo / pi * irradiance of the lights + albedo * ambient
* openness + emission, linear, exposure 1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from generator.worlds.colours import srgb_to_linear
from generator.worlds.mesh import Emitter
from generator.worlds.scene import Scene
from generator.worlds.world import Light, World

TARGET = 0.28
"""Mean linear radiance that the conditioning view is exposed to, lamps left out."""
OPENNESS = 0.75
"""Typical share of the surroundings that a surface sees, for metering only."""
BRIGHTNESS = {"dim": 0.4, "normal": 1.0, "bright": 1.35}
TEMPERATURE = {"warm": (1.12, 0.98, 0.76), "neutral": (1.0, 1.0, 1.0), "cold": (0.86, 1.0, 1.16)}


def expose(world: World, scene: Scene) -> World:
    """Return the world with the radiance of lights and surroundings set.

    Args:
        world: World whose lights are still relative to one another.
        scene: The scene it was made from: share of ambient light, tint, words for the light.
    """
    tint = np.array(TEMPERATURE[scene.words.temperature])
    tint = tint / tint.mean()
    emitters = [replace(emitter, radiance=emitter.radiance * tint) for emitter in scene.mesh.emitters]
    albedo, irradiance = _meter(world, emitters)
    ambient = tint * np.asarray(scene.tint)
    reflected = float(albedo.mean())
    # The ray caster follows two bounces; closed rooms return about their mean albedo at each.
    direct_mean = float((albedo * irradiance / np.pi).mean()) * (1.0 + reflected + reflected**2)
    ambient_mean = float((albedo * ambient).mean()) * OPENNESS
    level = TARGET * BRIGHTNESS[scene.words.brightness]
    # The albedo is partly kept in the exposure: dark rooms should look darker than light ones.
    level *= float(np.clip(reflected / 0.3, 0.6, 1.3)) ** 0.5
    gain = (1.0 - scene.ambient) * level / max(direct_mean, 1e-9)
    lit = [replace(emitter, radiance=emitter.radiance * gain) for emitter in emitters]
    materials = list(world.materials)
    for emitter in lit:
        red, green, blue = (float(channel) for channel in emitter.radiance)
        materials[emitter.material] = replace(materials[emitter.material], emission=(red, green, blue))
    return replace(
        world,
        materials=tuple(materials),
        lights=tuple(Light(light.corner, light.edge_u, light.edge_v, light.radiance) for light in lit),
        ambient=ambient * scene.ambient * level / max(ambient_mean, 1e-9),
    )


def _meter(world: World, emitters: list[Emitter]) -> tuple[np.ndarray, np.ndarray]:
    """Return albedo and relative irradiance, (N, 3) linear, where a coarse grid of view rays hits."""
    quads = world.corners
    triangles = quads[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 3)
    tracer = EmbreeScene()
    TriangleMesh(tracer, np.ascontiguousarray(triangles, np.float32))
    eye = np.asarray(world.c2w[:3, 3], np.float32)
    directions = _view_rays(world)
    hit = tracer.run(np.repeat(eye[None], len(directions), 0), directions, output=True)
    seen = hit["primID"] >= 0
    quad = hit["primID"][seen] // 2
    directions, distance = directions[seen], hit["tfar"][seen]
    normal = np.cross(quads[quad, 1] - quads[quad, 0], quads[quad, 2] - quads[quad, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    normal *= -np.sign((normal * directions).sum(1))[:, None]
    points = eye + directions * distance[:, None] + 2e-3 * normal
    texture_mean = np.array([srgb_to_linear(m.texture[::8, ::8]).mean((0, 1)) for m in world.materials])
    glowing = np.array([max(m.emission) > 0.3 for m in world.materials])
    glowing[[emitter.material for emitter in emitters]] = True
    kept = ~glowing[world.material[quad]]
    points, normal, quad = points[kept], normal[kept], quad[kept]
    irradiance = np.zeros((len(points), 3))
    for emitter in emitters:
        irradiance += _irradiance(tracer, points, normal, emitter)
    return texture_mean[world.material[quad]], irradiance


def _view_rays(world: World) -> np.ndarray:
    """Return directions of a 40 x 22 grid over the conditioning view, (N, 3) float32, world frame."""
    half = np.tan(world.horizontal_fov / 2.0)
    x, y = np.meshgrid(np.linspace(-half, half, 40), np.linspace(-half, half, 40)[9:31])
    local = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)
    rays = local @ world.c2w[:3, :3].T
    return np.ascontiguousarray(rays / np.linalg.norm(rays, axis=1, keepdims=True), np.float32)


def _irradiance(tracer: EmbreeScene, points: np.ndarray, normal: np.ndarray, emitter: Emitter) -> np.ndarray:
    """Return irradiance from one light with visibility, from four points on it, (N, 3)."""
    facing = np.cross(emitter.edge_u, emitter.edge_v)
    area = float(np.linalg.norm(facing))
    facing = facing / area
    total = np.zeros(len(points))
    for u, v in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)):
        target = emitter.corner + u * emitter.edge_u + v * emitter.edge_v + 1e-3 * facing
        towards = target - points
        distance = np.linalg.norm(towards, axis=1)
        towards = towards / distance[:, None]
        cosines = np.clip((towards * normal).sum(1), 0, None) * np.clip(-(towards @ facing), 0, None)
        blocked = tracer.run(
            np.ascontiguousarray(points, np.float32),
            np.ascontiguousarray(towards, np.float32),
            dists=np.ascontiguousarray(distance - 5e-3, np.float32),
            query="OCCLUDED",
        )
        total += np.where(blocked < 0, cosines * area / (4.0 * distance**2), 0.0)
    return total[:, None] * emitter.radiance
