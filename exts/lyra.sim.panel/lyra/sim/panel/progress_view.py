"""The widgets that show a job: bar, status, stages, message, picture."""

from __future__ import annotations

import omni.ui as ui

from . import kit
from .jobs import Result
from .pictures import decode_picture
from .rows import DIM, ROW_HEIGHT, WARNING
from .session import Session, describe_stages, describe_time
from .threads import in_thread


class ProgressView:
    """Shows a session, a status line and a message."""

    def __init__(self) -> None:
        """Build the widgets in the current container."""
        self._fraction = ui.SimpleFloatModel(0.0)
        ui.ProgressBar(model=self._fraction, height=ROW_HEIGHT)
        self._status = ui.Label("", height=0, word_wrap=True)
        self._stages = ui.Label("", height=0, word_wrap=True, style={"color": DIM})
        self._message = ui.Label("", height=0, word_wrap=True, style={"color": WARNING})
        self._picture = ui.Frame(height=0)
        self._shown: str | None = None

    def say(self, message: str) -> None:
        """Show a message that stays until the next one."""
        self._message.text = message

    def status(self, text: str) -> None:
        """Show what is going on."""
        self._status.text = text

    def show(self, session: Session) -> None:
        """Show how far a session's job is."""
        done = isinstance(session.outcome, Result)
        self._fraction.set_value(1.0 if done else session.progress.fraction)
        words = {
            "running": session.progress.message or "Starting lyra-sim ...",
            "cancelling": "Cancelling ...",
            "idle": "Done" if done else "",
        }[session.state]
        times = describe_time(session.elapsed_s, session.progress.eta_s if session.busy else None)
        self.status(f"{words} ({times})" if words else "")
        self._stages.text = describe_stages(session)

    async def show_picture(self, path: str | None) -> None:
        """Show a picture file, unless it is shown already."""
        if path is None or path == self._shown:
            return
        self._shown = path
        try:
            pixels, size = await in_thread(lambda: decode_picture(path))
        except OSError as error:
            kit.log(f"The preview cannot be shown: {error}")
            return
        # Bytes instead of `ui.Image`, which keeps showing what a path held first.
        provider = ui.ByteImageProvider()
        provider.set_bytes_data(pixels, size)
        self._picture.clear()
        with self._picture:
            policy = ui.IwpFillPolicy.IWP_PRESERVE_ASPECT_FIT
            ui.ImageWithProvider(provider, height=size[1], fill_policy=policy)
