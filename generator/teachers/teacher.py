"""The interface between whatever imagines a scene and the decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from generator.cameras import Cameras
from lyra_sim.scene import TriangleMesh

Progress = Callable[[float, str], None]
"""Called with the fraction done (0..1) and a short message."""


@dataclass(frozen=True)
class Clip:
    """Hold the posed video of one camera path: T frames of H x W pixels."""

    name: str
    """Name of the trajectory (`left`, `clockwise`, ...) or `held_out`."""
    cameras: Cameras
    """T cameras in the teacher's world frame."""
    rgb: np.ndarray
    """Display-referred sRGB, (T, H, W, 3) uint8."""
    depth: np.ndarray
    """z-depth [m], (T, H, W) float32; 0 where nothing was hit."""
    labels: np.ndarray | None = None
    """Index into `TeacherVideo.classes`, (T, H, W) uint8."""
    latents: np.ndarray | None = None
    """Raw tokenizer latents of `rgb`, (C, t, h, w) float32, where the teacher made them: the decoder takes these."""
    start: int = 0
    """Frame of `TeacherVideo.footage` that its first frame belongs to."""

    def moved(self, pose: np.ndarray) -> Clip:
        """Return the clip in another world frame, to which the rigid `pose` (4, 4) maps the present one."""
        return replace(self, cameras=replace(self.cameras, c2w=pose @ self.cameras.c2w))

    def scaled(self, factor: float) -> Clip:
        """Return the clip with all lengths multiplied by `factor`, about the origin of its world frame."""
        c2w = self.cameras.c2w.copy()
        c2w[:, :3, 3] *= factor
        return replace(
            self, cameras=replace(self.cameras, c2w=c2w), depth=(self.depth * factor).astype(np.float32)
        )


@dataclass(frozen=True)
class TeacherVideo:
    """Hold what a teacher made of one conditioning: input clips, and cameras that nothing is decoded from.

    Frame 0 of every input clip is the conditioning frame; only that frame's depth may reach the decoder, or that of
    the footage where there is one.
    """

    clips: tuple[Clip, ...]
    held_out: Clip | None
    classes: tuple[str, ...]
    """Semantic class names; index 0 is `unlabelled`."""
    metric: bool
    """Whether depth and poses are in metres, or known up to one factor only."""
    source: dict[str, object]
    """Provenance: teacher name, kind, words, seed and so on (JSON types only)."""
    instances: tuple[dict[str, object], ...] = ()
    """One row (name, label) per object that the teacher knows."""
    surface: TriangleMesh | None = None
    """The exact surface, where the teacher has one. For colliders on request only; it never reaches the decoder."""
    footage: Clip | None = None
    """The video with depth that the clips were filmed around; its depth may reach the decoder. None for a picture."""

    def moved(self, pose: np.ndarray) -> TeacherVideo:
        """Return the video in another world frame, to which the rigid `pose` (4, 4) maps the present one."""
        held_out = None if self.held_out is None else self.held_out.moved(pose)
        footage = self.footage and self.footage.moved(pose)
        clips = tuple(clip.moved(pose) for clip in self.clips)
        return replace(self, clips=clips, held_out=held_out, footage=footage)

    def scaled(self, factor: float) -> TeacherVideo:
        """Return the video with all lengths multiplied by `factor`; a surface is scaled too."""
        surface = self.surface and TriangleMesh(
            (self.surface.vertices * factor).astype(np.float32), self.surface.faces
        )
        held_out = None if self.held_out is None else self.held_out.scaled(factor)
        footage = self.footage and self.footage.scaled(factor)
        clips = tuple(clip.scaled(factor) for clip in self.clips)
        return replace(self, clips=clips, held_out=held_out, surface=surface, footage=footage)


class Teacher(Protocol):
    """Imagine a scene along camera trajectories."""

    name: str

    def imagine(self, conditioning: object, *, seed: int, progress: Progress | None = None) -> TeacherVideo:
        """Return one clip per trajectory, and held-out frames where the teacher can give them."""
        ...
