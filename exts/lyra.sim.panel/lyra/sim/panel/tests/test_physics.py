"""The test ball in a running simulator with physics."""

from __future__ import annotations

import tempfile
from pathlib import Path

import omni.kit.app
import omni.kit.test
import omni.timeline
import omni.usd
from pxr import Usd, UsdGeom, UsdPhysics

from .. import kit


class TestBall(omni.kit.test.AsyncTestCase):
    """Whether the ball shows what it is for."""

    async def test_the_ball_comes_to_rest_on_the_floor(self) -> None:
        """Dropped over a floor at height 0, the ball's centre rests at its radius."""
        from omni.physx import get_physx_interface

        context = omni.usd.get_context()
        await context.new_stage_async()
        with tempfile.TemporaryDirectory() as folder:
            scene = Path(folder) / "floor.usda"
            file = Usd.Stage.CreateNew(str(scene))
            UsdGeom.SetStageUpAxis(file, UsdGeom.Tokens.z)
            UsdGeom.SetStageMetersPerUnit(file, 1.0)
            file.SetDefaultPrim(UsdGeom.Xform.Define(file, "/World").GetPrim())
            mesh = UsdGeom.Mesh.Define(file, "/World/Collider")
            mesh.CreatePointsAttr([(-2, -2, 0), (2, -2, 0), (2, 2, 0), (-2, 2, 0)])
            mesh.CreateFaceVertexCountsAttr([4])
            mesh.CreateFaceVertexIndicesAttr([0, 1, 2, 3])
            UsdPhysics.CollisionAPI.Apply(mesh.GetPrim())
            UsdPhysics.MeshCollisionAPI.Apply(mesh.GetPrim()).CreateApproximationAttr("none")
            file.Save()
            placed = await kit.place_scene(
                str(scene), prim_path="/World/LyraScene", new_stage=True, payload=False
            )
            await kit.drop_ball(placed.prim_path)
            for _ in range(240):
                await omni.kit.app.get_app().next_update_async()
            position = get_physx_interface().get_rigidbody_transformation("/World/TestBall")["position"]
            omni.timeline.get_timeline_interface().stop()
        assert abs(position[2] - kit.BALL_RADIUS_M) < 0.02
