"""Label images: the class of the labelled proxy that each pixel of a camera sees."""

from __future__ import annotations

import colorsys

import numpy as np
from embreex.mesh_construction import TriangleMesh as EmbreeMesh
from embreex.rtcore_scene import EmbreeScene
from scipy.spatial import cKDTree

from generator.film.obstacles import sample_surface
from lyra_sim.errors import LyraSimError
from lyra_sim.scene import LabelledMesh

UNLABELLED = "unlabelled"
TOLERANCE, RELATIVE = 0.15, 0.03
"""Distance between proxy and picture that is no disagreement: metres, and a share of the depth."""
MOST_CLASSES = 255
"""Most classes that an 8-bit picture with a palette can tell apart beside `unlabelled`."""


class LabelRaster:
    """Draw label images of a proxy; index 0 is `unlabelled`, which is also where nothing is."""

    def __init__(self, proxy: LabelledMesh) -> None:
        """Prepare the proxy.

        Raises:
            LyraSimError: There are more classes than a picture can hold.
        """
        names = [name for name in proxy.classes if name not in (UNLABELLED, "")]
        if len(names) > MOST_CLASSES:
            raise LyraSimError(
                f"the scene has {len(names)} classes, and a label picture holds {MOST_CLASSES}; leave labels out of"
                " --layers"
            )
        self.classes = (UNLABELLED, *names)
        number = {name: index for index, name in enumerate(self.classes)}
        of_class = np.array([number.get(name, 0) for name in proxy.classes], np.uint8)
        # One entry more than there are faces: index -1 (nothing hit) reads the last.
        self._of_face = np.append(of_class[proxy.face_label], np.uint8(0))
        self._rays = EmbreeScene(robust=True)
        EmbreeMesh(self._rays, np.ascontiguousarray(proxy.vertices[proxy.faces], np.float32))
        points, faces = sample_surface(proxy.vertices, proxy.faces)
        self._tree, self._of_point = cKDTree(points), self._of_face[faces]

    def draw(self, c2w: np.ndarray, intrinsics: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Return the class at every pixel's centre, (H, W) uint8.

        That is the class of the face which the pixel's ray meets first. Where that is not at the depth of the
        picture, as at the edges of objects, which a fused proxy rounds off, it is the class of the proxy nearest to
        what the picture shows.

        Args:
            c2w: Pose of the camera, OpenCV axes, (4, 4).
            intrinsics: fx, fy, cx, cy [px], pixel centres at +0.5, (4,).
            depth: Camera z of what the picture shows [m], 0 where it shows nothing, (H, W).
        """
        height, width = depth.shape
        fx, fy, cx, cy = intrinsics
        x, y = (np.arange(width) + 0.5 - cx) / fx, (np.arange(height) + 0.5 - cy) / fy
        grid_x, grid_y = np.meshgrid(x, y)
        # The camera z of these directions is 1, so the ray parameter of a hit is its depth.
        rays = np.stack([grid_x, grid_y, np.ones_like(grid_x)], axis=-1).reshape(-1, 3) @ c2w[:3, :3].T
        origins = np.ascontiguousarray(np.broadcast_to(c2w[:3, 3], rays.shape), np.float32)
        hit = self._rays.run(origins, rays.astype(np.float32), output=1)
        found, shown = self._of_face[hit["primID"]], depth.reshape(-1)
        met = np.where(hit["primID"] >= 0, hit["tfar"], np.inf)
        apart = np.flatnonzero((shown > 0) & (np.abs(met - shown) > TOLERANCE + RELATIVE * shown))
        points = c2w[:3, 3] + rays[apart] * shown[apart, None]
        distance, nearest = self._tree.query(points)
        near = distance < TOLERANCE + RELATIVE * shown[apart]
        found[apart[near]] = self._of_point[nearest[near]]
        return found.reshape(height, width)


def palette(count: int) -> np.ndarray:
    """Return one colour per class, black for class 0 and neighbours far apart in hue, (count, 3) uint8."""
    colours = [(0.0, 0.0, 0.0)]
    for index in range(1, count):
        # Steps by the golden ratio never come back near a hue that was just used.
        hue, value = (index * 0.618034) % 1.0, (0.95, 0.75, 0.55)[index % 3]
        colours.append(colorsys.hsv_to_rgb(hue, 0.65, value))
    return (np.array(colours[:count]) * 255).round().astype(np.uint8)
