"""What the teachers that start from a picture share: its check, paths around it, and what is kept of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from generator.teachers.conditioning import Footage, Picture
from generator.teachers.picture_paths import CENTER_SHARE, CameraPath, PlannedPath, plan_paths
from generator.teachers.teacher import Clip, TeacherVideo
from generator.trajectories import SDG_TRAJECTORIES
from lyra_sim.errors import LyraSimError


@dataclass(kw_only=True)
class PictureTeacher:
    """Hold the frames and camera paths of a teacher that starts from a picture with depth."""

    name: str
    height: int = 176
    """Picture height [px]."""
    width: int = 320
    """Picture width [px]."""
    frames: int = 17
    """Frames per clip; frame 0 is the picture itself."""
    trajectories: tuple[CameraPath, ...] = SDG_TRAJECTORIES
    """Camera paths, one clip each."""
    movement: float = 1.0
    """Factor on every path's movement distance."""
    center_share: float = CENTER_SHARE
    """Depth that the paths turn around, over the picture's median depth."""

    def checked(self, conditioning: object) -> Picture:
        """Return the conditioning; raises LyraSimError when it is no picture of this size."""
        if not isinstance(conditioning, Picture):
            raise LyraSimError(
                f"the {self.name} teacher needs a Picture, not a {type(conditioning).__name__}"
            )
        if (conditioning.height, conditioning.width) != (self.height, self.width):
            raise LyraSimError(
                f"the {self.name} teacher works at {self.width}x{self.height} px, not "
                f"{conditioning.width}x{conditioning.height}"
            )
        return conditioning

    def plan(self, picture: Picture, *, seed: int, frames: int | None = None) -> tuple[PlannedPath, ...]:
        """Return the cameras of every path, of one clip's frames unless told otherwise; see `plan_paths`."""
        return plan_paths(
            picture,
            self.trajectories,
            frames=self.frames if frames is None else frames,
            movement=self.movement,
            seed=seed,
            center_share=self.center_share,
        )

    def path_record(self, picture: Picture, paths: Sequence[PlannedPath]) -> dict[str, object]:
        """Return the part of a video's provenance that says what was filmed, and how far the paths go."""
        return {
            "picture": picture.source,
            "movement": self.movement,
            "distances": {path.name: round(path.distance, 6) for path in paths},
        }


def picture_video(picture: Picture, clips: Sequence[Clip], source: dict[str, object]) -> TeacherVideo:
    """Return the video of clips around a picture: nothing is held out, and no class is known."""
    return TeacherVideo(
        clips=tuple(clips),
        held_out=None,
        classes=("unlabelled",),
        metric=picture.metric,
        source=source,
        footage=picture.video if isinstance(picture, Footage) else None,
    )
