"""Ray-cast renderer of procedural worlds: colour, z-depth, labels and instances for any camera."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from generator.cameras import Cameras
from generator.teachers.lighting import LightingConfig, bake
from generator.teachers.quads import QuadScene
from generator.teachers.shading import centre_rays, plane_depth, shade, split_rays
from generator.teachers.surfaces import build_surfaces, build_textures
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
        self._surfaces = build_surfaces(self.scene, world, textures, light)
        self._texels, self._incoming = textures.texels, light.incoming
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
        with ThreadPoolExecutor(numba.get_num_threads()) as threads:
            list(
                threads.map(
                    lambda f: self._render_one(cameras, f, supersample, rgb[f], depth[f], quads[f]),
                    range(shape[0]),
                )
            )
        return rgb, depth, self._labels[quads], self._instances[quads]

    def _render_one(
        self,
        cameras: Cameras,
        f: int,
        supersample: int,
        rgb: np.ndarray,
        depth: np.ndarray,
        quads: np.ndarray,
    ) -> None:
        """Fill the picture of one camera.

        A pixel whose eight neighbours all see its own quad is filled by that quad, so its further rays need
        no search: where they meet it follows from the plane.
        """
        height, width = cameras.height, cameras.width
        rotation = np.ascontiguousarray(cameras.c2w[f, :3, :3], np.float64)
        origin = np.ascontiguousarray(cameras.c2w[f, :3, 3], np.float64)
        intrinsics = np.ascontiguousarray(cameras.intrinsics[f], np.float64)
        centres = np.empty((height * width, 3), np.float32)
        centre_rays(rotation, intrinsics, width, centres)
        quads[:] = self.scene.first_quad(_repeat(origin, len(centres)), centres).reshape(height, width)
        plane_depth(self._surfaces, origin, centres, quads.reshape(-1), depth.reshape(-1))
        pixels = np.flatnonzero(_at_edge(quads))
        split = np.full(height * width, -1, np.int64)
        split[pixels] = np.arange(len(pixels))
        rays = np.empty((len(pixels) * supersample**2, 3), np.float32)
        split_rays(rotation, intrinsics, width, pixels, supersample, rays)
        split_quads = self.scene.first_quad(_repeat(origin, len(rays)), rays)
        shade(
            rotation, origin, intrinsics, quads, split.reshape(height, width), split_quads, supersample,
            self._surfaces, self._texels, self._incoming, self._sky, rgb,
        )  # fmt: skip


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
