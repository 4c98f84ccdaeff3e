"""What a person asks for, as the command line of `lyra-sim gen`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

TRAJECTORIES = ("left", "right", "up", "zoom_out", "zoom_in", "clockwise")
"""Camera paths of the decoder, in its order."""


@dataclass(frozen=True)
class GenRequest:
    """One scene to generate; options at their defaults put nothing on the command line."""

    prompt: str = ""
    """What to make; needed unless a picture or a video is given."""
    image: str | None = None
    """Path of a picture to start from."""
    video: str | None = None
    """Path of a video to start from."""
    seed: int = 0
    """Same input and seed, same scene."""
    size: str = "auto"
    """`mini`, `full`, or `auto`."""
    trajectories: tuple[str, ...] = ()
    """Camera paths to use; empty means lyra-sim's own choice."""
    target: str | None = None
    """Target form, such as `isaac-6`; None means lyra-sim's default."""
    collider: bool = True
    """Whether the scene gets a collision mesh."""
    labels: bool = True
    """Whether the scene gets class labels."""
    proxy: bool = True
    """Whether the scene gets a matte proxy mesh, the source of depth, labels and shadows."""
    strict: bool = False
    """Whether an unknown prompt is an error."""

    def problem(self) -> str | None:
        """Say what is wrong with the request itself, or None."""
        if not (self.prompt.strip() or self.image or self.video):
            return 'Nothing to make: write a prompt such as "warehouse aisle", or choose a picture'
        if self.image and self.video:
            return "A picture and a video are both given: choose one"
        if not 0 <= self.seed < 2**63:
            return f"Seed {self.seed}: must be 0 or more and below 2^63"
        if unknown := [name for name in self.trajectories if name not in TRAJECTORIES]:
            return f"Trajectory {unknown[0]!r} is unknown: choose from {', '.join(TRAJECTORIES)}"
        return None

    def options(self) -> Iterator[tuple[str, str | None]]:
        """Yield each long option that differs from the default, with its value."""
        if self.image:
            yield "--image", self.image
        if self.video:
            yield "--video", self.video
        if self.seed:
            yield "--seed", str(self.seed)
        if self.size != "auto":
            yield "--size", self.size
        if self.trajectories:
            yield "--trajectories", ",".join(self.trajectories)
        if self.target:
            yield "--target", self.target
        for wanted, option in (
            (self.collider, "--no-collider"),
            (self.labels, "--no-labels"),
            (self.proxy, "--no-proxy"),
        ):
            if not wanted:
                yield option, None
        if self.strict:
            yield "--strict", None

    def arguments(self, out: str, *, progress: str | None = "json") -> list[str]:
        """Return the words after `lyra-sim`; a prompt that begins with a dash stays a prompt."""
        words = ["gen", "--out", out]
        for option, value in self.options():
            words += [option] if value is None else [f"{option}={value}"]
        if progress is not None:
            words += ["--progress", progress]
        return [*words, "--", self.prompt] if self.prompt else words

    def command_line(self, out: str) -> str:
        """Return the command that repeats this request in a terminal."""
        return shlex.join(["lyra-sim", *self.arguments(out, progress=None)])
