"""A room of splats with collider, labels and a recorded camera, for the tests of films."""

from __future__ import annotations

import numpy as np
from box_room import box_faces, look_along_x

from generator.cameras import Cameras
from generator.film.start import describe_start
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import LabelledMesh, Scene, TriangleMesh

SIZE = np.array([6.0, 5.0, 3.0])
"""Length (x), width (y) and height (z) of the room [m]."""
COLOURS = np.array(
    [[0.5, 0.4, 0.3], [0.9, 0.9, 0.9], [0.8, 0.2, 0.2], [0.2, 0.7, 0.2], [0.2, 0.3, 0.8], [0.8, 0.8, 0.2]]
)
"""sRGB of the floor, the ceiling, and the walls at x = 0, x = 6, y = 0 and y = 5."""
CELL = 0.2
"""Distance between splats [m]."""
EYE = np.array([1.5, 2.5, 1.5])


def room(*, collider: bool = True, labels: bool = True, recorded: bool = True) -> Scene:
    """Return the room, seen from EYE along +x by the camera that is recorded."""
    faces = box_faces(np.zeros(3), SIZE, inward=True)
    mesh = TriangleMesh(faces.reshape(-1, 3), _triangles(len(faces)))
    label = np.repeat(np.array([1, 0, 2, 2, 2, 2], np.int32), 2)
    proxy = LabelledMesh(mesh.vertices, mesh.faces, label, ("ceiling", "floor", "wall"))
    provenance = {"camera": describe_start([cameras(np.array([EYE, np.add(EYE, [0.0, 0.5, 0.0])]))])}
    return Scene(
        splats(faces),
        collider=mesh if collider else None,
        proxy=proxy if labels else None,
        provenance=provenance if recorded else {},
    )


def cameras(eyes: np.ndarray, *, height: int = 36, width: int = 64) -> Cameras:
    """Return cameras at `eyes` (F, 3) that look along +x with a field of view of 70 degrees."""
    focal = width / 2 / np.tan(np.radians(35.0))
    intrinsics = np.tile([focal, focal, width / 2, height / 2], (len(eyes), 1))
    return Cameras(np.stack([look_along_x(eye) for eye in eyes]), intrinsics, height, width)


def splats(faces: np.ndarray) -> Gaussians:
    """Return round splats all over rectangles (Q, 4, 3), in the colours of the room's sides."""
    means, colours = [], []
    for corners, colour in zip(faces.astype(np.float64), COLOURS, strict=True):
        along, across = corners[1] - corners[0], corners[3] - corners[0]
        u, v = (
            (np.arange(round(np.linalg.norm(edge) / CELL)) + 0.5) * CELL / np.linalg.norm(edge)
            for edge in (along, across)
        )
        grid_u, grid_v = (g.reshape(-1, 1) for g in np.meshgrid(u, v))
        means.append(corners[0] + grid_u * along + grid_v * across)
        colours.append(np.tile(colour, (len(grid_u), 1)))
    centres = np.concatenate(means).astype(np.float32)
    count = len(centres)
    return Gaussians.from_rgb(
        centres,
        np.full((count, 3), 0.6 * CELL, np.float32),
        np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        np.full(count, 0.98, np.float32),
        np.concatenate(colours),
    )


def _triangles(quads: int) -> np.ndarray:
    first = 4 * np.arange(quads, dtype=np.int32)[:, None]
    return (first + np.array([0, 1, 2, 0, 2, 3], np.int32)).reshape(-1, 3)
