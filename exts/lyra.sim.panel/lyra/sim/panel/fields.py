"""The widget models of the form; they outlive the widgets, which are rebuilt."""

from __future__ import annotations

import omni.ui as ui

from .form import DEFAULT_PRIM_PATH, DEVICES, SIZES, SOURCES, TARGETS, Form
from .jobs import TRAJECTORIES
from .preferences import Preferences


class Choice:
    """One of a few words, for `ui.ComboBox`, whose own model dies with the widget.

    Attributes:
        words: What can be chosen.
        index: What is chosen.
    """

    def __init__(self, words: tuple[str, ...], chosen: str) -> None:
        """Choose a word."""
        self.words = words
        self.choose(chosen)

    def choose(self, word: str) -> None:
        """Choose a word."""
        self.index = self.words.index(word)

    @property
    def word(self) -> str:
        """The chosen word."""
        return self.words[self.index]


class Fields:
    """The models of every input widget."""

    def __init__(self, *, target: str, preferences: Preferences) -> None:
        """Make models with default values; `target` suits the running Isaac Sim."""
        self.source = Choice(SOURCES, "prompt")
        self.prompt = ui.SimpleStringModel("warehouse aisle")
        self.picture = ui.SimpleStringModel("")
        self.video = ui.SimpleStringModel("")
        self.poses = ui.SimpleStringModel("")
        self.size = Choice(SIZES, "auto")
        self.seed = ui.SimpleIntModel(0)
        self.device = Choice(DEVICES, "auto")
        self.trajectories = {name: ui.SimpleBoolModel(True) for name in TRAJECTORIES}
        self.target = Choice(TARGETS, target)
        self.placement = Choice(("reference", "payload", "new stage"), "reference")
        self.prim_path = ui.SimpleStringModel(DEFAULT_PRIM_PATH)
        self.collider = ui.SimpleBoolModel(True)
        self.labels = ui.SimpleBoolModel(True)
        self.proxy = ui.SimpleBoolModel(True)
        self.command = ui.SimpleStringModel(preferences.command)
        self.server = ui.SimpleStringModel(preferences.server)
        self.token_file = ui.SimpleStringModel(preferences.token_file)
        self.output_folder = ui.SimpleStringModel(str(preferences.output))

    def form(self) -> Form:
        """Return what the widgets hold."""
        return Form(
            source=self.source.word,  # type: ignore[arg-type]
            prompt=self.prompt.as_string,
            picture=self.picture.as_string.strip(),
            video=self.video.as_string.strip(),
            poses=self.poses.as_string.strip(),
            size=self.size.word,
            seed=self.seed.as_int,
            device=self.device.word,
            trajectories=tuple(name for name, model in self.trajectories.items() if model.as_bool),
            target=self.target.word,
            new_stage=self.placement.word == "new stage",
            prim_path=self.prim_path.as_string.strip(),
            payload=self.placement.word == "payload",
            collider=self.collider.as_bool,
            labels=self.labels.as_bool,
            proxy=self.proxy.as_bool,
        )

    def preferences(self) -> Preferences:
        """Return the lasting settings that the widgets hold."""
        return Preferences(
            command=self.command.as_string.strip(),
            server=self.server.as_string.strip(),
            token_file=self.token_file.as_string.strip(),
            output_folder=self.output_folder.as_string.strip(),
        )
