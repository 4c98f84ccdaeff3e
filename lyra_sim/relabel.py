"""Give a scene's proxy the class labels that a person asks for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from lyra_sim.errors import LyraSimError
from lyra_sim.files.meshes import GLTF, SUFFIXES, read_named_mesh
from lyra_sim.scene import LabelledMesh, Scene, TriangleMesh

UNLABELLED = "unlabelled"
"""Class of faces that nothing names."""

REACH = 0.25
"""Largest distance [m] over which a face takes the class of a named mesh."""

SAMPLES = 300_000
"""Points on a named mesh that faces are compared with."""

MAX_MAPPING_BYTES = 1 << 20


def with_labels(scene: Scene, labels: str) -> Scene:
    """Return the scene with another proxy.

    Args:
        scene: Scene in metres, Z up.
        labels: `keep`; `none`; a `.json` file that maps the proxy's classes to others (null: unlabelled); a glTF
            file whose objects are named by class, in the scene's frame; anything else is one class for all.

    Raises:
        LyraSimError: A file is missing or damaged, names no class of the scene, or there is nothing to label.
    """
    if labels == "keep":
        return scene
    if labels == "none":
        return replace(scene, proxy=None)
    suffix = Path(labels).suffix.lower()
    if suffix == ".json":
        return replace(scene, proxy=rename_classes(scene.proxy, Path(labels)))
    if scene.collider is None:
        raise LyraSimError(f"--labels {labels}: there is no collider to label")
    if suffix in SUFFIXES and suffix not in GLTF:
        raise LyraSimError(f"--labels {labels}: names of parts are read from .glb and .gltf files")
    if suffix in GLTF:
        return replace(scene, proxy=label_by_parts(scene.collider, read_named_mesh(labels)))
    label = np.zeros(len(scene.collider.faces), np.int32)
    return replace(scene, proxy=LabelledMesh(scene.collider.vertices, scene.collider.faces, label, (labels,)))


def rename_classes(proxy: LabelledMesh | None, path: Path) -> LabelledMesh:
    """Return the proxy with its classes renamed by the JSON object in a file; several may become one.

    Raises:
        LyraSimError: There is no proxy, the file is not such an object, or it names a class that does not occur.
    """
    if proxy is None:
        raise LyraSimError(f"--labels {path}: the input has no labels to rename")
    mapping = _read_mapping(path)
    unknown = sorted(set(mapping) - set(proxy.classes))
    if unknown:
        raise LyraSimError(
            f"--labels {path}: class {unknown[0]!r} does not occur; the input has {', '.join(proxy.classes)}"
        )
    names = [mapping.get(name, name) or UNLABELLED for name in proxy.classes]
    classes = tuple(dict.fromkeys(names))
    index = np.array([classes.index(name) for name in names], np.int32)
    return replace(proxy, classes=classes, face_label=index[proxy.face_label])


def label_by_parts(mesh: TriangleMesh, named: LabelledMesh) -> LabelledMesh:
    """Return `mesh` with every face in the class of the nearest part of `named` within `REACH`."""
    import trimesh
    from scipy.spatial import cKDTree

    parts = trimesh.Trimesh(named.vertices, named.faces, process=False)
    points, face = trimesh.sample.sample_surface(parts, SAMPLES, seed=0)
    centroids = mesh.vertices[mesh.faces].mean(axis=1)
    distance, nearest = cKDTree(points).query(centroids, distance_upper_bound=REACH)
    near = np.isfinite(distance)
    label = np.zeros(len(mesh.faces), np.int32)
    label[near] = named.face_label[face[nearest[near]]] + 1
    if not label.any():
        raise LyraSimError(
            f"no part of the labels' mesh lies within {REACH} m of the scene; are both in metres, in one frame?"
        )
    return LabelledMesh(mesh.vertices, mesh.faces, label, (UNLABELLED, *named.classes))


def _read_mapping(path: Path) -> dict[str, str | None]:
    try:
        if path.stat().st_size > MAX_MAPPING_BYTES:
            raise LyraSimError(f"--labels {path}: too large for a map of classes")
        mapping = json.loads(path.read_bytes())
    except OSError as error:
        raise LyraSimError(f"--labels: cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise LyraSimError(f"--labels {path}: is not JSON ({str(error)[:60]})") from error
    good = isinstance(mapping, dict) and all(
        v is None or (isinstance(v, str) and v) for v in mapping.values()
    )
    if not good:
        raise LyraSimError(f'--labels {path}: write an object such as {{"shelf": "rack", "box": null}}')
    return mapping
