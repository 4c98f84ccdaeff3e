"""The teachers by name: what each starts from, at which sizes, and where its class is."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from generator.networks import Networks
from generator.sizes import Size
from generator.teachers.picture_paths import CameraPath
from generator.teachers.teacher import Teacher
from lyra_sim.errors import LyraSimError

Start = Literal["world", "picture"]


@dataclass(frozen=True)
class TeacherEntry:
    """Say what a teacher needs; nothing heavy is imported for it."""

    name: str
    start: Start
    """What it imagines from: the `WorldSpec` of a prompt, or a `Picture` with depth."""
    sizes: tuple[str, ...]
    """Sizes that it works at."""
    place: str
    """`module:class`; the class has a constructor `for_size` (see `TeacherClass`)."""
    summary: str
    """What it is, for the help page."""
    films_videos: bool = True
    """Whether one that starts from a picture takes a video too."""
    chunks: bool = False
    """Whether it can go on after a clip."""


class TeacherClass(Protocol):
    """What the registry asks of a teacher's class."""

    def for_size(
        self, size: Size, *, trajectories: tuple[CameraPath, ...], movement: float, networks: Networks
    ) -> Teacher:
        """Return the teacher at the resolution, frame count and weights of a size.

        Args:
            size: Size of the chain.
            trajectories: Camera paths, one clip each, in the decoder's order.
            movement: Factor on every path's movement distance.
            networks: Loads its weights.

        Raises:
            LyraSimError: Its weights are missing or damaged.
        """
        ...


TEACHERS: tuple[TeacherEntry, ...] = (
    TeacherEntry(
        "procedural",
        "world",
        ("mini", "full"),
        "generator.teachers.procedural:ProceduralTeacher",
        "a furnished world, filmed by ray casting; prompts only",
    ),
    TeacherEntry(
        "warp",
        "picture",
        ("mini", "full"),
        "generator.teachers.warp:WarpTeacher",
        "the picture warped by its depth, holes filled from the background; imagines nothing",
    ),
    TeacherEntry(
        "mini",
        "picture",
        ("mini",),
        "generator.teachers.gen3c.teacher:Gen3CTeacher",
        "the warp completed by a small GEN3C that runs on a CPU",
        chunks=True,
    ),
    TeacherEntry(
        "gen3c",
        "picture",
        ("full",),
        "generator.teachers.gen3c.teacher:Gen3CTeacher",
        "the warp completed by GEN3C-Cosmos-7B",
        chunks=True,
    ),
    TeacherEntry(
        "sana-wm",
        "picture",
        ("full",),
        "generator.teachers.sana_wm:SanaWMTeacher",
        "SANA-WM, which follows the camera path without a warp",
        films_videos=False,
    ),
)


def teacher_entry(name: str, size: str) -> TeacherEntry:
    """Return a teacher's entry.

    Raises:
        LyraSimError: There is no such teacher, or it does not work at this size.
    """
    for entry in TEACHERS:
        if entry.name == name:
            if size not in entry.sizes:
                fit = ", ".join(e.name for e in TEACHERS if size in e.sizes)
                raise LyraSimError(f"--teacher {name} does not run at --size {size}; choose from {fit}")
            return entry
    raise LyraSimError(
        f"--teacher {name}: no such teacher; choose from {', '.join(e.name for e in TEACHERS)}"
    )


def load_teacher(
    entry: TeacherEntry,
    size: Size,
    *,
    trajectories: tuple[CameraPath, ...],
    movement: float = 1.0,
    chunks: int = 1,
    networks: Networks | None = None,
) -> Teacher:
    """Import the class of a teacher and make one for a size; raises LyraSimError as `for_size` does.

    More than one clip per path, `chunks`, is for teachers whose entry says so.
    """
    module, _, name = entry.place.partition(":")
    made: TeacherClass = getattr(importlib.import_module(module), name)
    teacher = made.for_size(
        size, trajectories=trajectories, movement=movement, networks=networks or Networks()
    )
    return replace(teacher, chunks=chunks) if chunks > 1 else teacher  # type: ignore[type-var]
