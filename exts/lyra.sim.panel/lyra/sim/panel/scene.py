"""Facts about a scene file, and how it stands upright and metric in any stage. Needs `pxr`, no Kit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .jobs import JobError

if TYPE_CHECKING:
    from pxr import Gf, Usd


@dataclass(frozen=True)
class SceneFacts:
    """What a scene file holds."""

    up_axis: str
    """`Y` or `Z`."""
    meters_per_unit: float
    """Length of one unit [m]."""
    kinds: frozenset[str]
    """Which forms of splats, of `particle_field` and `nurec`."""
    has_collider: bool
    """Whether a mesh in it collides."""
    has_matte: bool
    """Whether a mesh in it is a matte object."""
    render_settings: Mapping[str, object] = field(default_factory=dict)
    """The `renderSettings` of its root layer."""


def examine_scene(path: str) -> SceneFacts:
    """Read the facts; splat data is not loaded.

    Raises:
        JobError: The file cannot be opened, or a reference to it would show nothing.
    """
    from pxr import Tf, Usd, UsdGeom, UsdPhysics

    try:
        stage = Usd.Stage.Open(path)
    except Tf.ErrorException as error:
        raise JobError(f"{path}: is not a USD file that this simulator can open") from error
    if not stage.GetDefaultPrim():
        raise JobError(f"{path}: has no default prim, so a reference to it would show nothing")
    prims = list(stage.Traverse())
    settings = stage.GetRootLayer().customLayerData.get("renderSettings", {})
    return SceneFacts(
        up_axis=str(UsdGeom.GetStageUpAxis(stage)),
        meters_per_unit=float(UsdGeom.GetStageMetersPerUnit(stage)),
        kinds=frozenset(filter(None, map(_kind, prims))),
        has_collider=any(prim.HasAPI(UsdPhysics.CollisionAPI) for prim in prims),
        has_matte=any(_flag(prim, "primvars:isMatteObject") for prim in prims),
        render_settings=dict(settings),
    )


def is_upright_and_metric(stage: Usd.Stage) -> bool:
    """Tell whether a stage is Z up with 1 m units, as Isaac Sim's are."""
    from pxr import UsdGeom

    metric = abs(UsdGeom.GetStageMetersPerUnit(stage) - 1.0) < 1e-9
    return UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z and metric


def make_upright_and_metric(stage: Usd.Stage) -> None:
    """Set a new, empty stage to Z up and metres."""
    from pxr import UsdGeom

    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)


def into_stage(stage: Usd.Stage, *, up_axis: str = "Z", meters_per_unit: float = 1.0) -> Gf.Matrix4d:
    """Return the matrix from a file's axes and units to a stage's (row vectors: p_stage = p_file * M).

    USD converts neither when a file is referenced.
    """
    from pxr import Gf, UsdGeom

    matrix = Gf.Matrix4d(1.0)
    stage_up = str(UsdGeom.GetStageUpAxis(stage))
    if stage_up != up_axis:
        angle = -90.0 if stage_up == "Y" else 90.0
        matrix.SetRotate(Gf.Rotation(Gf.Vec3d.XAxis(), angle))
    scale = meters_per_unit / float(UsdGeom.GetStageMetersPerUnit(stage))
    return matrix * Gf.Matrix4d().SetScale(scale)


def has_physics_scene(stage: Usd.Stage) -> bool:
    """Tell whether a stage has a physics scene, without which nothing falls."""
    from pxr import UsdPhysics

    return any(prim.IsA(UsdPhysics.Scene) for prim in stage.Traverse())


def _kind(prim: Usd.Prim) -> str | None:
    # Type names instead of classes: some Kit builds have the schema without its Python binding.
    name = str(prim.GetTypeName())
    if name.startswith("ParticleField"):
        return "particle_field"
    nurec = name == "OmniNuRecFieldAsset" or (name == "Volume" and _flag(prim, "omni:nurec:isNuRecVolume"))
    return "nurec" if nurec else None


def _flag(prim: Usd.Prim, name: str) -> bool:
    attribute = prim.GetAttribute(name)
    return bool(attribute and attribute.Get())
