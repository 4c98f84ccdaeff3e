"""The panel: what its buttons do, and how it follows a job without blocking the main thread."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import omni.kit.app
import omni.ui as ui

from . import isaac, kit, sections
from .fields import Fields
from .form import PICTURE_SUFFIXES, TARGETS, VIDEO_SUFFIXES, Form, reasons_against
from .history import Entry, add_to_history, discard_scene_folder, load_history, new_scene_path
from .jobs import Capabilities, Failure, GenRequest, JobError, Result, advice
from .launch import ask_capabilities, launch
from .preferences import Preferences
from .progress_view import ProgressView
from .rows import SPACING
from .session import Session
from .tasks import Tasks
from .threads import in_thread


class Panel:
    """The widgets of one window, over a session that outlives it.

    Attributes:
        fields: Models of the input widgets.
        reasons: Why widgets are disabled.
        preferences: The lasting settings.
        history: Generated scenes, newest first.
    """

    def __init__(self, session: Session) -> None:
        """Prepare; `build` makes the widgets."""
        self.preferences = Preferences.load(kit.settings())
        self.fields = Fields(target=isaac.target_for(kit.kit_version()), preferences=self.preferences)
        self.reasons: dict[str, str] = {}
        self.history = load_history(self.preferences.output)
        self._session = session
        self._can: Capabilities | None = None
        self._tasks = Tasks(self._on_internal_error)
        self._stop_query = threading.Event()
        self._dialog: object | None = None
        self._frames: dict[str, ui.Frame] = {}
        self._loaded: str | None = None

    def build(self) -> None:
        """Build the widgets inside the current frame, and ask lyra-sim what it can do."""
        with ui.ScrollingFrame(), ui.VStack(height=0, spacing=SPACING):
            self._frame("form", sections.build_form)
            with ui.HStack(height=30, spacing=SPACING):
                self._generate = ui.Button("Generate", clicked_fn=self.on_generate)
                self._cancel = ui.Button("Cancel", clicked_fn=self.on_cancel, enabled=False)
                self._ball = ui.Button("Drop a test ball", clicked_fn=self.on_drop_ball, enabled=False)
            self._view = ProgressView()
            with ui.CollapsableFrame("Generated scenes", height=0):
                self._frame("history", sections.build_history)
            with ui.CollapsableFrame("Settings", height=0, collapsed=True):
                self._frame("settings", sections.build_settings)
        if kit.multi_gpu_is_on():
            self._view.say(isaac.MULTI_GPU_PROBLEM)
        self._check_lyra_sim()
        if self._session.busy:
            # The window was closed while a job was ending.
            self._tasks.run(self._follow())

    def destroy(self) -> None:
        """Drop everything of this window; a running job is asked to end, which its session sees to."""
        self._session.cancel()
        self._stop_query.set()
        self._tasks.cancel()
        self._close_dialog()
        self._frames.clear()

    def rebuild_form(self) -> None:
        """Build the form anew, from the same models."""
        self._frames["form"].rebuild()

    # Buttons

    def on_generate(self) -> None:
        """Start a job for what the form holds; a second click while one runs does nothing."""
        if self._session.busy:
            return
        form = self.fields.form()
        request = form.request() if self._can is None else self._can.settle(form.request())
        objections = [] if self._can is None else self._can.objections(request)
        if problem := form.problem() or "; ".join(objections):
            self._view.say(problem)
            return
        self._view.say("")
        try:
            scene = new_scene_path(self.preferences.output, form.title, form.seed)
        except OSError as error:
            self._view.say(
                f"{self.preferences.output}: no scene can be put there ({error.strerror}); see Settings"
            )
            return
        try:
            self._session.start(
                lambda receive: launch(
                    request, scene, preferences=self.preferences, device=form.device, receive=receive
                )
            )
        except JobError as error:
            discard_scene_folder(scene)
            self._say_failure(str(error))
            return
        self._tasks.run(self._generated(form, request, scene))

    def on_cancel(self) -> None:
        """Ask the running job to end."""
        self._session.cancel()
        self._show()

    def on_dice(self) -> None:
        """Choose a seed."""
        self.fields.seed.set_value(random.randrange(2**31))

    def on_pick_file(self) -> None:
        """Let the user choose a picture or a video."""
        source = self.fields.source.word
        suffixes = PICTURE_SUFFIXES if source == "picture" else VIDEO_SUFFIXES
        model = self.fields.picture if source == "picture" else self.fields.video

        def picked(path: str) -> None:
            model.set_value(path)
            self.rebuild_form()

        self._close_dialog()
        self._dialog = kit.pick_file(f"Choose a {source}", suffixes, str(Path.home()), picked)
        if self._dialog is None:
            self._view.say("This application has no file dialog: write the path into the field")

    def on_drop_ball(self) -> None:
        """Drop a ball over the floor of the loaded scene."""
        self._tasks.run(self._drop_ball())

    def on_load(self, entry: Entry) -> None:
        """Put a scene of the history into the stage."""
        self._tasks.run(self._place(self.fields.form(), entry.scene))

    def on_show_folder(self, entry: Entry) -> None:
        """Open a scene's folder."""
        self._try(lambda: kit.show_folder(Path(entry.scene).parent))

    def on_copy_command(self, entry: Entry) -> None:
        """Copy the command that makes a scene again."""
        self._try(lambda: kit.copy_text(entry.command_line))

    def on_save_settings(self) -> None:
        """Keep the settings and ask the lyra-sim they name what it can do."""
        self.preferences = self.fields.preferences()
        self.preferences.save(kit.settings())
        self.history = load_history(self.preferences.output)
        self._frames["history"].rebuild()
        self._check_lyra_sim()

    # Work in the background

    async def _follow(self) -> Result | Failure | None:
        """Show the job's progress until its end."""
        final = None
        while final is None and self._session.busy:
            final = self._session.pump()
            self._show()
            await self._view.show_picture(self._session.preview)
            await omni.kit.app.get_app().next_update_async()
        self._show()
        return final

    async def _generated(self, form: Form, request: GenRequest, scene: Path) -> None:
        final = await self._follow()
        if isinstance(final, Failure):
            discard_scene_folder(scene)
            self._say_failure("Cancelled" if final.cancelled else final.message)
        elif final is not None:
            self._remember(form, request, final)
            await self._place(form, final.scene)

    async def _place(self, form: Form, scene: str) -> None:
        try:
            placed = await kit.place_scene(
                scene, prim_path=form.prim_path, new_stage=form.new_stage, payload=form.payload
            )
        except JobError as error:
            self._say_failure(str(error))
            return
        self._loaded = placed.prim_path
        self._ball.enabled = True
        self._view.say(". ".join([f"Loaded at {placed.prim_path}", *placed.notes]))
        kit.notify(f"Scene loaded at {placed.prim_path}")

    async def _drop_ball(self) -> None:
        try:
            self._view.say(await kit.drop_ball(self._loaded or ""))
        except JobError as error:
            self._view.say(str(error))

    def _check_lyra_sim(self) -> None:
        self._stop_query.set()
        self._stop_query = threading.Event()
        self._can = None
        self.reasons = {}
        self._view.status("Asking lyra-sim what it can do ...")
        self._tasks.run(self._query(self._stop_query))

    async def _query(self, stop: threading.Event) -> None:
        preferences = self.preferences
        try:
            can = await in_thread(lambda: ask_capabilities(preferences, stop=stop))
        except JobError as error:
            if not stop.is_set():
                self._view.status("")
                self._say_failure(str(error))
            return
        if stop.is_set():
            return
        self._can = can
        self.reasons = dict(reasons_against(can))
        where = f"at {preferences.server}" if preferences.server else "on this machine"
        if not self._session.busy:
            self._view.status(f"lyra-sim {can.version} {where} is ready")
        if (
            (why := can.lacks_target(self.fields.target.word))
            and can.targets[:1]
            and can.targets[0] in TARGETS
        ):
            self.fields.target.choose(can.targets[0])
            self._view.say(f"{why}. Chosen instead: {can.targets[0]}")
        self.rebuild_form()

    # Helpers

    def _frame(self, name: str, build: Callable[[Panel], None]) -> None:
        self._frames[name] = ui.Frame(height=0)
        self._frames[name].set_build_fn(partial(build, self))

    def _show(self) -> None:
        self._generate.enabled = not self._session.busy
        self._cancel.enabled = self._session.state == "running"
        self._view.show(self._session)

    def _remember(self, form: Form, request: GenRequest, result: Result) -> None:
        entry = Entry(
            title=form.title,
            seed=form.seed,
            scene=result.scene,
            preview=result.preview,
            command_line=request.command_line(result.scene),
            created=time.time(),
        )
        try:
            self.history = add_to_history(self.preferences.output, entry)
        except OSError as error:
            kit.log(f"The history cannot be written: {error}")
            self.history = [entry, *self.history]
        self._frames["history"].rebuild()

    def _say_failure(self, message: str) -> None:
        hint = advice(message)
        self._view.say(f"{message}. {hint}" if hint else message)
        kit.notify(message, warning=True)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except JobError as error:
            self._view.say(str(error))

    def _close_dialog(self) -> None:
        if self._dialog is not None:
            self._dialog.destroy()  # type: ignore[attr-defined]
            self._dialog = None

    def _on_internal_error(self, error: BaseException) -> None:
        kit.log(f"Internal error: {type(error).__name__}: {error}")
        self._view.say(f"Internal error: {type(error).__name__}: {error}. The simulator's log may say more")
