"""What a person asks for, as the command line of `lyra-sim gen`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

TRAJECTORIES = ("left", "right", "up", "zoom_out", "zoom_in", "clockwise")
"""Camera paths of the decoder, in its order."""
INPUTS = ("image", "depth", "video", "depth_video", "video_cameras")
"""Fields of a request that name files; a server gets them as uploads."""


@dataclass(frozen=True)
class GenRequest:
    """One scene to generate; options at their defaults put nothing on the command line."""

    prompt: str = ""
    """What to make; needed unless a picture or a video is given."""
    image: str | None = None
    """Path of a picture to start from."""
    video: str | None = None
    """Path of a video to start from."""
    depth: str | None = None
    """Path of the picture's depth map."""
    depth_video: str | None = None
    """Path of the video's depth."""
    video_cameras: str | None = None
    """Path of the video's poses; without them its camera must stand still."""
    video_frames: str | None = None
    """Part of the video to take, `FIRST:LAST`."""
    time: float | None = None
    """Frame of the video to make the scene of, in place of all of it."""
    depth_unit: str | None = None
    """`mm` or `m`; None means what is usual for the kind of file."""
    intrinsics: str | None = None
    """The fx,fy,cx,cy [px] of the picture or the video."""
    squeeze: bool = False
    """Whether picture or video are squeezed into the shape of the frames instead of cropped."""
    camera_height: float | None = None
    """True height above the floor of the camera of the picture, or of the video's first frame [m]."""
    teacher: str | None = None
    """Name of the teacher; None means lyra-sim's own choice."""
    movement: float = 1.0
    """Factor on the movement of the cameras."""
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
    preview: bool = True
    """Whether a picture is made of the scene."""
    strict: bool = False
    """Whether an unknown prompt is an error."""

    def problem(self) -> str | None:
        """Say what is wrong with the request itself, or None."""
        if not (self.prompt.strip() or self.image or self.video):
            return 'Nothing to make: write a prompt such as "warehouse aisle", or choose a picture'
        if self.image and self.video:
            return "A picture and a video are both given: choose one"
        if problem := self._belongings():
            return problem
        if not 0 < self.movement < 1000:
            return f"Movement {self.movement}: must be a positive number"
        if not 0 <= self.seed < 2**63:
            return f"Seed {self.seed}: must be 0 or more and below 2^63"
        if unknown := [name for name in self.trajectories if name not in TRAJECTORIES]:
            return f"Trajectory {unknown[0]!r} is unknown: choose from {', '.join(TRAJECTORIES)}"
        return None

    def _belongings(self) -> str | None:
        """Say what is given without that which it belongs to, or None."""
        if self.depth and not self.image:
            return "A depth map belongs to a picture: choose one"
        if not (self.image or self.video) and (self.intrinsics or self.camera_height is not None):
            return "Lens and camera height belong to a picture or a video: choose one"
        if not self.video and (
            self.depth_video or self.video_cameras or self.video_frames or self.time is not None
        ):
            return "Depth, poses, frames and time of a video are given, but no video: choose one"
        if self.depth_unit and not (self.depth or self.depth_video):
            return "The unit of the depth is given, but no depth"
        if self.video_frames and not re.fullmatch(r"\d{1,9}:\d{1,9}", self.video_frames):
            return f"Frames {self.video_frames!r}: write them like 0:120"
        return None

    def options(self) -> Iterator[tuple[str, str | None]]:
        """Yield each long option that differs from the default, with its value."""
        if self.image:
            yield "--image", self.image
        if self.video:
            yield "--video", self.video
        for option, value in (
            ("--depth", self.depth),
            ("--depth-video", self.depth_video),
            ("--video-cameras", self.video_cameras),
            ("--video-frames", self.video_frames),
            ("--time", None if self.time is None else f"{self.time:g}"),
            ("--depth-unit", self.depth_unit),
            ("--intrinsics", self.intrinsics),
            ("--height-of-camera", self.camera_height),
            ("--teacher", self.teacher),
        ):
            if value is not None:
                yield option, str(value)
        if self.movement != 1.0:
            yield "--movement", str(self.movement)
        if self.squeeze:
            yield "--squeeze", None
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
            (self.preview, "--no-preview"),
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
