"""Read triangle meshes from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lyra_sim.errors import LyraSimError
from lyra_sim.scene import TriangleMesh
from lyra_sim.transform import AXES, Similarity, rotation_between

SUFFIXES = (".glb", ".gltf", ".obj", ".stl", ".ply", ".off")
MAX_FACES = 5_000_000
"""More faces than a physics engine takes as one collider."""


def read_mesh(path: str | Path) -> TriangleMesh:
    """Read a mesh in metres, Z up; glTF is Y up by definition and is turned, other formats are taken as they are.

    Raises:
        LyraSimError: The file is missing, of an unknown kind, damaged or without triangles.
    """
    import trimesh

    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise LyraSimError(f"{path}: not a mesh file; known endings are {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise LyraSimError(f"cannot read {path}: there is no such file")
    try:
        loaded = trimesh.load(path, force="mesh", process=False, skip_materials=True)
        vertices = np.asarray(getattr(loaded, "vertices", ()), np.float32).reshape(-1, 3)
        faces = np.asarray(getattr(loaded, "faces", ()), np.int32).reshape(-1, 3)
    # The loaders of a dozen formats raise whatever their parsing runs into.
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise LyraSimError(f"{path} is a damaged mesh file ({first[:80]})") from error
    if not len(faces) or len(faces) > MAX_FACES or faces.max() >= len(vertices) or faces.min() < 0:
        raise LyraSimError(
            f"{path} holds {len(faces)} triangles; between 1 and {MAX_FACES} that fit are needed"
        )
    if not np.isfinite(vertices).all():
        raise LyraSimError(f"{path} has vertices that are not finite")
    if path.suffix.lower() in (".glb", ".gltf"):
        vertices = Similarity(rotation_between(AXES["y"], AXES["z"])).points(vertices)
    return TriangleMesh(vertices, faces)
