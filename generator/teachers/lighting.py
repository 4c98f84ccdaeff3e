"""Light of a world, baked once into a grid of texels per quad, so that pixels only look it up.

Light arrives straight from the area lights (soft shadows from stratified shadow rays), after a few
diffuse bounces (one set of cosine-distributed rays per texel, reused for every bounce), and from the
world's ambient term, which those same rays attenuate in corners (ambient occlusion). Nothing is random:
neighbouring texels take interleaved parts of one stratified pattern, and the smoothing that follows
averages exactly over them, so the result has neither noise nor banding and is the same in every run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from generator.teachers.quads import QuadScene
from generator.worlds.world import Light, World

INSET = 0.01
"""Distance that the outermost texels keep from the edge of their quad, which often touches a wall [m]."""
LIFT = 1e-3
"""Distance of a ray's origin from its own surface [m]."""
CHUNK = 1 << 18
"""Rays per call into Embree: few enough to stay in cache."""


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
    occlusion_range: float = 1.5
    """Distance from which a surface no longer hides ambient light [m]."""
    bounces: int = 2
    """Diffuse bounces of the lights; later ones are left to the world's ambient term."""


@dataclass(frozen=True)
class Lightmaps:
    """Hold the light that arrives at every quad, divided by pi: times albedo it is the radiance that leaves."""

    texels: np.ndarray
    """Linear RGB, all quads one after the other, row-major over (v, u), (N, 3) float32."""
    first: np.ndarray
    """First texel of each quad, (Q,) int64."""
    shape: np.ndarray
    """Texel columns (along u) and rows (along v) of each quad, both at least 2, (Q, 2) int64."""


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
    shape = lightmap_shapes(scene.bounds[:, 1], config)
    counts = shape.prod(axis=1)
    first = np.cumsum(counts) - counts
    texels = _Texels(scene, first, shape)
    direct = _direct_light(scene, world.lights, texels, config)
    gather = _gather_hits(scene, texels, config)
    _fill(direct, gather.valid, first, shape)
    direct = _smoothed(direct, first, shape)
    total = direct.copy()
    bounced = direct
    for _ in range(config.bounces):
        bounced = _gathered(bounced, albedo, gather.hits, texels.quad)
        _fill(bounced, gather.valid, first, shape)
        bounced = _smoothed(bounced, first, shape)
        total += bounced
    openness = gather.openness[:, None].copy()
    _fill(openness, gather.valid, first, shape)
    total += _smoothed(openness, first, shape) * np.asarray(world.ambient, np.float32)
    return Lightmaps(total, first, shape)


def lightmap_shapes(size: np.ndarray, config: LightingConfig) -> np.ndarray:
    """Return texel columns and rows for rectangles of `size` (Q, 2) [m], within the bound on their number."""
    spacing = config.texel_size
    while True:
        shape = np.maximum(np.ceil(size / spacing - 1e-6).astype(np.int64) + 1, 2)
        if shape.prod(axis=1).sum() <= config.max_texels or (shape == 2).all():
            return shape
        spacing *= 1.1


class _Texels:
    """Hold the quad, the interleave phase and the lifted position of every texel."""

    def __init__(self, scene: QuadScene, first: np.ndarray, shape: np.ndarray) -> None:
        self.scene, self.first, self.shape = scene, first, shape
        count = int(shape.prod(axis=1).sum())
        self.quad = np.empty(count, np.int32)
        self.phase = np.empty(count, np.int32)
        self.position = np.empty((count, 3), np.float32)
        planar = np.einsum("qcx,qax->qca", scene.corners - scene.frames[:, None, 0], scene.frames[:, 1:3])
        _place(scene.frames, scene.bounds, planar, first, shape, self.quad, self.phase, self.position)

    def __len__(self) -> int:
        return len(self.quad)


@dataclass(frozen=True)
class _Gather:
    """Hold what the cosine-distributed rays of every texel met."""

    hits: np.ndarray
    """Nearest texel of the surface met, -1 where nothing or a back face was met, (N, R) int32."""
    openness: np.ndarray
    """Share of the ambient light that arrives, (N,) float32."""
    valid: np.ndarray
    """Whether the texel lies in the open rather than inside or under an object, (N,) bool."""


def _direct_light(
    scene: QuadScene, lights: tuple[Light, ...], texels: _Texels, config: LightingConfig
) -> np.ndarray:
    """Return irradiance over pi that comes straight from the lights, (N, 3) float32."""
    direct = np.zeros((len(texels), 3), np.float32)
    if not lights:
        return direct
    samples = int(np.clip(2 * config.shadow_rays / (len(lights) * len(texels)), 1, 16))
    batch = max(CHUNK // samples, 1)
    origins = np.empty((CHUNK, 3), np.float32)
    directions = np.empty((CHUNK, 3), np.float32)
    weight = np.empty(CHUNK, np.float32)
    owner = np.empty(CHUNK, np.int32)
    for light in lights:
        corner, edge_u, edge_v = (
            np.asarray(e, np.float64) for e in (light.corner, light.edge_u, light.edge_v)
        )
        columns, rows = _strata(float(np.linalg.norm(edge_u)), float(np.linalg.norm(edge_v)), samples)
        for start in range(0, len(texels), batch):
            part = slice(start, start + batch)
            count = _aim_at_light(
                scene.frames, texels.position[part], texels.quad[part], texels.phase[part],
                corner, edge_u, edge_v, columns, rows, origins, directions, weight, owner,
            )  # fmt: skip
            free = ~scene.blocked(origins[:count], directions[:count], reach=0.999)
            received = np.bincount(
                owner[:count][free], weight[:count][free], minlength=len(texels.quad[part])
            )
            direct[part] += (received[:, None] * np.asarray(light.radiance)).astype(np.float32)
    return direct


def _strata(width: float, height: float, samples: int) -> tuple[int, int]:
    """Return columns and rows, of at most `samples` cells, that suit a rectangle of this shape."""
    columns = int(np.clip(round(np.sqrt(samples * width / max(height, 1e-6))), 1, samples))
    return columns, max(samples // columns, 1)


def _gather_hits(scene: QuadScene, texels: _Texels, config: LightingConfig) -> _Gather:
    """Trace the cosine-distributed rays of every texel."""
    local = _cosine_directions(config.gather_strata)
    rays = local.shape[1]
    hits = np.empty((len(texels), rays), np.int32)
    openness = np.empty(len(texels), np.float32)
    valid = np.empty(len(texels), np.bool_)
    batch = CHUNK // rays
    origins = np.empty((batch * rays, 3), np.float32)
    directions = np.empty((batch * rays, 3), np.float32)
    for start in range(0, len(texels), batch):
        part = slice(start, min(start + batch, len(texels)))
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
    return _Gather(hits, openness, valid)


def _cosine_directions(strata: int) -> np.ndarray:
    """Return cosine-distributed directions around +z for each of the four phases, (4, strata**2, 3).

    Together the four sets fill a grid of (2 strata)**2 cells of equal probability; each holds one of
    every 2x2 cells.
    """
    fine = (np.arange(2 * strata) + 0.5) / (2 * strata)
    radius = np.sqrt(fine)
    angle = 2 * np.pi * fine
    grid = np.empty((2 * strata, 2 * strata, 3))
    grid[..., 0] = radius[:, None] * np.cos(angle)
    grid[..., 1] = radius[:, None] * np.sin(angle)
    grid[..., 2] = np.sqrt(1 - radius**2)[:, None]
    sets = [grid[i::2, j::2].reshape(-1, 3) for i in range(2) for j in range(2)]
    return np.stack(sets)


@njit(cache=True)
def _place(frames, bounds, planar, first, shape, quad, phase, position):
    """Fill in the texels of all quads; positions are lifted off the surface and kept inside the polygon."""
    point = np.empty(2)
    for q in range(len(frames)):
        columns, rows = shape[q]
        inset = min(INSET, 0.25 * min(bounds[q, 1, 0], bounds[q, 1, 1]))
        for row in range(rows):
            for column in range(columns):
                k = first[q] + row * columns + column
                quad[k] = q
                phase[k] = (column & 1) + 2 * (row & 1)
                point[0] = bounds[q, 0, 0] + bounds[q, 1, 0] * column / (columns - 1)
                point[1] = bounds[q, 0, 1] + bounds[q, 1, 1] * row / (rows - 1)
                # Twice, because moving in from one edge can move a point across a slanted neighbour.
                _move_inside(planar[q], inset, point)
                _move_inside(planar[q], inset, point)
                for c in range(3):
                    position[k, c] = (
                        frames[q, 0, c]
                        + point[0] * frames[q, 1, c]
                        + point[1] * frames[q, 2, c]
                        + LIFT * frames[q, 3, c]
                    )


@njit(cache=True)
def _move_inside(polygon, inset, point):
    """Move a point to at least `inset` inside every edge of a counter-clockwise polygon (4, 2)."""
    for i in range(4):
        j = (i + 1) & 3
        along_x = polygon[j, 0] - polygon[i, 0]
        along_y = polygon[j, 1] - polygon[i, 1]
        length = np.sqrt(along_x * along_x + along_y * along_y)
        if length < 1e-9:
            continue
        in_x = -along_y / length
        in_y = along_x / length
        missing = inset - ((point[0] - polygon[i, 0]) * in_x + (point[1] - polygon[i, 1]) * in_y)
        if missing > 0.0:
            point[0] += missing * in_x
            point[1] += missing * in_y


@njit(cache=True)
def _aim_at_light(
    frames, position, quad, phase, corner, edge_u, edge_v, columns, rows, origins, directions, weight, owner
):
    """Write the shadow rays of some texels towards one light; return how many there are.

    A ray's weight is its share of the light's irradiance over pi for unit radiance. Rays without weight
    (texel behind the light or light behind the texel) are left out.
    """
    normal = np.cross(edge_u, edge_v)
    area = np.sqrt((normal * normal).sum())
    normal /= area
    toward = np.empty(3)
    count = 0
    for k in range(len(position)):
        shift_u = 0.25 + 0.5 * (phase[k] & 1)
        shift_v = 0.25 + 0.5 * (phase[k] >> 1)
        for i in range(columns):
            for j in range(rows):
                a = (i + shift_u) / columns
                b = (j + shift_v) / rows
                squared = 0.0
                surface = 0.0
                lamp = 0.0
                for c in range(3):
                    toward[c] = corner[c] + a * edge_u[c] + b * edge_v[c] - position[k, c]
                    squared += toward[c] * toward[c]
                    surface += toward[c] * frames[quad[k], 3, c]
                    lamp -= toward[c] * normal[c]
                if surface <= 0.0 or lamp <= 0.0:
                    continue
                spread = max(squared * squared, 1e-6)
                weight[count] = surface * lamp * area / (columns * rows * np.pi * spread)
                owner[count] = k
                for c in range(3):
                    origins[count, c] = position[k, c]
                    directions[count, c] = toward[c]
                count += 1
    return count


@njit(cache=True)
def _aim_around(frames, position, quad, phase, local, origins, directions):
    """Write the rays of some texels, turned from `local` (4, R, 3) into each quad's frame."""
    rays = local.shape[1]
    for k in range(len(position)):
        frame = frames[quad[k]]
        for r in range(rays):
            to = local[phase[k], r]
            for c in range(3):
                origins[k * rays + r, c] = position[k, c]
                directions[k * rays + r, c] = to[0] * frame[1, c] + to[1] * frame[2, c] + to[2] * frame[3, c]


@njit(cache=True)
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
            column = min(max(column, 0), columns - 1)
            row = min(max(row, 0), rows - 1)
            hits[k, r] = first[q] + row * columns + column
        openness[k] = light / rays
        valid[k] = 2 * inside <= rays


@njit(cache=True)
def _gathered(incoming, albedo, hits, quad):
    """Return the light that one further bounce brings to each texel, (N, 3) float32."""
    bounced = np.zeros_like(incoming)
    rays = hits.shape[1]
    for k in range(len(hits)):
        for r in range(rays):
            hit = hits[k, r]
            if hit >= 0:
                for c in range(3):
                    bounced[k, c] += albedo[quad[hit], c] * incoming[hit, c] / rays
    return bounced


@njit(cache=True)
def _fill(texels, valid, first, shape):
    """Replace texels that lie inside or under something by the mean of their nearest valid neighbours."""
    channels = texels.shape[1]
    total = np.empty(channels, np.float32)
    for q in range(len(shape)):
        columns, rows = shape[q]
        start = first[q]
        count = columns * rows
        missing = count - valid[start : start + count].sum()
        if missing == 0 or missing == count:
            continue
        known = valid[start : start + count].copy()
        while missing > 0:
            before = known.copy()
            for k in range(count):
                if before[k]:
                    continue
                total[:] = 0.0
                found = 0
                row = k // columns
                column = k - row * columns
                for y in range(max(row - 1, 0), min(row + 2, rows)):
                    for x in range(max(column - 1, 0), min(column + 2, columns)):
                        if before[y * columns + x]:
                            total += texels[start + y * columns + x]
                            found += 1
                if found:
                    texels[start + k] = total / found
                    known[k] = True
                    missing -= 1


@njit(cache=True)
def _smoothed(texels, first, shape):
    """Average with weights 1 2 1 along u and v, which sums the four phases of every neighbourhood equally."""
    half = np.empty_like(texels)
    out = np.empty_like(texels)
    for q in range(len(shape)):
        columns, rows = shape[q]
        for row in range(rows):
            line = first[q] + row * columns
            for column in range(columns):
                left = abs(column - 1)
                right = columns - 1 - abs(columns - 2 - column)
                half[line + column] = (
                    0.25 * texels[line + left] + 0.5 * texels[line + column] + 0.25 * texels[line + right]
                )
        for row in range(rows):
            above = first[q] + abs(row - 1) * columns
            here = first[q] + row * columns
            below = first[q] + (rows - 1 - abs(rows - 2 - row)) * columns
            for column in range(columns):
                out[here + column] = (
                    0.25 * half[above + column] + 0.5 * half[here + column] + 0.25 * half[below + column]
                )
    return out
