"""Batches of scenes as environments in Isaac Lab; Isaac Lab itself is imported only when asked for."""

from __future__ import annotations

from lyra_sim.lab.cfgs import LabScene, SceneCfgs
from lyra_sim.lab.manifest import scene_cfgs, write_module

__all__ = ["LabScene", "SceneCfgs", "scene_cfgs", "write_module"]
