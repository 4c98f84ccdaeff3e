"""What a scene is before it becomes a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lyra_sim.gaussians import Gaussians


@dataclass(frozen=True)
class TriangleMesh:
    """Hold a triangle mesh; corners run counter-clockwise seen from the outside."""

    vertices: np.ndarray
    """Vertices [m], (N, 3) float32."""
    faces: np.ndarray
    """Vertex indices, (M, 3) int32."""


@dataclass(frozen=True)
class LabelledMesh:
    """Hold a triangle mesh with one semantic class per face."""

    vertices: np.ndarray
    """Vertices [m], (N, 3) float32."""
    faces: np.ndarray
    """Vertex indices, (M, 3) int32."""
    face_label: np.ndarray
    """Index into `classes`, (M,) int32."""
    classes: tuple[str, ...]
    """Semantic class names in snake_case."""


@dataclass(frozen=True)
class Scene:
    """Hold a scene in its world frame: metres, Z up, floor at z = 0, right-handed."""

    gaussians: Gaussians
    """The appearance, in the world frame."""
    collider: TriangleMesh | None = None
    """The surface that a robot touches."""
    proxy: LabelledMesh | None = None
    """The surface that depth, labels and shadows come from."""
    provenance: Mapping[str, object] = field(default_factory=dict)
    """Where everything came from (JSON types only)."""
    collider_kind: str = "fused"
    """How the collider was made: `fused` (from splat depth), `world` (the exact mesh) or `file`."""
    instances: tuple[Mapping[str, object], ...] = ()
    """One table row per object that the generator knows, such as name and label (JSON types only)."""
    pieces: tuple[TriangleMesh, ...] = ()
    """Convex meshes that together stand for the collider; none unless asked for."""
