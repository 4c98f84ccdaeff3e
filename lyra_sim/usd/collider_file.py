"""A collider alone in a USD layer, for importers that want one mesh and nothing else."""

from __future__ import annotations

from pathlib import Path

from pxr import Sdf, Usd, UsdGeom

from lyra_sim.scene import TriangleMesh
from lyra_sim.usd import layout
from lyra_sim.usd.meshes import author_collider
from lyra_sim.usd.stage import begin_stage
from lyra_sim.usd.writer import export_layer


def write_collider(path: Path, mesh: TriangleMesh) -> None:
    """Write a layer (metres, Z up) whose default prim holds the visible, static mesh; equal meshes, equal bytes.

    Raises:
        LyraSimError: The mesh has no triangles or is not finite.
        OSError: The file cannot be written.
    """
    layer = Sdf.Layer.CreateAnonymous(".usdc")
    stage = Usd.Stage.Open(layer)
    begin_stage(stage)
    author_collider(stage, mesh)
    # Beside the splats the collider is hidden; alone it is what there is to see.
    UsdGeom.Imageable(stage.GetPrimAtPath(layout.COLLIDER)).CreateVisibilityAttr(UsdGeom.Tokens.inherited)
    export_layer(layer, path)
