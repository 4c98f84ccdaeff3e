"""What every stage that we write begins with."""

from __future__ import annotations

from pxr import Usd, UsdGeom, UsdPhysics

from lyra_sim.usd import layout


def begin_stage(stage: Usd.Stage) -> Usd.Prim:
    """Set Z up, metres and kilograms, and return the default prim `/World` that this defines."""
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdPhysics.SetStageKilogramsPerUnit(stage, 1.0)
    world = UsdGeom.Xform.Define(stage, layout.WORLD).GetPrim()
    stage.SetDefaultPrim(world)
    return world
