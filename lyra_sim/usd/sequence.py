"""A small stage that shows scene files one after another: a scene that moves, as most renderers can play it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pxr import Sdf, Usd, UsdGeom

from lyra_sim.usd import layout
from lyra_sim.usd.stage import begin_stage

FRAMES_PER_SECOND = 24.0
"""Frame rate of the published videos."""


def write_sequence(
    path: Path, scenes: Sequence[tuple[float, str]], *, frames_per_second: float = FRAMES_PER_SECOND
) -> None:
    """Write a text stage that shows each scene from its time until that of the next.

    Every set of Gaussians is a file of its own, because no renderer is known to play time-sampled particle
    fields, while samples of visibility play everywhere. A hidden scene would still collide, so only the first
    one's collider is on.

    Args:
        path: File to write, `*.usda`, beside the scenes.
        scenes: Time [frames] and file name of each scene, times rising.
        frames_per_second: How fast the times pass.
    """
    stage = Usd.Stage.CreateInMemory()
    begin_stage(stage)
    stage.SetTimeCodesPerSecond(frames_per_second)
    stage.SetFramesPerSecond(frames_per_second)
    stage.SetStartTimeCode(scenes[0][0])
    stage.SetEndTimeCode(scenes[-1][0])
    for index, (time, name) in enumerate(scenes):
        prim = UsdGeom.Xform.Define(stage, f"{layout.WORLD}/times/t{time:03g}".replace(".", "_"))
        prim.GetPrim().GetReferences().AddReference(f"./{name}")
        visibility = prim.CreateVisibilityAttr()
        for other, (code, _) in enumerate(scenes):
            shown = UsdGeom.Tokens.inherited if other == index else UsdGeom.Tokens.invisible
            visibility.Set(shown, Usd.TimeCode(code))
        visibility.Set(UsdGeom.Tokens.inherited if index == 0 else UsdGeom.Tokens.invisible)
        if index:
            below = layout.COLLIDER.removeprefix(layout.WORLD)
            collider = stage.OverridePrim(f"{prim.GetPath()}{below}")
            collider.CreateAttribute("physics:collisionEnabled", Sdf.ValueTypeNames.Bool).Set(False)
    stage.GetRootLayer().Export(str(path))
