"""The window that holds the panel."""

from __future__ import annotations

import omni.ui as ui
from omni.kit.menu.utils import MenuHelperWindow

from .panel import Panel
from .session import Session

TITLE = "Lyra Scene Generator"


class PanelWindow(MenuHelperWindow):
    """The panel, docked beside Property; closing it cancels the running job."""

    def __init__(self, session: Session) -> None:
        """Build the window."""
        super().__init__(TITLE, width=460, height=760)
        self._panel: Panel | None = None
        self.deferred_dock_in("Property", ui.DockPolicy.DO_NOTHING)
        panel = Panel(session)
        self._panel = panel
        with self.frame:
            panel.build()

    def destroy(self) -> None:
        """Drop the panel and the window."""
        if self._panel is not None:
            self._panel.destroy()
            self._panel = None
        super().destroy()
