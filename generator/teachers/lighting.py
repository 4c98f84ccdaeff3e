"""Light of a world, baked once into a grid of texels per quad, so that pixels only look it up.

Light arrives straight from the area lights (soft shadows from stratified shadow rays), after a few
diffuse bounces (one set of cosine-distributed rays per texel, reused for every bounce), and from the
world's ambient term, which those same rays attenuate in corners (ambient occlusion). Nothing is random:
neighbouring texels take interleaved parts of one stratified pattern, and the smoothing that follows
averages over them, so the result has neither noise nor banding and is the same in every run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from generator.teachers.quads import QuadScene
from generator.teachers.shading import compiled
from generator.teachers.texels import Texels, place_texels
from generator.worlds.world import Light, World

CHUNK = 1 << 18
"""Rays per call into Embree: few enough to stay in cache."""

MAX_REFLECTED = 4.0
"""Radiance above this many times the mean is not passed on by a bounce."""


@dataclass(frozen=True)
class LightingConfig:
    """Choose how finely the light is baked."""

    texel_size: float = 0.1
    """Distance between lightmap texels [m]; grows where a world would need more than `max_texels`."""
    max_texels: int = 150_000
    """Bound on the number of texels of a world."""
    shadow_rays: int = 6_000_000
    """Bound on the shadow rays of a world, which sets the samples per texel and light (1 to 16)."""
    gather_strata: int = 4
    """Cosine-distributed rays per texel are the square of this."""
    occlusion_range: float = 2.5
    """Distance from which a surface no longer hides ambient light [m]."""
    bounces: int = 2
    """Diffuse bounces of the lights; later ones are left to the world's ambient term."""


@dataclass(frozen=True)
class Lightmaps:
    """Hold the light that arrives at every quad."""

    incoming: np.ndarray
    """Irradiance over pi, linear RGB: times albedo it is the radiance that leaves, (N, 3) float32."""
    first: np.ndarray
    """First texel of each quad, (Q,) int64."""
    shape: np.ndarray
    """Texel columns (along u) and rows (along v) of each quad, (Q, 2) int64."""


@dataclass(frozen=True)
class Gather:
    """Hold what the cosine-distributed rays of every texel met."""

    hits: np.ndarray
    """Nearest texel of the surface met, -1 where nothing or a back face was met, (N, R) int32."""
    openness: np.ndarray
    """Share of the ambient light that arrives, (N, 1) float32."""
    valid: np.ndarray
    """Whether the texel lies in the open rather than inside or under an object, (N,) bool."""

    def bounced(self, incoming: np.ndarray, albedo: np.ndarray) -> np.ndarray:
        """Return the light that arrives after one more bounce, all (N, 3); `albedo` is per texel."""
        radiance = incoming * albedo
        # Few of a texel's rays meet a small surface right beside a lamp, and one that does would leave a spot.
        limit = MAX_REFLECTED * radiance.mean()
        brightest = radiance.max(axis=1, keepdims=True)
        radiance *= np.minimum(1.0, limit / np.maximum(brightest, 1e-9))
        light = np.zeros_like(incoming)
        _average(self.hits, radiance, light)
        return light


def bake(
    scene: QuadScene, world: World, albedo: np.ndarray, config: LightingConfig | None = None
) -> Lightmaps:
    """Compute the light that arrives at every quad of a world.

    Args:
        scene: Ray queries and quad frames of the world.
        world: The world, of which lights and ambient light are read.
        albedo: Average linear albedo of each quad, (Q, 3).
        config: Resolution and effort.
    """
    config = config or LightingConfig()
    texels = place_texels(scene, spacing=config.texel_size, limit=config.max_texels)
    gather = gather_light(scene, texels, config)

    def finished(values: np.ndarray) -> np.ndarray:
        texels.fill(values, gather.valid)
        return texels.smoothed(values)

    light = finished(direct_light(scene, world.lights, texels, config))
    total = light + finished(gather.openness) * np.asarray(world.ambient, np.float32)
    reflected = np.asarray(albedo, np.float32)[texels.quad]
    for _ in range(config.bounces):
        light = finished(gather.bounced(light, reflected))
        total += light
    return Lightmaps(total, texels.first, texels.shape)


def direct_light(
    scene: QuadScene, lights: tuple[Light, ...], texels: Texels, config: LightingConfig
) -> np.ndarray:
    """Return irradiance over pi that comes straight from the lights, (N, 3) float32."""
    direct = np.zeros((len(texels), 3), np.float32)
    samples = int(np.clip(config.shadow_rays / (max(len(lights), 1) * len(texels)), 1, 16))
    origins, directions = np.empty((CHUNK, 3), np.float32), np.empty((CHUNK, 3), np.float32)
    weight, owner = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.int32)
    for light in lights:
        sides = np.array([light.edge_u, light.edge_v], np.float64)
        width, height = np.linalg.norm(sides, axis=1)
        columns, rows = _strata(width, height, samples)
        rectangle = np.stack([np.asarray(light.corner, np.float64), *sides, np.cross(*sides)])
        step = CHUNK // (columns * rows)
        for start in range(0, len(texels), step):
            part = slice(start, min(start + step, len(texels)))
            count = _aim_at_light(
                scene.frames, texels.position[part], texels.quad[part], texels.phase[part], rectangle, columns, rows,
                origins, directions, weight, owner,
            )  # fmt: skip
            # Just short of the light, because the light itself is a surface of the world.
            free = ~scene.blocked(origins[:count], directions[:count], reach=0.999)
            received = np.bincount(owner[:count][free], weight[:count][free], minlength=part.stop - start)
            direct[part] += (received[:, None] * np.asarray(light.radiance)).astype(np.float32)
    return direct


def gather_light(scene: QuadScene, texels: Texels, config: LightingConfig) -> Gather:
    """Trace the cosine-distributed rays of every texel."""
    local = cosine_directions(config.gather_strata)
    rays = local.shape[1]
    hits = np.empty((len(texels), rays), np.int32)
    openness = np.empty((len(texels), 1), np.float32)
    valid = np.empty(len(texels), np.bool_)
    step = CHUNK // rays
    origins, directions = np.empty((step * rays, 3), np.float32), np.empty((step * rays, 3), np.float32)
    for start in range(0, len(texels), step):
        part = slice(start, min(start + step, len(texels)))
        count = (part.stop - start) * rays
        _aim_around(
            scene.frames,
            texels.position[part],
            texels.quad[part],
            texels.phase[part],
            local,
            origins,
            directions,
        )
        quads, distance = scene.first_hit(origins[:count], directions[:count])
        _note_hits(
            scene.frames, scene.bounds, texels.first, texels.shape, origins, directions, quads, distance,
            config.occlusion_range, hits[part], openness[part], valid[part],
        )  # fmt: skip
    return Gather(hits, openness, valid)


def cosine_directions(strata: int) -> np.ndarray:
    """Return cosine-distributed directions around +z for each of the four phases, (4, strata**2, 3).

    Together the four sets fill a grid of (2 strata)**2 cells of equal probability; each takes one of every
    2x2 cells.
    """
    middle = (np.arange(2 * strata) + 0.5) / (2 * strata)
    radius, angle = np.sqrt(middle)[:, None], 2 * np.pi * middle
    grid = np.stack(
        np.broadcast_arrays(radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius**2)), axis=-1
    )
    return np.stack([grid[i::2, j::2].reshape(-1, 3) for i in range(2) for j in range(2)])


def _strata(width: float, height: float, samples: int) -> tuple[int, int]:
    """Return columns and rows of at most `samples` cells that suit a rectangle of this shape."""
    columns = int(np.clip(round(np.sqrt(samples * width / max(height, 1e-6))), 1, samples))
    return columns, samples // columns


@compiled
def _aim_at_light(
    frames, position, quad, phase, rectangle, columns, rows, origins, directions, weight, owner
):
    """Write the shadow rays of some texels towards one light; return how many there are.

    `rectangle` holds the light's corner, edges and their cross product. A ray's weight is its share of the
    light's irradiance over pi for unit radiance. Rays without weight (the texel lies behind the light or
    the light behind the texel) are left out.
    """
    count = 0
    for k in range(len(position)):
        for i in range(columns * rows):
            row = i // columns
            a = (i - row * columns + 0.25 + 0.5 * (phase[k] & 1)) / columns
            b = (row + 0.25 + 0.5 * (phase[k] >> 1)) / rows
            squared = 0.0
            surface = 0.0
            lamp = 0.0
            for c in range(3):
                toward = rectangle[0, c] + a * rectangle[1, c] + b * rectangle[2, c] - position[k, c]
                origins[count, c] = position[k, c]
                directions[count, c] = toward
                squared += toward * toward
                surface += toward * frames[quad[k], 3, c]
                lamp -= toward * rectangle[3, c]
            if surface > 0.0 and lamp > 0.0:
                # A light cannot fill more than the whole view, however near a sample of it lies.
                weight[count] = min(surface * lamp / (math.pi * squared * squared), 1.0) / (columns * rows)
                owner[count] = k
                count += 1
    return count


@compiled
def _aim_around(frames, position, quad, phase, local, origins, directions):
    """Write the rays of some texels, turned from `local` (4, R, 3) into each quad's frame."""
    rays = local.shape[1]
    for ray in range(len(position) * rays):
        k = ray // rays
        to = local[phase[k], ray - k * rays]
        for c in range(3):
            origins[ray, c] = position[k, c]
            directions[ray, c] = (
                to[0] * frames[quad[k], 1, c] + to[1] * frames[quad[k], 2, c] + to[2] * frames[quad[k], 3, c]
            )


@compiled
def _note_hits(
    frames, bounds, first, shape, origins, directions, quads, distance, occlusion_range, hits, openness, valid
):
    """Write what each texel's rays met, the ambient light that they let in, and whether it lies in the open."""
    rays = hits.shape[1]
    for k in range(len(hits)):
        inside = 0
        light = 0.0
        for r in range(rays):
            ray = k * rays + r
            q = quads[ray]
            hits[k, r] = -1
            if q < 0:
                light += 1.0
                continue
            facing = 0.0
            u = 0.0
            v = 0.0
            for c in range(3):
                facing += directions[ray, c] * frames[q, 3, c]
                offset = origins[ray, c] + distance[ray] * directions[ray, c] - frames[q, 0, c]
                u += offset * frames[q, 1, c]
                v += offset * frames[q, 2, c]
            if facing >= 0.0:
                inside += 1
                continue
            reach = min(distance[ray] / occlusion_range, 1.0)
            light += reach * reach * (3.0 - 2.0 * reach)
            columns, rows = shape[q]
            column = int(0.5 + (columns - 1) * (u - bounds[q, 0, 0]) / bounds[q, 1, 0])
            row = int(0.5 + (rows - 1) * (v - bounds[q, 0, 1]) / bounds[q, 1, 1])
            hits[k, r] = first[q] + min(max(row, 0), rows - 1) * columns + min(max(column, 0), columns - 1)
        openness[k, 0] = light / rays
        valid[k] = 2 * inside <= rays


@compiled
def _average(hits, radiance, light):
    """Average the radiance of the texels that each texel's rays met, into `light` (N, 3)."""
    rays = hits.shape[1]
    for k in range(len(hits)):
        for r in range(rays):
            hit = hits[k, r]
            if hit >= 0:
                for c in range(3):
                    light[k, c] += radiance[hit, c] / rays
