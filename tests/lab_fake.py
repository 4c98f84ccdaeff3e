"""Strict stand-ins for the parts of Isaac Lab that configurations are made of, for both generations.

Fields and defaults are those of the sources of Isaac Lab 2.3.2 (its wheel) and 3.0 (its repository). An unknown
field is an error, as it is with the real `configclass`.
"""

from __future__ import annotations

import dataclasses
import sys
from types import ModuleType
from typing import Any

import pytest


def _cfg(name: str, fields: dict[str, Any]) -> type:
    made = [
        (key, Any) if value is dataclasses.MISSING else (key, Any, dataclasses.field(default=value))
        for key, value in fields.items()
    ]
    return dataclasses.make_dataclass(name, made, kw_only=True)


REQUIRED = dataclasses.MISSING
_FILE = {"func": None, "visible": True, "semantic_tags": None, "copy_from_source": True, "mass_props": None}
_FILE |= {"rigid_props": None, "collision_props": None, "activate_contact_sensors": False, "scale": None}
_FILE |= {"articulation_props": None, "joint_drive_props": None, "visual_material": None, "variants": None}
_ASSET = {"class_type": None, "prim_path": REQUIRED, "spawn": None, "init_state": None, "collision_group": 0}
_TERRAIN = {"class_type": None, "collision_group": -1, "prim_path": REQUIRED, "num_envs": 1}
_TERRAIN |= {"terrain_type": "generator", "terrain_generator": None, "usd_path": None, "env_spacing": None}
_TERRAIN |= {
    "use_terrain_origins": True,
    "visual_material": None,
    "physics_material": None,
    "debug_vis": False,
}
_SCENE = {
    "num_envs": REQUIRED,
    "env_spacing": REQUIRED,
    "lazy_sensor_update": True,
    "replicate_physics": True,
}
_SCENE |= {"filter_collisions": True, "clone_in_fabric": False}


def install(patch: pytest.MonkeyPatch, generation: int) -> None:
    """Put the stand-ins of generation 2 or 3 where Isaac Lab's modules are looked for."""
    multi = _FILE | {"usd_path": REQUIRED, "random_choice": True}
    scene = dict(_SCENE)
    if generation == 3:
        multi |= {"spawn_paths": None}
        scene |= {"random_heterogeneous_cloning": False}
    modules: dict[str, dict[str, Any]] = {
        "isaaclab": {},
        "isaaclab.assets": {"AssetBaseCfg": _cfg("AssetBaseCfg", _ASSET | {"debug_vis": False})},
        "isaaclab.sim": {
            "UsdFileCfg": _cfg("UsdFileCfg", _FILE | {"usd_path": REQUIRED}),
            "MultiUsdFileCfg": _cfg("MultiUsdFileCfg", multi),
        },
        "isaaclab.scene": {"InteractiveSceneCfg": _cfg("InteractiveSceneCfg", scene)},
        "isaaclab.terrains": {"TerrainImporterCfg": _cfg("TerrainImporterCfg", _TERRAIN)},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        patch.setitem(sys.modules, name, module)
