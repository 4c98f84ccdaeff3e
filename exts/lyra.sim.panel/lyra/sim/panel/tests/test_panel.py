"""The panel in a running Kit: its menu item, its window, a scene in the stage."""

from __future__ import annotations

import tempfile
from pathlib import Path

import omni.kit.app
import omni.kit.test
import omni.kit.ui_test as ui_test
import omni.kit.undo
import omni.ui as ui
import omni.usd
from pxr import Usd, UsdGeom

from .. import kit
from ..extension import MENU_GROUP
from ..window import TITLE


class TestPanel(omni.kit.test.AsyncTestCase):
    """What a user does first."""

    async def setUp(self) -> None:
        """Start from a new stage."""
        await omni.usd.get_context().new_stage_async()
        await self.frames()

    async def tearDown(self) -> None:
        """Close the window if a test left it open."""
        if ui.Workspace.get_window(TITLE) is not None:
            await ui_test.menu_click(f"{MENU_GROUP}/{TITLE}")
            await self.frames()

    async def frames(self, count: int = 5) -> None:
        """Let the application run."""
        for _ in range(count):
            await omni.kit.app.get_app().next_update_async()

    async def test_the_menu_item_opens_and_closes_the_window(self) -> None:
        """The window has Generate, enabled, and Cancel, disabled; a second click on the menu closes it."""
        await ui_test.menu_click(f"{MENU_GROUP}/{TITLE}")
        await self.frames()
        assert ui.Workspace.get_window(TITLE) is not None
        generate = ui_test.find(f"{TITLE}//Frame/**/Button[*].text=='Generate'")
        cancel = ui_test.find(f"{TITLE}//Frame/**/Button[*].text=='Cancel'")
        assert generate.widget.enabled
        assert not cancel.widget.enabled
        await ui_test.menu_click(f"{MENU_GROUP}/{TITLE}")
        await self.frames()
        assert ui.Workspace.get_window(TITLE) is None

    async def test_a_scene_is_placed_and_undone_in_one_step(self) -> None:
        """A scene appears at the asked path, composed, and one undo removes it."""
        with tempfile.TemporaryDirectory() as folder:
            scene = Path(folder) / "scene.usda"
            file = Usd.Stage.CreateNew(str(scene))
            UsdGeom.SetStageUpAxis(file, UsdGeom.Tokens.z)
            UsdGeom.SetStageMetersPerUnit(file, 1.0)
            file.SetDefaultPrim(UsdGeom.Xform.Define(file, "/World").GetPrim())
            UsdGeom.Cube.Define(file, "/World/Cube")
            file.Save()
            placed = await kit.place_scene(
                str(scene), prim_path="/World/LyraScene", new_stage=False, payload=False
            )
            stage = omni.usd.get_context().get_stage()
            assert stage.GetPrimAtPath(f"{placed.prim_path}/Cube")
            omni.kit.undo.undo()
            assert not stage.GetPrimAtPath(placed.prim_path)
