"""The only file that touches Kit besides the widgets: stage, undo, settings, messages. Main thread only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import carb
import carb.settings
import numpy as np
import omni.kit.app
import omni.kit.commands
import omni.kit.undo
import omni.timeline
import omni.usd
from pxr import Gf, Sdf, UsdGeom

from . import isaac
from .floor import collision_triangles, free_spot
from .jobs import JobError, clean_environment
from .scene import SceneFacts, examine_scene, has_physics_scene, into_stage, make_upright_and_metric
from .threads import in_thread

DATA = Path(__file__).resolve().parents[3] / "data"
BALL_RADIUS_M = 0.1
DROP_HEIGHT_M = 1.0


@dataclass(frozen=True)
class Placed:
    """A scene in the stage."""

    prim_path: str
    """Where it is."""
    notes: tuple[str, ...]
    """What the user should know about it."""


def log(message: str) -> None:
    """Write an error to Kit's log."""
    carb.log_error(f"[lyra.sim.panel] {message}")


def settings() -> carb.settings.ISettings:
    """Return Kit's settings."""
    return carb.settings.get_settings()


def kit_version() -> str:
    """Return the version of the running Kit."""
    return omni.kit.app.get_app().get_kit_version()


def notify(message: str, *, warning: bool = False) -> None:
    """Show a passing message over the viewport, where the application can."""
    try:
        import omni.kit.notification_manager as notifications
    except ImportError:
        return
    status = notifications.NotificationStatus
    notifications.post_notification(message, status=status.WARNING if warning else status.INFO)


async def place_scene(scene: str, *, prim_path: str, new_stage: bool, payload: bool) -> Placed:
    """Put a scene into the stage, upright and metric, in one step of undo, and apply its render settings.

    Raises:
        JobError: The open stage has unsaved changes, or Kit cannot add the scene.
    """
    facts = await in_thread(lambda: examine_scene(scene))
    context = omni.usd.get_context()
    if new_stage:
        if context.has_pending_edit():
            raise JobError(
                "The open stage has unsaved changes: save it, then press Load again in the history"
            )
        await context.new_stage_async()
        make_upright_and_metric(context.get_stage())
    stage = context.get_stage()
    if stage is None:
        raise JobError("No stage is open: open or create one, then press Load again in the history")
    path = omni.usd.get_stage_next_free_path(stage, prim_path, False)
    with omni.kit.undo.group():
        _reference(path, scene, payload=payload)
        matrix = into_stage(stage, up_axis=facts.up_axis, meters_per_unit=facts.meters_per_unit)
        if matrix != Gf.Matrix4d(1.0):
            _move(path, _local_matrix(path) * matrix)
    # No await between adding and this: renderers read some settings once, at the first update with splats.
    return Placed(path, tuple(_prepare_rendering(facts)))


async def drop_ball(prim_path: str) -> str:
    """Drop a ball over a free place of a scene's floor and start the simulation; return what to tell the user.

    Raises:
        JobError: There is no such prim, no collider, or no free place.
    """
    stage = omni.usd.get_context().get_stage()
    prim = stage.GetPrimAtPath(prim_path) if stage is not None else None
    if not prim:
        raise JobError("The scene is no longer in the stage: load it again from the history")
    triangles = collision_triangles(prim)
    if not len(triangles):
        raise JobError("The scene has no collider, so the ball would fall through: generate it with one")
    # The search works in metres with Z up, whatever the stage does.
    to_stage = into_stage(stage)
    back = np.array(to_stage.GetInverse())
    metric = triangles @ back[:3, :3] + back[3, :3]
    spot = await in_thread(lambda: free_spot(metric, radius=BALL_RADIUS_M, height=DROP_HEIGHT_M))
    if spot is None:
        raise JobError("There is no free place over the floor for a ball")
    start = Gf.Vec3d(*map(float, spot)) + Gf.Vec3d(0.0, 0.0, DROP_HEIGHT_M)
    with omni.kit.undo.group():
        if not has_physics_scene(stage):
            _reference(_free("/World/PhysicsScene"), str(DATA / "physics_scene.usda"), payload=False)
        path = _free("/World/TestBall")
        _reference(path, str(DATA / "test_ball.usda"), payload=False)
        _move(path, Gf.Matrix4d().SetTranslate(start) * to_stage)
    omni.timeline.get_timeline_interface().play()
    return f"The ball falls at {start[0]:.1f}, {start[1]:.1f} m and should come to rest on the floor; undo removes it"


def prim_exists(path: str | None) -> bool:
    """Tell whether a prim is in the open stage."""
    stage = omni.usd.get_context().get_stage()
    return bool(path and stage is not None and stage.GetPrimAtPath(path))


def pick_file(
    title: str, suffixes: Sequence[str], folder: str, picked: Callable[[str], None]
) -> object | None:
    """Show a file dialog; `picked` gets the path. Returns the dialog, or None where the application has none."""
    try:
        from omni.kit.window.filepicker import FilePickerDialog
    except ImportError:
        return None

    def apply(name: str, directory: str) -> None:
        dialog.hide()
        if name:
            picked(f"{(directory or '').rstrip('/')}/{name}")

    dialog: FilePickerDialog = FilePickerDialog(
        title,
        apply_button_label="Choose",
        click_apply_handler=apply,
        click_cancel_handler=lambda name, directory: dialog.hide(),
        item_filter_fn=lambda item: item.is_folder or item.path.lower().endswith(tuple(suffixes)),
    )
    dialog.show(folder)
    return dialog


def copy_text(text: str) -> None:
    """Put text on the clipboard.

    Raises:
        JobError: The application has no clipboard.
    """
    try:
        import omni.kit.clipboard
    except ImportError as error:
        raise JobError("This application has no clipboard") from error
    omni.kit.clipboard.copy(text)


def show_folder(folder: Path) -> None:
    """Open a folder in the desktop's file browser.

    Raises:
        JobError: The folder is gone, or there is no file browser.
    """
    if not folder.is_dir():
        raise JobError(f"{folder} is no longer there")
    try:
        if sys.platform == "win32":
            os.startfile(folder)
        else:
            # The desktop's programs break under Kit's library paths.
            subprocess.Popen(
                ["xdg-open", str(folder)],
                env=clean_environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
    except OSError as error:
        raise JobError(f"No file browser opens here; the folder is {folder}") from error


def multi_gpu_is_on() -> bool:
    """Tell whether multi-GPU rendering is on, which splats do not bear."""
    return bool(settings().get(isaac.MULTI_GPU))


def _prepare_rendering(facts: SceneFacts) -> list[str]:
    wanted = isaac.carb_settings(facts.render_settings)
    if "nurec" in facts.kinds and facts.has_matte:
        wanted |= isaac.MATTE_SETTINGS
    for path, value in wanted.items():
        if settings().get(path) != value:
            carb.log_warn(
                f"[lyra.sim.panel] Setting {path} from {settings().get(path)!r} to {value!r} for splats"
            )
            settings().set(path, value)
    notes = [isaac.MULTI_GPU_PROBLEM] if multi_gpu_is_on() else _nvidia_setup()
    if hidden := isaac.invisible_here(facts.kinds, kit_version()):
        notes.append(hidden)
    if not facts.has_collider:
        notes.append("The scene has no collider: robots fall through its floor")
    return notes


def _nvidia_setup() -> list[str]:
    """Let Isaac Sim 6's own helper prepare the renderer for the stage; older ones have none."""
    try:
        from isaacsim.replicator.nurec_utils.rendering_setup import setup_for_rendering
    except ImportError:
        return []
    _, _, _, problems = setup_for_rendering(omni.usd.get_context().get_stage())
    return list(problems)


def _reference(path: str, asset: str, *, payload: bool) -> None:
    name = "CreatePayload" if payload else "CreateReference"
    succeeded, _ = omni.kit.commands.execute(
        name,
        usd_context=omni.usd.get_context(),
        path_to=Sdf.Path(path),
        asset_path=asset,
        instanceable=False,
    )
    if not succeeded or not prim_exists(path):
        raise JobError(f"Isaac Sim could not add {asset} at {path}; its log says why")


def _move(path: str, matrix: Gf.Matrix4d) -> None:
    omni.kit.commands.execute("TransformPrim", path=path, new_transform_matrix=matrix)


def _local_matrix(path: str) -> Gf.Matrix4d:
    prim = omni.usd.get_context().get_stage().GetPrimAtPath(path)
    return UsdGeom.Xformable(prim).GetLocalTransformation()


def _free(path: str) -> str:
    return omni.usd.get_stage_next_free_path(omni.usd.get_context().get_stage(), path, False)
