"""What shading needs of a world, laid out for the kernels: mip pyramids and one record per quad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.teachers.lighting import Lightmaps
from generator.teachers.quads import QuadScene
from generator.worlds.world import Material, World


@dataclass(frozen=True)
class Textures:
    """Hold the mip pyramids of all materials in one array, linear light."""

    texels: np.ndarray
    """Albedo, linear, all levels of all materials one after the other, (N, 3) float32."""
    first: np.ndarray
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
    first, size, mean = [], [], []
    count = 0
    for material in materials:
        level = srgb_to_linear(np.asarray(material.texture, np.float32))
        first.append(count)
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
        first=np.array(first, np.int64),
        size=sizes,
        density=sizes / np.array([material.tile_size for material in materials], np.float64),
        mean=np.array(mean, np.float32),
        emission=np.array([material.emission for material in materials], np.float32),
    )


SURFACE = np.dtype(
    [
        ("normal", "f8", 3),  # unit normal
        ("level", "f8"),  # normal . p for points p of the plane [m]
        ("texture", "f8", (2, 4)),  # from (p, 1) to the finest texel's column and row
        ("light", "f8", (2, 4)),  # from (p, 1) to the lightmap's column and row
        ("emission", "f8", 3),  # linear radiance
        ("density", "f8"),  # finest texture texels per metre
        ("texture_first", "i8"),
        ("texture_size", "i8"),
        ("light_first", "i8"),
        ("light_columns", "i8"),
        ("light_rows", "i8"),
    ]
)
"""All that shading needs to know of one quad, side by side in memory."""


def build_surfaces(scene: QuadScene, world: World, textures: Textures, light: Lightmaps) -> np.ndarray:
    """Return the `SURFACE` record of every quad, (Q,)."""
    surfaces = np.zeros(len(world.corners), SURFACE)
    origin, normal = scene.frames[:, 0], scene.frames[:, 3]
    # Metres in the plane, as affine functions of the world position.
    axes = scene.frames[:, 1:3]
    planar = np.concatenate([axes, -np.einsum("qax,qx->qa", axes, origin)[..., None]], axis=2)
    low, size = scene.bounds[:, 0], scene.bounds[:, 1]
    density = textures.density[world.material]
    texels_per_metre = (light.shape - 1) / size
    surfaces["normal"], surfaces["level"] = normal, (normal * origin).sum(axis=1)
    surfaces["texture"] = planar * density[:, None, None]
    surfaces["texture"][..., 3] += world.uv_offset * density[:, None]
    surfaces["light"] = planar * texels_per_metre[..., None]
    surfaces["light"][..., 3] -= low * texels_per_metre
    surfaces["emission"] = textures.emission[world.material]
    surfaces["density"] = density
    surfaces["texture_first"] = textures.first[world.material]
    surfaces["texture_size"] = textures.size[world.material]
    surfaces["light_first"] = light.first
    surfaces["light_columns"], surfaces["light_rows"] = light.shape.T
    return surfaces


def srgb_to_linear(value: np.ndarray) -> np.ndarray:
    """Undo the sRGB transfer function (IEC 61966-2-1)."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)
