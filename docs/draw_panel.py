"""Draw the panel for the docs, and the extension's icon: `python docs/draw_panel.py --picture scene.png`.

No Kit runs here. The panel's own code builds its widgets in the tests' stand-in for Kit, and this script lays them
out and paints them. It is a mock-up: sizes and colours are near those of Isaac Sim, not equal.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
EXTENSION = ROOT / "exts" / "lyra.sim.panel"
WIDTH, MARGIN, SCALE = 470, 8, 2
BACK, FIELD, BUTTON, TEXT, ACCENT = "#343432", "#1f2124", "#4a4a48", "#cccccc", "#76b900"


class Painter:
    """Lays widgets out from top to bottom and paints them."""

    def __init__(self, height: int) -> None:
        """Make an empty picture."""
        self.image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), BACK)
        self._draw = ImageDraw.Draw(self.image)
        self._font = ImageFont.load_default(13 * SCALE)

    def text_width(self, text: str) -> int:
        """Return the width of a line."""
        return int(self._draw.textlength(text, font=self._font) / SCALE) + 2

    def wrap(self, text: str, width: int) -> list[str]:
        """Break a text into lines."""
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and self.text_width(longer) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines

    def height(self, widget: Any, width: int) -> int:
        """Return the height that a widget needs."""
        kind = type(widget).__name__
        if widget.height:
            return int(widget.height)
        if kind == "HStack":
            widths = self.widths(widget, width)
            return max((self.height(c, w) for c, w in zip(widget._children, widths, strict=True)), default=0)
        if kind == "CollapsableFrame":
            return 24 + (0 if widget.collapsed else sum(self.height(c, width - 8) for c in widget._children))
        if kind == "Label":
            return 18 * len(self.wrap(widget.text, width)) if widget.text else 0
        spacing = widget._options.get("spacing", 0)
        heights = [self.height(child, width) for child in widget._children]
        return sum(heights) + spacing * max(sum(h > 0 for h in heights) - 1, 0)

    def widths(self, stack: Any, width: int) -> list[int]:
        """Share the width of a row among its widgets."""
        fixed: list[int | None] = []
        for child in stack._children:
            if type(child).__name__ == "Label" and child.width == 0:
                fixed.append(self.text_width(child.text))
            else:
                fixed.append(int(child.width) if child.width else None)
        spacing = stack._options.get("spacing", 0) * max(len(fixed) - 1, 0)
        share = max(width - spacing - sum(w or 0 for w in fixed), 0) // max(fixed.count(None), 1)
        return [share if w is None else w for w in fixed]

    def paint(self, widget: Any, x: int, y: int, width: int, row: int = 0) -> None:
        """Paint a widget and its children; `row` is the height of the row that it stands in."""
        kind = type(widget).__name__
        height = self.height(widget, width) or row
        getattr(self, f"_{kind.lower()}", self._column)(widget, x, y, width, height)

    def _column(self, widget: Any, x: int, y: int, width: int, height: int) -> None:
        for child in widget._children:
            self.paint(child, x, y, width)
            used = self.height(child, width)
            y += used + (widget._options.get("spacing", 0) if used else 0)

    def _hstack(self, widget: Any, x: int, y: int, width: int, height: int) -> None:
        for child, share in zip(widget._children, self.widths(widget, width), strict=True):
            self.paint(child, x, y, share, height)
            x += share + widget._options.get("spacing", 0)

    def _collapsableframe(self, widget: Any, x: int, y: int, width: int, height: int) -> None:
        self.box(x, y, width, 20, "#23211f")
        self.line(("> " if widget.collapsed else "v ") + widget.title, x + 6, y + 2)
        if not widget.collapsed:
            for child in widget._children:
                self.paint(child, x + 4, y + 24, width - 8)

    def _label(self, widget: Any, x: int, y: int, width: int, height: int) -> None:
        colour = widget.style.get("color", 0xFFCCCCCC)
        rgb = f"#{colour & 255:02x}{colour >> 8 & 255:02x}{colour >> 16 & 255:02x}"
        for number, text in enumerate(self.wrap(widget.text, width)):
            self.line(text, x, y + 2 + 18 * number, rgb)

    def _button(self, widget: Any, x: int, y: int, width: int, height: int) -> None:
        self.box(x, y, width, height or 22, BUTTON if widget.enabled else "#3c3c3a")
        offset = (width - self.text_width(widget.text)) // 2
        self.line(widget.text, x + max(offset, 2), y + ((height or 22) - 18) // 2, self.shade(widget))

    def _stringfield(self, widget: Any, x: int, y: int, width: int, height: int) -> None:
        self.box(x, y, width, height or 22, FIELD)
        self.line(str(widget.model._value), x + 4, y + 2, self.shade(widget))

    _intfield = _stringfield

    def _combobox(self, widget: Any, x: int, y: int, width: int, height: int) -> None:
        self.box(x, y, width, 22, FIELD)
        self.line(widget._labels[widget.model._index._value], x + 4, y + 2, self.shade(widget))
        self.line("v", x + width - 16, y + 2, "#888888")

    def _checkbox(self, widget: Any, x: int, y: int, width: int, height: int) -> None:
        self.box(x + 2, y + 4, 13, 13, FIELD)
        if widget.model._value:
            self.box(x + 5, y + 7, 7, 7, ACCENT if widget.enabled else "#666666")

    def _progressbar(self, widget: Any, x: int, y: int, width: int, height: int) -> None:
        self.box(x, y, width, height, FIELD)
        self.box(x, y, int(width * widget.model._value), height, "#5a7d1a")
        self.line(f"{widget.model._value:.0%}", x + width // 2 - 14, y + 2)

    def _image(self, widget: Any, x: int, y: int, width: int, height: int) -> None:
        self.picture(Image.open(widget._source_url), x, y, width, height or 64)

    def _imagewithprovider(self, widget: Any, x: int, y: int, width: int, height: int) -> None:
        provider = widget._provider
        self.picture(Image.frombytes("RGBA", provider._size, bytes(provider._data)), x, y, width, height)

    def picture(self, picture: Image.Image, x: int, y: int, width: int, height: int) -> None:
        """Paint a picture inside a box, in its own proportions."""
        factor = min(width * SCALE / picture.width, height * SCALE / picture.height)
        size = (max(int(picture.width * factor), 1), max(int(picture.height * factor), 1))
        left = x * SCALE + (width * SCALE - size[0]) // 2
        self.image.paste(picture.convert("RGB").resize(size), (left, y * SCALE))

    def box(self, x: int, y: int, width: int, height: int, colour: str) -> None:
        """Paint a rounded box."""
        corners = [x * SCALE, y * SCALE, (x + max(width, 2)) * SCALE, (y + height) * SCALE]
        self._draw.rounded_rectangle(corners, 3 * SCALE, fill=colour)

    def line(self, text: str, x: int, y: int, colour: str = TEXT) -> None:
        """Paint a line of text."""
        self._draw.text((x * SCALE, y * SCALE), text, fill=colour, font=self._font)

    @staticmethod
    def shade(widget: Any) -> str:
        """Return the text colour of a widget."""
        return TEXT if widget.enabled else "#7d7d7d"


def draw_panel(picture: Path, *, title: str, stages: list[tuple[str, float]]) -> Image.Image:
    """Build the panel while it makes a scene, and paint it."""
    sys.path.insert(0, str(ROOT / "tests"))
    from panel_fake_kit import FakeKit, installed

    kit = FakeKit()
    with installed(kit):
        from lyra.sim.panel import LyraPanelExtension
        from lyra.sim.panel.form import reasons_against
        from lyra.sim.panel.history import Entry
        from lyra.sim.panel.jobs import Capabilities, Progress

        kit.settings["/exts/lyra.sim.panel/command"] = f"{sys.executable} -m lyra_sim"
        kit.settings["/exts/lyra.sim.panel/output_folder"] = "~/lyra-sim-scenes"
        extension = LyraPanelExtension()
        extension.on_startup("lyra.sim.panel")
        kit.click_menu("Tools/Replicator/Lyra Scene Generator")
        panel = kit.windows[0]._panel
        panel._stop_query.set()
        panel.fields.prompt.set_value(title)
        panel.fields.seed.set_value(7)
        panel.reasons = dict(reasons_against(Capabilities.from_json(json.dumps(_capabilities()))))
        panel.history = [Entry(title, seed, str(picture), str(picture), "", 0.0) for seed in (6, 3)]
        panel._frames["history"].rebuild()
        panel.rebuild_form()
        session = panel._session
        now = 0.0
        session._clock = lambda: now
        session.state = "running"
        for count, (stage, seconds) in enumerate(stages):
            left = sum(later for _, later in stages[count + 1 :])
            fraction = now / (now + left + seconds)
            session._advance(Progress(stage, fraction, f"{stage} at work", eta_s=left + seconds))
            now += seconds if left else seconds / 4
        kit.run(panel._view.show_picture(str(picture)))
        panel._show()
        kit.update(2)
        painter = Painter(10)
        frame = kit.windows[0].frame
        painter = Painter(painter.height(frame, WIDTH - 2 * MARGIN) + 30 + MARGIN)
        painter.box(0, 0, WIDTH, 22, "#454545")
        painter.line("Lyra Scene Generator", MARGIN, 3)
        painter.paint(frame, MARGIN, 30, WIDTH - 2 * MARGIN)
        session.state = "idle"
        extension.on_shutdown()
    return painter.image


def draw_icon(side: int = 256) -> Image.Image:
    """Paint the icon: a room of splats with a floor."""
    image = Image.new("RGBA", (side * 4, side * 4), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((40, 40, 984, 984), 160, fill="#20262b")
    draw.polygon([(150, 800), (390, 560), (634, 560), (874, 800)], fill="#3d4b55")
    splats = [(300, 430, 150, "#4fc3f7"), (512, 330, 190, "#76b900"), (730, 440, 140, "#ffb74d")]
    for x, y, radius, colour in splats:
        for ring in range(12, 0, -1):
            size = radius * ring / 12
            shade = Image.new("RGBA", image.size, (0, 0, 0, 0))
            box = (x - size, y - size * 1.3, x + size, y + size * 1.3)
            ImageDraw.Draw(shade).ellipse(box, fill=(*Image.new("RGB", (1, 1), colour).getpixel((0, 0)), 26))
            image = Image.alpha_composite(image, shade)
    draw = ImageDraw.Draw(image)
    draw.ellipse((462, 640, 562, 740), fill="#e8503a")
    return image.resize((side, side), Image.Resampling.LANCZOS)


def _capabilities() -> dict[str, object]:
    from lyra_sim.commands.doctor import capabilities
    from lyra_sim.doctor import examine

    return {**examine(), **capabilities()}


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, required=True, help="preview picture of a generated scene")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    stages = [("load", 4.1), ("world", 1.3), ("teacher", 14.0), ("tokenizer", 6.0), ("decoder", 20.0)]
    panel = draw_panel(args.picture.resolve(), title="narrow warehouse aisle, dim", stages=stages)
    panel.save(ROOT / "docs" / "images" / "panel.png", optimize=True)
    panel.resize((panel.width // 2, panel.height // 2)).save(
        EXTENSION / "data" / "preview.png", optimize=True
    )
    draw_icon().save(EXTENSION / "data" / "icon.png", optimize=True)


if __name__ == "__main__":
    main()
