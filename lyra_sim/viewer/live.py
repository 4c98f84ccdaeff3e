"""Show a scene in a browser that is connected to this process (viser)."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lyra_sim.errors import LyraSimError
from lyra_sim.viewer.caption import facts, percent, shares, subtitle, title
from lyra_sim.viewer.colours import as_css, class_colours
from lyra_sim.viewer.exhibit import Exhibit
from lyra_sim.viewer.live_scene import LiveScene
from lyra_sim.viewer.measure import Measure, Section

SLIDER_STEP = 0.01
"""Step of the section box [m]."""


@contextlib.contextmanager
def live_view(exhibit: Exhibit, *, host: str, port: int) -> Iterator[LiveView]:
    """Yield a running viewer and stop it in the end.

    Args:
        exhibit: What to show.
        host: Address to bind.
        port: Port to bind; 0 takes a free one.

    Raises:
        LyraSimError: viser is not installed, or the port is taken.
    """
    viser = require_viser()
    require_free(host, port)
    # viser greets and says goodbye on stdout, which is ours.
    with contextlib.redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host=host, port=port, label="lyra-sim", verbose=False)
    try:
        if port and server.get_port() != port:
            raise LyraSimError(f"--port {port}: was taken by another program; choose another port")
        yield LiveView(server, exhibit)
    finally:
        with contextlib.redirect_stdout(io.StringIO()):
            server.stop()


def require_free(host: str, port: int) -> None:
    """Raise LyraSimError unless `host` and `port` can be bound; viser would quietly take the next port."""
    if not 0 <= port < 1 << 16:
        raise LyraSimError(f"--port {port}: must be between 0 and 65535")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family, reuse_port=False).close()
    except OSError as error:
        reason = error.strerror or error
        raise LyraSimError(f"--port {port}: cannot be used on {host} ({reason}); choose another") from error


def require_viser() -> Any:
    """Return the viser module.

    Raises:
        LyraSimError: It is not installed.
    """
    try:
        import viser
    except ImportError as error:
        raise LyraSimError(
            f"lyra-sim view needs viser ({error}): pip install 'lyra-sim[view]'; --html PAGE needs nothing"
        ) from error
    return viser


class LiveView:
    """Hold the controls of one running viewer."""

    def __init__(self, server: Any, exhibit: Exhibit) -> None:
        self.server = server
        self.exhibit = exhibit
        self.measure = Measure()
        low, high = exhibit.scene.gaussians.means.min(axis=0), exhibit.scene.gaussians.means.max(axis=0)
        self.section = Section(low.astype(float), high.astype(float))
        server.gui.configure_theme(
            dark_mode=True, show_logo=False, show_share_button=False, brand_color=(42, 150, 200)
        )
        self.nodes = LiveScene(server, exhibit)
        self._begin()
        self._panel()
        server.on_client_connect(self._connected)

    @property
    def url(self) -> str:
        """Address of the page."""
        host = self.server.get_host()
        shown = (
            "localhost" if host in ("0.0.0.0", "127.0.0.1", "::") else f"[{host}]" if ":" in host else host
        )
        return f"http://{shown}:{self.server.get_port()}"

    def _begin(self) -> None:
        camera, begin = self.server.initial_camera, self.exhibit.begin
        camera.position, camera.up = begin.c2w[:3, 3], (0.0, 0.0, 1.0)
        camera.look_at = self.exhibit.focus
        camera.fov = begin.vertical_fov

    def _connected(self, client: Any) -> None:
        @client.scene.on_click()
        def _(event: Any) -> None:
            if self.measuring.value:
                self.click(np.array(event.ray_origin), np.array(event.ray_direction))

    def _panel(self) -> None:
        gui = self.server.gui
        gui.add_markdown(f"### {_plain(title(self.exhibit))}\n{_plain(subtitle(self.exhibit))}")
        with gui.add_folder("Show"):
            for name, label in self.nodes.layers.items():
                box = gui.add_checkbox(label, self.nodes.shown[name])
                box.on_update(self._layer_changed(name, box))
            gui.add_markdown(self._legend())
        with gui.add_folder("Measure"):
            self.measuring = gui.add_checkbox("Click two points", False)
            self.answer = gui.add_text("Distance", "", disabled=True)
            self.measuring.on_update(lambda _: self._clear_measure())
        with gui.add_folder("Section box", expand_by_default=False):
            self.sliders = [self._slider(axis) for axis in range(3)]
            gui.add_button("Show all").on_click(lambda _: self._show_all())
        gui.add_button("Reset view").on_click(lambda event: self._reset_view(event.client))
        gui.add_button("Save picture").on_click(lambda event: self._save_picture(event.client))
        gui.add_button("Download scene").on_click(lambda event: self._download(event.client))
        with gui.add_folder("About", expand_by_default=False):
            gui.add_markdown("\n".join(f"- **{name}:** {_plain(text)}" for name, text in facts(self.exhibit)))

    def _legend(self) -> str:
        proxy = self.exhibit.scene.proxy
        if proxy is None:
            return ""
        colour = dict(zip(proxy.classes, class_colours(proxy.classes), strict=True))
        return " ".join(
            f'<span style="color:{as_css(colour[name])}">■</span> {_plain(name.replace("_", " "))} {percent(share)}'
            for name, share in shares(self.exhibit).items()
        )

    def _layer_changed(self, name: str, box: Any) -> Callable[[Any], None]:
        return lambda _: self.nodes.show(name, box.value)

    def _slider(self, axis: int) -> Any:
        low, high = float(self.section.low[axis]), float(self.section.high[axis])
        low, high = np.floor(low / SLIDER_STEP) * SLIDER_STEP, np.ceil(high / SLIDER_STEP) * SLIDER_STEP
        slider = self.server.gui.add_multi_slider(
            f"{'xyz'[axis]} [m]", float(low), float(high), SLIDER_STEP, (float(low), float(high))
        )
        slider.on_update(lambda _: self._cut())
        return slider

    def _cut(self) -> None:
        ends = np.array([slider.value for slider in self.sliders])
        self.section = Section(ends[:, 0], ends[:, 1])
        self.nodes.cut(self.section)

    def _show_all(self) -> None:
        for slider in self.sliders:
            slider.value = (slider.min, slider.max)
        self._cut()

    def click(self, origin: np.ndarray, direction: np.ndarray) -> None:
        """Take the point that a ray meets as an end of the measured distance."""
        point = self.section.first_hit(self.exhibit.scene, origin, direction)
        if point is None:
            self.answer.value = "nothing there"
            return
        self.measure = self.measure.with_point(point)
        self.answer.value = self.measure.text()
        self.nodes.draw_measure(self.measure)

    def _clear_measure(self) -> None:
        self.measure = Measure()
        self.answer.value = "click a point" if self.measuring.value else ""
        self.nodes.draw_measure(self.measure)

    def _reset_view(self, client: Any) -> None:
        begin = self.exhibit.begin
        with client.atomic():
            client.camera.position = begin.c2w[:3, 3]
            client.camera.look_at = self.exhibit.focus
            client.camera.up_direction = (0.0, 0.0, 1.0)
            client.camera.fov = begin.vertical_fov

    def _save_picture(self, client: Any) -> None:
        from PIL import Image

        picture = client.get_render(
            client.camera.image_height, client.camera.image_width, transport_format="png", timeout=60
        )
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        client.send_file_download(f"{self.exhibit.path.stem}.png", buffer.getvalue(), save_immediately=True)

    def _download(self, client: Any) -> None:
        client.send_file_download(
            self.exhibit.path.name, self.exhibit.path.read_bytes(), save_immediately=True
        )


def _plain(text: str) -> str:
    """Return text that Markdown and HTML show as it is."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\`*_{}[]()#+!|~$" else c for c in escaped)
