"""Ray-cast renderer of procedural worlds: colour, z-depth, labels and instances for any camera."""

from __future__ import annotations

import numpy as np

from generator.cameras import Cameras
from generator.teachers.lighting import LightingConfig, bake
from generator.teachers.quads import QuadScene
from generator.teachers.shading import build_textures, centre_rays, shade, split_rays
from generator.worlds.world import World


class RayCaster:
    """Render a world with light baked once; surfaces are diffuse, so a point looks alike from everywhere."""

    def __init__(self, world: World, *, lighting: LightingConfig | None = None) -> None:
        """Build the acceleration structure and the texture pyramids of `world`, and bake its light."""
        self.world = world
        self.scene = QuadScene(world)
        self.classes = ("unlabelled", *world.labels)
        textures = build_textures(world.materials)
        light = bake(self.scene, world, textures.mean[world.material], lighting)
        self._surfaces = (
            self.scene.frames,
            self.scene.bounds,
            np.ascontiguousarray(world.uv_offset, np.float64),
            np.ascontiguousarray(world.material, np.int64),
        )
        self._textures = (
            textures.texels,
            textures.offset,
            textures.size,
            textures.density,
            textures.emission,
        )
        self._light = (light.texels, light.first, light.shape)
        self._sky = np.ascontiguousarray(world.ambient, np.float64)
        index = {label: number for number, label in enumerate(self.classes)}
        labels = np.array([index[instance.label] for instance in world.instances], np.uint8)
        # One entry more than there are quads: index -1 (nothing hit) reads the last.
        self._labels = np.append(labels[world.instance], np.uint8(0))
        self._instances = np.append(world.instance, -1).astype(np.int32)

    def render(
        self, cameras: Cameras, *, supersample: int = 2
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the pictures of all cameras.

        Depth, labels and instances belong to the ray of the pixel centre; colour is the mean of
        `supersample` x `supersample` rays.

        Args:
            cameras: F cameras in the frame of the world.
            supersample: Rays per pixel and axis.

        Returns:
            sRGB (F, H, W, 3) uint8; z-depth [m], 0 where nothing was hit, (F, H, W) float32; index into
            `classes` (F, H, W) uint8; index into `world.instances`, -1 where nothing was hit, (F, H, W) int32.
        """
        shape = (len(cameras), cameras.height, cameras.width)
        rgb = np.empty((*shape, 3), np.uint8)
        depth = np.empty(shape, np.float32)
        quads = np.empty(shape, np.int32)
        for f in range(len(cameras)):
            pose, intrinsics = cameras.c2w[f], cameras.intrinsics[f]
            quads[f], split, split_quads = self._trace(pose, intrinsics, shape[1:], supersample)
            shade(
                np.ascontiguousarray(pose[:3, :3], np.float64),
                np.ascontiguousarray(pose[:3, 3], np.float64),
                np.ascontiguousarray(intrinsics, np.float64),
                quads[f],
                split,
                split_quads,
                supersample,
                self._surfaces,
                self._textures,
                self._light,
                self._sky,
                rgb[f],
                depth[f],
            )
        return rgb, depth, self._labels[quads], self._instances[quads]

    def _trace(
        self, pose: np.ndarray, intrinsics: np.ndarray, shape: tuple[int, int], supersample: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the quad behind each pixel centre, and the quads behind the rays of pixels at edges.

        A pixel whose neighbours all see its own quad is filled by that quad, so its further rays need no
        search: their hits follow from the plane.
        """
        height, width = shape
        rotation = np.ascontiguousarray(pose[:3, :3], np.float64)
        centres = np.empty((height * width, 3), np.float32)
        centre_rays(rotation, intrinsics, height, width, centres)
        quads = self.scene.first_quad(_repeat(pose[:3, 3], len(centres)), centres).reshape(height, width)
        pixels = np.flatnonzero(_at_edge(quads))
        split = np.full(height * width, -1, np.int32)
        split[pixels] = np.arange(len(pixels), dtype=np.int32)
        rays = np.empty((len(pixels) * supersample**2, 3), np.float32)
        split_rays(rotation, intrinsics, width, pixels, supersample, rays)
        return (
            quads,
            split.reshape(height, width),
            self.scene.first_quad(_repeat(pose[:3, 3], len(rays)), rays),
        )


def _repeat(origin: np.ndarray, count: int) -> np.ndarray:
    origins = np.empty((count, 3), np.float32)
    origins[:] = origin
    return origins


def _at_edge(quads: np.ndarray) -> np.ndarray:
    """Return which pixels have a neighbour (of eight) on another quad, (H, W) bool."""
    low = high = np.pad(quads, 1, mode="edge")
    low = np.minimum(np.minimum(low[:, :-2], low[:, 1:-1]), low[:, 2:])
    low = np.minimum(np.minimum(low[:-2], low[1:-1]), low[2:])
    high = np.maximum(np.maximum(high[:, :-2], high[:, 1:-1]), high[:, 2:])
    high = np.maximum(np.maximum(high[:-2], high[1:-1]), high[2:])
    return low != high
