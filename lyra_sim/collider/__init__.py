"""Collision meshes made from depth that is rendered from the Gaussians."""

from __future__ import annotations

from lyra_sim.collider.floaters import FloaterConfig, drop_floaters, find_floaters
from lyra_sim.collider.floor import Floor, find_floor
from lyra_sim.collider.fuse import ColliderConfig, fuse_depth
from lyra_sim.collider.labels import label_mesh
from lyra_sim.collider.report import ColliderReport
from lyra_sim.collider.tsdf import DepthViews

__all__ = [
    "ColliderConfig",
    "ColliderReport",
    "DepthViews",
    "FloaterConfig",
    "Floor",
    "drop_floaters",
    "find_floaters",
    "find_floor",
    "fuse_depth",
    "label_mesh",
]
