"""Rows of widgets in one look: label left, input right, the reason below when an input is disabled."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import omni.ui as ui

from .fields import Choice

LABEL_WIDTH = 90
ROW_HEIGHT = 22
SPACING = 4
DIM = 0xFF8A8A8A
WARNING = 0xFF4FC3F7  # colours are 0xAABBGGRR: an amber


def label(text: str) -> None:
    """Build the label of a row."""
    ui.Label(text, width=LABEL_WIDTH)


def note(text: str) -> None:
    """Build a line of explanation."""
    with ui.HStack(height=0, spacing=SPACING):
        ui.Spacer(width=LABEL_WIDTH)
        ui.Label(text, word_wrap=True, style={"color": DIM})


def text_row(text: str, model: ui.AbstractValueModel, *, enabled: bool = True, tooltip: str = "") -> None:
    """Build a row with a line of text."""
    with ui.HStack(height=ROW_HEIGHT, spacing=SPACING):
        label(text)
        ui.StringField(model=model, enabled=enabled, tooltip=tooltip)


def choice_row(
    text: str,
    choice: Choice,
    names: tuple[str, ...],
    *,
    reasons: Mapping[str, str] | None = None,
    prefix: str = "",
    changed: Callable[[], None] | None = None,
) -> None:
    """Build a row with a list to choose from; what cannot be used is marked, with the reason once it is chosen.

    Args:
        text: Label of the row.
        choice: What is chosen; changed by the widget.
        names: What people read for each of the choice's words.
        reasons: Why some words cannot be used; keys are `prefix` and the word.
        prefix: See `reasons`.
        changed: Called after the choice has changed.
    """
    why = [(reasons or {}).get(prefix + word) for word in choice.words]
    marked = [f"{name} - not available" if reason else name for name, reason in zip(names, why, strict=True)]
    with ui.HStack(height=ROW_HEIGHT, spacing=SPACING):
        label(text)
        combo = ui.ComboBox(choice.index, *marked)

    def choose(model: ui.AbstractItemModel, item: object) -> None:
        choice.index = model.get_item_value_model().as_int
        if changed is not None:
            changed()

    combo.model.add_item_changed_fn(choose)
    if reason := why[choice.index]:
        note(reason)


def switch(text: str, model: ui.AbstractValueModel, *, reason: str | None = None) -> None:
    """Build a check box with its name, disabled with the reason as its tooltip."""
    tooltip = reason or ""
    ui.CheckBox(model=model, width=18, enabled=reason is None, tooltip=tooltip)
    style = {"color": DIM} if reason else {}
    ui.Label(text, width=0, style=style, tooltip=tooltip)
