"""What a user can choose in the panel, and which of it the lyra-sim at hand can do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .jobs import TRAJECTORIES, Capabilities, GenRequest

Source = Literal["prompt", "picture", "video"]
SOURCES: tuple[Source, ...] = ("prompt", "picture", "video")
SIZES = ("auto", "mini", "full")
DEVICES = ("auto", "cpu", "0", "1", "2", "3")
TARGETS = ("isaac-6", "isaac-5", "both")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
VIDEO_SUFFIXES = (".mp4", ".webm")
DEFAULT_PRIM_PATH = "/World/LyraScene"


@dataclass(frozen=True)
class Form:
    """Everything the panel's widgets hold when Generate is pressed."""

    source: Source = "prompt"
    """What the scene is made from."""
    prompt: str = ""
    """The sentence, when the source is `prompt`."""
    picture: str = ""
    """Path of the picture, when the source is `picture`."""
    video: str = ""
    """Path of the video, when the source is `video`."""
    poses: str = ""
    """Path of its poses; empty when its camera stands still."""
    size: str = "auto"
    """`mini`, `full`, or `auto`."""
    seed: int = 0
    """Same input and seed, same scene."""
    device: str = "auto"
    """`auto`, `cpu`, or the number of a GPU."""
    trajectories: tuple[str, ...] = TRAJECTORIES
    """Camera paths to use."""
    target: str = "isaac-6"
    """Target form of the scene."""
    new_stage: bool = False
    """Whether the scene goes into a new stage instead of the open one."""
    prim_path: str = DEFAULT_PRIM_PATH
    """Where the scene goes in the stage."""
    payload: bool = False
    """Whether the scene is a payload, which can be unloaded, instead of a reference."""
    collider: bool = True
    """Whether the scene gets a collision mesh."""
    labels: bool = True
    """Whether the scene gets class labels."""
    proxy: bool = True
    """Whether the scene gets a matte proxy mesh."""

    def request(self) -> GenRequest:
        """Return the request for lyra-sim."""
        everything = set(self.trajectories) == set(TRAJECTORIES)
        return GenRequest(
            prompt=" ".join(self.prompt.split()) if self.source == "prompt" else "",
            image=self.picture if self.source == "picture" else None,
            video=self.video if self.source == "video" else None,
            video_cameras=(self.poses or None) if self.source == "video" else None,
            seed=self.seed,
            size=self.size,
            trajectories=() if everything else self.trajectories,
            target=self.target,
            collider=self.collider,
            labels=self.labels,
            proxy=self.proxy,
        )

    def problem(self) -> str | None:
        """Say what must be changed before Generate can work, or None."""
        for source, path, suffixes in (
            ("picture", self.picture, PICTURE_SUFFIXES),
            ("video", self.video, VIDEO_SUFFIXES),
        ):
            if self.source == source:
                if not Path(path).is_file():
                    return f"Choose a {source}: {path or 'no file'} is not there"
                if Path(path).suffix.lower() not in suffixes:
                    return f"{Path(path).name}: a {source} must end in {', '.join(suffixes)}"
        if self.source == "video" and self.poses and not Path(self.poses).is_file():
            return f"Poses of the video: {self.poses} is not there"
        if not self.trajectories:
            return "Choose at least one trajectory"
        if not re.fullmatch(r"(/[A-Za-z_][A-Za-z0-9_]*)+", self.prim_path):
            return f"Prim path {self.prim_path!r}: write it like {DEFAULT_PRIM_PATH}"
        return self.request().problem()

    @property
    def title(self) -> str:
        """What a person calls the scene."""
        if self.source == "prompt":
            return " ".join(self.prompt.split())
        return Path(self.picture if self.source == "picture" else self.video).name


def reasons_against(can: Capabilities | None) -> Mapping[str, str]:
    """Say why widgets are disabled.

    Args:
        can: What lyra-sim offers; None while nobody has answered.

    Returns:
        Widget name to reason, for those that must be disabled: `picture`, `video`, `trajectories`, `collider`,
        `labels`, `proxy`, each size as `size:NAME`, each target as `target:NAME`.
    """
    if can is None:
        return {}
    reasons = {
        "picture": can.lacks_option("--image"),
        "video": can.lacks_option("--video"),
        "trajectories": can.lacks_option("--trajectories"),
        "collider": can.lacks_option("--no-collider"),
        "labels": can.lacks_option("--no-labels"),
        "proxy": can.lacks_option("--no-proxy"),
        **{f"size:{size}": can.lacks_size(size) for size in SIZES},
        **{f"target:{target}": can.lacks_target(target) for target in TARGETS},
    }
    return {name: reason for name, reason in reasons.items() if reason}
