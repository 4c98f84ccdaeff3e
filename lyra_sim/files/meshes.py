"""Read triangle meshes from files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lyra_sim.errors import LyraSimError
from lyra_sim.scene import LabelledMesh, TriangleMesh
from lyra_sim.transform import AXES, Similarity, rotation_between

SUFFIXES = (".glb", ".gltf", ".obj", ".stl", ".ply", ".off")
GLTF = (".glb", ".gltf")
"""Formats that are Y up by definition and name their objects."""
MAX_FACES = 5_000_000
"""More faces than a physics engine takes as one collider."""


def read_mesh(path: str | Path) -> TriangleMesh:
    """Read a mesh in metres, Z up; glTF is Y up by definition and is turned, other formats are taken as they are.

    Raises:
        LyraSimError: The file is missing, of an unknown kind, damaged or without triangles.
    """
    named = read_named_mesh(path)
    return TriangleMesh(named.vertices, named.faces)


def read_named_mesh(path: str | Path) -> LabelledMesh:
    """Read a mesh as `read_mesh` does, with the name of each face's object (glTF) or of the file as its class.

    Names become snake_case and lose the number that tells equal objects apart: `Office Chair.002` is
    `office_chair`.

    Raises:
        LyraSimError: As for `read_mesh`.
    """
    import trimesh

    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise LyraSimError(f"{path}: not a mesh file; known endings are {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise LyraSimError(f"cannot read {path}: there is no such file")
    try:
        loaded = trimesh.load_scene(path, process=False, skip_materials=True)
        mesh = _join(loaded, default=class_name(path.stem), named=path.suffix.lower() in GLTF)
    # The loaders of a dozen formats raise whatever their parsing runs into.
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise LyraSimError(f"{path} is a damaged mesh file ({first[:80]})") from error
    vertices, faces = mesh.vertices, mesh.faces
    if not len(faces) or len(faces) > MAX_FACES or faces.max() >= len(vertices) or faces.min() < 0:
        raise LyraSimError(
            f"{path} holds {len(faces)} triangles; between 1 and {MAX_FACES} that fit are needed"
        )
    if not np.isfinite(vertices).all():
        raise LyraSimError(f"{path} has vertices that are not finite")
    if path.suffix.lower() in GLTF:
        vertices = Similarity(rotation_between(AXES["y"], AXES["z"])).points(vertices)
    return replace(mesh, vertices=vertices)


def class_name(name: str) -> str:
    """Return an object's name as a class: snake_case, without a trailing number."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.sub(r"([._ -]*\d+)+$", "", name))
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_") or "unlabelled"


def _join(scene: Any, *, default: str, named: bool) -> LabelledMesh:
    """Return all placed meshes of a trimesh scene as one."""
    vertices, faces, labels, classes = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)], [], []
    for node in scene.graph.nodes_geometry:
        matrix, key = scene.graph[node]
        part = scene.geometry[key]
        if not len(getattr(part, "faces", ())):
            continue
        # The node is what a modelling program calls the object.
        name = class_name(node) if named else default
        if name not in classes:
            classes.append(name)
        faces.append(np.asarray(part.faces, np.int64) + sum(len(v) for v in vertices))
        vertices.append(np.asarray(part.vertices, np.float64) @ matrix[:3, :3].T + matrix[:3, 3])
        labels.append(np.full(len(part.faces), classes.index(name), np.int32))
    joined = np.concatenate(faces).astype(np.int32)
    label = np.concatenate(labels) if labels else np.zeros(0, np.int32)
    return LabelledMesh(np.concatenate(vertices).astype(np.float32), joined, label, tuple(classes))
