"""Label images: the class of the labelled proxy that each pixel of a camera sees."""

from __future__ import annotations

import colorsys

import numpy as np
from embreex.mesh_construction import TriangleMesh as EmbreeMesh
from embreex.rtcore_scene import EmbreeScene

from lyra_sim.errors import LyraSimError
from lyra_sim.scene import LabelledMesh

UNLABELLED = "unlabelled"
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

    def draw(self, c2w: np.ndarray, intrinsics: np.ndarray, *, height: int, width: int) -> np.ndarray:
        """Return the class at every pixel's centre, (H, W) uint8.

        Args:
            c2w: Pose of the camera, OpenCV axes, (4, 4).
            intrinsics: fx, fy, cx, cy [px], pixel centres at +0.5, (4,).
            height: Image height [px].
            width: Image width [px].
        """
        fx, fy, cx, cy = intrinsics
        x, y = (np.arange(width) + 0.5 - cx) / fx, (np.arange(height) + 0.5 - cy) / fy
        grid_x, grid_y = np.meshgrid(x, y)
        rays = np.stack([grid_x, grid_y, np.ones_like(grid_x)], axis=-1).reshape(-1, 3) @ c2w[:3, :3].T
        origins = np.broadcast_to(c2w[:3, 3], rays.shape)
        face = self._rays.run(np.ascontiguousarray(origins, np.float32), rays.astype(np.float32))
        return self._of_face[face].reshape(height, width)


def palette(count: int) -> np.ndarray:
    """Return one colour per class, black for class 0 and neighbours far apart in hue, (count, 3) uint8."""
    colours = [(0.0, 0.0, 0.0)]
    for index in range(1, count):
        # Steps by the golden ratio never come back near a hue that was just used.
        hue, value = (index * 0.618034) % 1.0, (0.95, 0.75, 0.55)[index % 3]
        colours.append(colorsys.hsv_to_rgb(hue, 0.65, value))
    return (np.array(colours[:count]) * 255).round().astype(np.uint8)
