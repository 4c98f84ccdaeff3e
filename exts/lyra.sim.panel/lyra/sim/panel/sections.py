"""The parts of the panel, from top to bottom; each builds its widgets from what the panel holds."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import omni.ui as ui

from .history import Entry
from .jobs import TRAJECTORIES
from .rows import DIM, LABEL_WIDTH, ROW_HEIGHT, SPACING, choice_row, label, note, switch, text_row

if TYPE_CHECKING:
    from .panel import Panel

SOURCE_NAMES = ("Prompt", "Picture", "Video")
SIZE_NAMES = ("Automatic", "mini (CPU, embedded networks)", "full (CUDA, published weights)")
DEVICE_NAMES = ("Automatic", "CPU", "GPU 0", "GPU 1", "GPU 2", "GPU 3")
TARGET_NAMES = ("Isaac Sim 6 (ParticleField)", "Isaac Sim 5 (NuRec volume)", "both")
PLACEMENT_NAMES = ("Reference in the open stage", "Payload in the open stage", "New stage")


def build_form(panel: Panel) -> None:
    """Build all that is chosen before Generate."""
    with ui.VStack(height=0, spacing=SPACING):
        _build_source(panel)
        _build_options(panel)
        _build_scene(panel)


def _build_source(panel: Panel) -> None:
    fields, reasons = panel.fields, panel.reasons
    source = fields.source.word
    choice_row("From", fields.source, SOURCE_NAMES, reasons=reasons, changed=panel.rebuild_form)
    if source == "prompt":
        with ui.HStack(height=3 * ROW_HEIGHT, spacing=SPACING):
            label("Prompt")
            ui.StringField(
                model=fields.prompt, multiline=True, tooltip="Kind of place, and words for its look"
            )
        return
    enabled = source not in reasons
    with ui.HStack(height=ROW_HEIGHT, spacing=SPACING):
        label(source.capitalize())
        model = fields.picture if source == "picture" else fields.video
        ui.StringField(model=model, enabled=enabled)
        ui.Button("...", width=30, enabled=enabled, clicked_fn=panel.on_pick_file, tooltip="Choose a file")
    if source == "video":
        text_row(
            "Poses", fields.poses, tooltip="transforms.json or TUM file; empty if the camera stands still"
        )
    path = model.as_string.strip()
    if source == "picture" and Path(path).is_file():
        with ui.HStack(height=120):
            ui.Spacer(width=LABEL_WIDTH)
            ui.Image(path, fill_policy=ui.FillPolicy.PRESERVE_ASPECT_FIT)


def _build_options(panel: Panel) -> None:
    fields, reasons = panel.fields, panel.reasons
    choice_row("Size", fields.size, SIZE_NAMES, reasons=reasons, prefix="size:", changed=panel.rebuild_form)
    with ui.HStack(height=ROW_HEIGHT, spacing=SPACING):
        label("Seed")
        ui.IntField(model=fields.seed)
        ui.Button("Dice", width=50, clicked_fn=panel.on_dice, tooltip="Another seed, another scene")
    if not panel.preferences.server:
        choice_row("Device", fields.device, DEVICE_NAMES)
        note("GPU memory is shared with the renderer of this simulator")
    reason = reasons.get("trajectories")
    for title, names in (("Trajectories", TRAJECTORIES[:3]), ("", TRAJECTORIES[3:])):
        with ui.HStack(height=ROW_HEIGHT, spacing=SPACING):
            label(title)
            for name in names:
                switch(name.replace("_", " "), fields.trajectories[name], reason=reason)
            ui.Spacer()
    if reason:
        note(reason)
    choice_row(
        "Made for", fields.target, TARGET_NAMES, reasons=reasons, prefix="target:", changed=panel.rebuild_form
    )


def _build_scene(panel: Panel) -> None:
    fields, reasons = panel.fields, panel.reasons
    switches = {"collider": "Collider", "labels": "Labels", "proxy": "Matte proxy"}
    with ui.HStack(height=ROW_HEIGHT, spacing=SPACING):
        label("With")
        for name, text in switches.items():
            switch(text, getattr(fields, name), reason=reasons.get(name))
        ui.Spacer()
    if missing := [reasons[name] for name in switches if name in reasons]:
        note("; ".join(missing))
    choice_row("Put it as", fields.placement, PLACEMENT_NAMES)
    text_row("Prim path", fields.prim_path, tooltip="A number is added when the path is taken")


def build_history(panel: Panel) -> None:
    """Build the list of generated scenes."""
    with ui.VStack(height=0, spacing=SPACING):
        if not panel.history:
            ui.Label("Scenes that you generate are listed here", height=ROW_HEIGHT, style={"color": DIM})
        for entry in panel.history:
            _build_entry(panel, entry)


def _build_entry(panel: Panel, entry: Entry) -> None:
    there = Path(entry.scene).is_file()
    with ui.HStack(height=64, spacing=SPACING):
        if entry.preview and Path(entry.preview).is_file():
            ui.Image(entry.preview, width=96, fill_policy=ui.FillPolicy.PRESERVE_ASPECT_FIT)
        else:
            ui.Spacer(width=96)
        with ui.VStack(height=0, spacing=SPACING):
            ui.Label(f"{entry.title} (seed {entry.seed})", height=ROW_HEIGHT, tooltip=entry.scene)
            with ui.HStack(height=ROW_HEIGHT, spacing=SPACING):
                why = "" if there else "The file is no longer there"
                ui.Button("Load again", enabled=there, clicked_fn=partial(panel.on_load, entry), tooltip=why)
                ui.Button("Show folder", clicked_fn=partial(panel.on_show_folder, entry))
                ui.Button("Copy command", clicked_fn=partial(panel.on_copy_command, entry))


def build_settings(panel: Panel) -> None:
    """Build the lasting settings."""
    fields = panel.fields
    with ui.VStack(height=0, spacing=SPACING):
        text_row("lyra-sim", fields.command, tooltip="Path of the lyra-sim command, or a whole command")
        text_row(
            "Server",
            fields.server,
            tooltip="Address of `lyra-sim serve`; empty: run lyra-sim on this machine",
        )
        text_row("Token file", fields.token_file, tooltip="File that holds the server's token")
        text_row("Scenes go to", fields.output_folder)
        with ui.HStack(height=ROW_HEIGHT, spacing=SPACING):
            ui.Spacer(width=LABEL_WIDTH)
            ui.Button("Save and check", clicked_fn=panel.on_save_settings)
