"""The entry point of the extension: a menu item, a window, and a session that ends with either."""

from __future__ import annotations

import carb
import carb.eventdispatcher
import omni.ext
import omni.kit.app
from omni.kit.menu.utils import MenuHelperExtensionFull

from .session import Session
from .window import TITLE, PanelWindow

MENU_GROUP = "Tools/Replicator"


class LyraPanelExtension(omni.ext.IExt, MenuHelperExtensionFull):
    """Registers Tools / Replicator / Lyra Scene Generator."""

    def on_startup(self, ext_id: str) -> None:
        """Register the menu item; the window is built when the user opens it."""
        # Declared before anything that can fail, so that `on_shutdown` can always run.
        self._session: Session | None = None
        self._quit_subscription: object | None = None
        self._has_menu = False
        self._session = Session()
        # Isaac Sim ends without shutting extensions down (fast shutdown), but says so before. The earlier event,
        # that somebody wants to quit, can still be taken back in the dialog about unsaved changes.
        self._quit_subscription = carb.eventdispatcher.get_eventdispatcher().observe_event(
            observer_name="lyra.sim.panel",
            event_name=omni.kit.app.GLOBAL_EVENT_PRE_SHUTDOWN,
            on_event=lambda event: self._end_job(),
        )
        self._has_menu = True
        self.menu_startup(lambda: PanelWindow(self._session), TITLE, TITLE, MENU_GROUP)

    def on_shutdown(self) -> None:
        """Undo whatever `on_startup` did, also when it failed half-way."""
        self._quit_subscription = None
        if self._has_menu:
            self._has_menu = False
            try:
                self.menu_shutdown()
            except Exception as error:
                # The menu helper cannot undo a start of its own that failed in the middle.
                carb.log_warn(f"[lyra.sim.panel] The menu could not be removed: {error}")
        self._end_job()
        self._session = None

    def _end_job(self) -> None:
        if self._session is not None:
            self._session.close()
