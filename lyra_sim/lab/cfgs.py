"""Isaac Lab configurations for generated scenes.

`lyra-sim lab-cfg` writes this very file with a list of scenes at its end, so it needs nothing but the standard
library, and Isaac Lab (2.2 and newer, 3.x) once a configuration is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isaaclab.assets import AssetBaseCfg
    from isaaclab.sim import UsdFileCfg
    from isaaclab.terrains import TerrainImporterCfg

CLASS_TAG = [("class", "environment")]
"""Semantic tag of a whole spawned scene; its proxy's parts carry their own classes."""


@dataclass(frozen=True)
class LabScene:
    """One generated scene: Z up, floor at z = 0; in metres where `metric`."""

    id: str
    """Id in the manifest."""
    split: str
    """`train`, `validation` or `test`."""
    prompt: str
    """What it was made from."""
    usd_path: str
    """The scene: splats, collider, labelled proxy."""
    collider_path: str | None
    """The collider alone; None for a scene without one."""
    spawn_points: tuple[tuple[float, float, float], ...]
    """Collision-free robot poses: x, y [m] on the floor and yaw [rad] in the scene's frame."""
    low: tuple[float, float, float]
    """Least corner of what is seen [m]."""
    high: tuple[float, float, float]
    """Greatest corner of what is seen [m]."""
    metric: bool = True
    """False for a picture of unknown unit: its lengths are right up to one factor."""


class SceneCfgs(Sequence[LabScene]):
    """Scenes of a batch, and Isaac Lab configurations that spawn them."""

    def __init__(self, scenes: Sequence[LabScene]) -> None:
        """Take the scenes in the manifest's order."""
        self.scenes = tuple(scenes)

    def __getitem__(self, index: Any) -> Any:
        """Return a scene, or a `SceneCfgs` of several."""
        return SceneCfgs(self.scenes[index]) if isinstance(index, slice) else self.scenes[index]

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.scenes)

    def usd_file(self, index: int = 0) -> UsdFileCfg:
        """Return the spawner of one scene."""
        from isaaclab.sim import UsdFileCfg

        return UsdFileCfg(usd_path=self.scenes[index].usd_path, semantic_tags=list(CLASS_TAG))

    def one_for_all(self, index: int = 0, *, prim_path: str = "/World/Scene") -> AssetBaseCfg:
        """Return one scene that all environments share: the safe way with splats.

        It lies outside the environments' namespace, so nothing clones its splats, and in the global collision
        group, so the robots of all environments touch its collider. Set `env_spacing` to 0 and spawn each robot
        at one of the scene's `spawn_points`; robots of different environments do not touch one another.
        """
        from isaaclab.assets import AssetBaseCfg

        return AssetBaseCfg(prim_path=prim_path, spawn=self.usd_file(index), collision_group=-1)

    def one_per_environment(
        self, *, random_choice: bool = False, prim_path: str = "{ENV_REGEX_NS}/Scene"
    ) -> AssetBaseCfg:
        """Return a scene for every environment: number i modulo the count, or a random one.

        Limits: give `InteractiveSceneCfg` what `environment_options` returns. Physics cannot be replicated then,
        so setting up is slow, `scene.filter_collisions()` is yours to call, and the Newton backend of 3.x cannot
        do it. NuRec volumes (target isaac-5) in cloned environments gave corrupt pictures in Isaac Sim 5.1
        (IsaacLab#4569). Isaac Lab 3.x ignores `random_choice` here and reads it from `environment_options`.
        """
        from isaaclab.assets import AssetBaseCfg
        from isaaclab.sim import MultiUsdFileCfg

        spawn = MultiUsdFileCfg(
            usd_path=[scene.usd_path for scene in self.scenes],
            random_choice=random_choice,
            semantic_tags=list(CLASS_TAG),
        )
        return AssetBaseCfg(prim_path=prim_path, spawn=spawn)

    def environment_options(self, *, random_choice: bool = False, margin: float = 2.0) -> dict[str, Any]:
        """Return arguments of `InteractiveSceneCfg` that `one_per_environment` needs.

        Args:
            random_choice: Whether environments get random scenes instead of one after the other.
            margin: Free space between neighbouring scenes [m].
        """
        from isaaclab.scene import InteractiveSceneCfg

        spans = [scene.high[axis] - scene.low[axis] for scene in self.scenes for axis in (0, 1)]
        options = {"env_spacing": max(spans, default=0.0) + margin, "replicate_physics": False}
        # From 3.x on the choice belongs to the whole interactive scene.
        if hasattr(InteractiveSceneCfg, "random_heterogeneous_cloning"):
            options["random_heterogeneous_cloning"] = random_choice
        return options

    def terrain(self, index: int = 0, *, prim_path: str = "/World/ground") -> TerrainImporterCfg:
        """Return a terrain importer for one scene's collider, without splats.

        Not for the scene itself: some versions import the first mesh of a file only, and a splat scene loaded
        so shows nothing (IsaacLab#3295). Height scanners can be given `prim_path`.

        Raises:
            ValueError: The scene has no collider.
        """
        from isaaclab.terrains import TerrainImporterCfg

        path = self.scenes[index].collider_path
        if path is None:
            raise ValueError(f"scene {self.scenes[index].id} has no collider; generate it with one")
        return TerrainImporterCfg(prim_path=prim_path, terrain_type="usd", usd_path=path, env_spacing=0.0)


def from_rows(rows: Sequence[Sequence[Any]]) -> SceneCfgs:
    """Return scenes from rows of the fields of `LabScene`."""
    names = [field.name for field in fields(LabScene)]
    return SceneCfgs([LabScene(**dict(zip(names, row, strict=True))) for row in rows])
