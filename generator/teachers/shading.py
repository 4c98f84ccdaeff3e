"""Colour of what a ray hits: mip-mapped textures, baked light, tone curve (numba kernels)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from generator.worlds.world import Material

SHOULDER = 0.7
"""Linear value from which the tone curve bends towards 1 instead of clipping."""


@dataclass(frozen=True)
class Textures:
    """Hold the mip pyramids of all materials in one array, linear light."""

    texels: np.ndarray
    """Albedo, linear, all levels of all materials one after the other, (N, 3) float32."""
    offset: np.ndarray
    """First texel of each material's finest level, (M,) int64."""
    size: np.ndarray
    """Side of each material's finest level [texel], (M,) int64."""
    density: np.ndarray
    """Texels per metre at the finest level, (M,) float64."""
    mean: np.ndarray
    """Average albedo, linear, (M, 3) float32."""
    emission: np.ndarray
    """Emitted radiance, linear, (M, 3) float32."""


def build_textures(materials: tuple[Material, ...]) -> Textures:
    """Average each texture down to one texel, in linear light."""
    levels: list[np.ndarray] = []
    offset, size, mean = [], [], []
    count = 0
    for material in materials:
        level = srgb_to_linear(np.asarray(material.texture, np.float32))
        offset.append(count)
        size.append(len(level))
        while True:
            levels.append(level.reshape(-1, 3))
            count += len(levels[-1])
            if len(level) == 1:
                break
            half = len(level) // 2
            level = level.reshape(half, 2, half, 2, 3).mean(axis=(1, 3))
        mean.append(level[0, 0])
    sizes = np.array(size, np.int64)
    return Textures(
        texels=np.ascontiguousarray(np.concatenate(levels), np.float32),
        offset=np.array(offset, np.int64),
        size=sizes,
        density=sizes / np.array([material.tile_size for material in materials], np.float64),
        mean=np.array(mean, np.float32),
        emission=np.array([material.emission for material in materials], np.float32),
    )


def srgb_to_linear(value: np.ndarray) -> np.ndarray:
    """Undo the sRGB transfer function (IEC 61966-2-1)."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


@njit(cache=True, inline="always")
def _encode(value: float) -> int:
    """Return the sRGB byte of a linear value in [0, 1]."""
    encoded = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1.0 / 2.4) - 0.055
    return int(encoded * 255.0 + 0.5)


@njit(cache=True, inline="always")
def _tone(value: float) -> float:
    """Keep a linear value below the shoulder and bend the rest towards 1, with continuous slope."""
    if value <= SHOULDER:
        return value
    return 1.0 - (1.0 - SHOULDER) * np.exp((SHOULDER - value) / (1.0 - SHOULDER))


@njit(cache=True)
def _add_bilinear(table, first, columns, x0, x1, y0, y1, fx, fy, scale, out):
    """Add `scale` times the bilinear mix of four entries of a row-major table to `out`."""
    a = first + y0 * columns
    b = first + y1 * columns
    w00 = scale * (1.0 - fx) * (1.0 - fy)
    w01 = scale * fx * (1.0 - fy)
    w10 = scale * (1.0 - fx) * fy
    w11 = scale * fx * fy
    for c in range(3):
        out[c] += (
            w00 * table[a + x0, c] + w01 * table[a + x1, c] + w10 * table[b + x0, c] + w11 * table[b + x1, c]
        )


@njit(cache=True)
def _add_level(texels, first, size, level, x, y, scale, out):
    """Add `scale` times the bilinear sample of one mip level at (x, y) finest texels, wrapping."""
    for below in range(level):
        side = size >> below
        first += side * side
    side = size >> level
    shrink = 1.0 / (1 << level)
    x = x * shrink - 0.5
    y = y * shrink - 0.5
    floor_x = np.floor(x)
    floor_y = np.floor(y)
    x0 = int(floor_x) & (side - 1)
    y0 = int(floor_y) & (side - 1)
    x1 = (x0 + 1) & (side - 1)
    y1 = (y0 + 1) & (side - 1)
    _add_bilinear(texels, first, side, x0, x1, y0, y1, x - floor_x, y - floor_y, scale, out)


@njit(cache=True)
def _add_texture(texels, first, size, x, y, footprint, out):
    """Add the trilinear sample at (x, y) finest texels for a footprint of so many finest texels."""
    finest = 0.0
    if footprint > 1.0:
        finest = np.log2(footprint)
    last = 0
    while (size >> last) > 1:
        last += 1
    level = int(finest)
    if level >= last:
        _add_level(texels, first, size, last, x, y, 1.0, out)
        return
    blend = finest - level
    _add_level(texels, first, size, level, x, y, 1.0 - blend, out)
    if blend > 0.0:
        _add_level(texels, first, size, level + 1, x, y, blend, out)


@njit(cache=True)
def _add_light(texels, first, columns, rows, a, b, out):
    """Add the bilinear sample of a lightmap whose nodes span its quad, at (a, b) in [0, 1]."""
    x = min(max(a, 0.0), 1.0) * (columns - 1)
    y = min(max(b, 0.0), 1.0) * (rows - 1)
    x0 = min(int(x), columns - 2)
    y0 = min(int(y), rows - 2)
    _add_bilinear(texels, first, columns, x0, x0 + 1, y0, y0 + 1, x - x0, y - y0, 1.0, out)


@njit(cache=True)
def _add_sample(quad, origin, direction, pixel, surfaces, textures, light, scratch, out):
    """Add the tone-mapped radiance of one ray that meets `quad`; return the ray parameter of the hit."""
    frames, bounds, uv_offset, material = surfaces
    frame = frames[quad]
    facing = 0.0
    ahead = 0.0
    for c in range(3):
        facing += frame[3, c] * direction[c]
        ahead += frame[3, c] * (frame[0, c] - origin[c])
    t = ahead / facing
    u = 0.0
    v = 0.0
    length = 0.0
    for c in range(3):
        offset = origin[c] + t * direction[c] - frame[0, c]
        u += frame[1, c] * offset
        v += frame[2, c] * offset
        length += direction[c] * direction[c]
    texels, first, size, density, emission = textures
    kind = material[quad]
    per_metre = density[kind]
    obliqueness = abs(facing) / np.sqrt(length)
    footprint = t * pixel * per_metre / np.sqrt(max(obliqueness, 0.04))
    albedo = scratch[0]
    incoming = scratch[1]
    albedo[:] = 0.0
    incoming[:] = 0.0
    x = (u + uv_offset[quad, 0]) * per_metre
    y = (v + uv_offset[quad, 1]) * per_metre
    _add_texture(texels, first[kind], size[kind], x, y, footprint, albedo)
    light_texels, light_first, light_shape = light
    a = (u - bounds[quad, 0, 0]) / bounds[quad, 1, 0]
    b = (v - bounds[quad, 0, 1]) / bounds[quad, 1, 1]
    _add_light(light_texels, light_first[quad], light_shape[quad, 0], light_shape[quad, 1], a, b, incoming)
    for c in range(3):
        out[c] += _tone(albedo[c] * incoming[c] + emission[kind, c])
    return t


@njit(cache=True, inline="always")
def _aim(rotation, intrinsics, x, y, direction):
    """Set `direction` to the world direction with unit z in the camera through image point (x, y)."""
    right = (x - intrinsics[2]) / intrinsics[0]
    down = (y - intrinsics[3]) / intrinsics[1]
    for c in range(3):
        direction[c] = rotation[c, 0] * right + rotation[c, 1] * down + rotation[c, 2]


@njit(cache=True)
def centre_rays(rotation, intrinsics, height, width, directions):
    """Fill `directions` (H * W, 3) with the rays of the pixel centres; z-depth is their parameter."""
    for y in range(height):
        for x in range(width):
            _aim(rotation, intrinsics, x + 0.5, y + 0.5, directions[y * width + x])


@njit(cache=True)
def split_rays(rotation, intrinsics, width, pixels, supersample, directions):
    """Fill `directions` (N * S * S, 3) with the S x S rays of each listed pixel."""
    k = 0
    for pixel in pixels:
        y = pixel // width
        x = pixel - y * width
        for i in range(supersample):
            for j in range(supersample):
                _aim(
                    rotation,
                    intrinsics,
                    x + (j + 0.5) / supersample,
                    y + (i + 0.5) / supersample,
                    directions[k],
                )
                k += 1


@njit(cache=True, parallel=True)
def shade(
    rotation,
    origin,
    intrinsics,
    quads,
    split,
    split_quads,
    supersample,
    surfaces,
    textures,
    light,
    sky,
    rgb,
    depth,
):
    """Fill one picture.

    Args:
        rotation: Camera-to-world rotation, (3, 3).
        origin: Camera position [m], (3,).
        intrinsics: fx, fy, cx, cy [px].
        quads: First quad behind each pixel centre or -1, (H, W).
        split: Where the pixel's own rays lie in `split_quads`, or -1 where one quad fills the pixel, (H, W).
        split_quads: First quad along each further ray, (N * S * S,).
        supersample: Rays per pixel and axis, S.
        surfaces: Quad frames, bounding rectangles, texture offsets and materials.
        textures: Texels, first texel, size, texels per metre and emission of the materials.
        light: Lightmap texels, first texel and (columns, rows) of each quad.
        sky: Linear radiance where nothing is hit, (3,).
        rgb: Receives sRGB bytes, (H, W, 3).
        depth: Receives the z-depth of the pixel centre [m], 0 where nothing is hit, (H, W).
    """
    height, width = quads.shape
    samples = supersample * supersample
    pixel = 1.0 / (intrinsics[0] * supersample)
    for y in prange(height):
        scratch = np.zeros((2, 3))
        direction = np.zeros(3)
        total = np.zeros(3)
        for x in range(width):
            total[:] = 0.0
            for i in range(samples):
                quad = quads[y, x] if split[y, x] < 0 else split_quads[split[y, x] * samples + i]
                if quad < 0:
                    for c in range(3):
                        total[c] += _tone(sky[c])
                    continue
                row = i // supersample
                column = i - row * supersample
                _aim(
                    rotation,
                    intrinsics,
                    x + (column + 0.5) / supersample,
                    y + (row + 0.5) / supersample,
                    direction,
                )
                _add_sample(quad, origin, direction, pixel, surfaces, textures, light, scratch, total)
            for c in range(3):
                rgb[y, x, c] = _encode(min(total[c] / samples, 1.0))
            depth[y, x] = 0.0
            quad = quads[y, x]
            if quad >= 0:
                _aim(rotation, intrinsics, x + 0.5, y + 0.5, direction)
                frame = surfaces[0][quad]
                facing = 0.0
                ahead = 0.0
                for c in range(3):
                    facing += frame[3, c] * direction[c]
                    ahead += frame[3, c] * (frame[0, c] - origin[c])
                depth[y, x] = ahead / facing
