"""What a run starts from: the world of a prompt, or a picture or video with depth that stands upright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from generator.depth import load_estimator
from generator.image_settings import ImageSettings
from generator.own_path import read_own_path
from generator.pictures import PictureFiles, estimate_depth, load_picture
from generator.pictures.lens import usual_lens
from generator.request import Request, Run
from generator.sizes import Size
from generator.teachers.conditioning import Footage, Picture
from generator.teachers.picture_paths import CameraPath
from generator.teachers.procedural import ProceduralTeacher
from generator.teachers.registry import TeacherEntry, teacher_entry
from generator.trajectories import SDG_TRAJECTORIES
from generator.upright import stand_up
from generator.videos.start import picture_of_video
from generator.worlds import parse_prompt
from generator.worlds.prompt import WorldSpec
from lyra_sim.errors import LyraSimError
from lyra_sim.usd.sequence import FRAMES_PER_SECOND


@dataclass(frozen=True)
class Start:
    """Hold what the teacher is given, and how its frame lies in the world."""

    entry: TeacherEntry
    """The teacher."""
    conditioning: WorldSpec | Picture
    """What it imagines from; a picture's depth is in the decoder's unit."""
    c2w: np.ndarray
    """Pose of a picture's camera in the world (Z up, floor at z = 0), in the decoder's unit, (4, 4)."""
    unit: float = 1.0
    """Metres, or units of the depth file, in one of the decoder's units."""

    @property
    def footage(self) -> Footage | None:
        """The video that it starts from; None for anything else."""
        return self.conditioning if isinstance(self.conditioning, Footage) else None

    @property
    def frames_per_second(self) -> float:
        """Frame rate of that video [1/s]."""
        return self.footage.frames_per_second if self.footage else FRAMES_PER_SECOND

    def targets(self, times: Sequence[float | None]) -> list[float | None]:
        """Return frames of the video's file as frames of a clip; raises LyraSimError for one that was not taken."""
        return [None if time is None or not self.footage else self.footage.clip_time(time) for time in times]


def begin(run: Run, size: Size) -> Start:
    """Prepare the start of a run.

    Raises:
        LyraSimError: The prompt, the picture or the teacher cannot be used.
    """
    request = run.request
    _require_wanted(request, size)
    entry = teacher_entry(request.teacher or default_teacher(run, size), size.name)
    _require_teacher_for(request, entry)
    if entry.start == "world":
        _require_no_picture_options(request, entry.name)
        with run.clock.stage("world"):
            return Start(entry, _understand(run), np.eye(4))
    if not _has_files(request) and size.text_to_image is None:
        with run.clock.stage("world"):
            picture, c2w = _picture_of_prompt(run, size)
        run.report["world_frame"] = {"from": "procedural world"}
    else:
        with run.clock.stage("picture"):
            picture = _picture(run, size)
        upright = stand_up(picture, camera_height=request.camera_height)
        tell(run, upright.message)
        picture, c2w = picture.scaled(upright.scale), upright.c2w
        picture = replace(picture, metric=picture.metric or request.camera_height is not None)
        run.report["world_frame"] = upright.report
        if not picture.metric:
            tell(
                run,
                "The depth has no known unit: lengths are right up to one factor (--height-of-camera sets it)",
            )
    unit = float(np.median(picture.require_depth())) / size.median_depth
    c2w = c2w.copy()
    c2w[:3, 3] /= unit
    return Start(entry, picture.scaled(1 / unit), c2w, unit)


def default_teacher(run: Run, size: Size) -> str:
    """Return the teacher for a start and a size: prompts at mini have a world of their own, all else a picture.

    Where the size's own picture teacher has no weights, the warp stands in for it, and the output says so.
    """
    if not _has_files(run.request) and size.text_to_image is None:
        return "procedural"
    if size.denoiser.is_file():
        return size.picture_teacher
    tell(
        run,
        f"Teacher {size.picture_teacher} has no weights ({size.denoiser.name}): the warp teacher stands in for it",
    )
    return "warp"


def camera_paths(request: Request, start: Start) -> tuple[CameraPath, ...]:
    """Return the paths to film, in the decoder's order and unit; raises LyraSimError for an unusable file."""
    if request.cameras is None:
        return tuple(path for path in SDG_TRAJECTORIES if path.name in request.trajectories)
    if start.entry.start == "world":
        raise LyraSimError(
            f"--cameras: the {start.entry.name} teacher keeps its own paths; add --image, or --teacher warp"
        )
    return (read_own_path(request.cameras).scaled(1 / start.unit),)


def _understand(run: Run) -> WorldSpec:
    spec = parse_prompt(run.request.prompt, strict=run.request.strict)
    run.progress.note(spec.message)
    return spec


def _picture_of_prompt(run: Run, size: Size) -> tuple[Picture, np.ndarray]:
    """Return the picture of a prompt with depth [m], and its camera's pose in the world [m]."""
    _require_prompt(run.request)
    _require_known_depth(run.request)
    teacher = ProceduralTeacher.for_size(size, trajectories=())
    return teacher.photograph(_understand(run), seed=run.request.seed)


def _has_files(request: Request) -> bool:
    """Return whether a run starts from a picture or a video."""
    return request.image is not None or request.video is not None


def _picture(run: Run, size: Size) -> Picture:
    """Return the picture or footage of a run with depth, from files or from a sentence."""
    if run.request.video is not None:
        return _picture_of_video(run, size)
    return _picture_of_files(run, size) if run.request.image else _picture_of_sentence(run, size)


def _picture_of_video(run: Run, size: Size) -> Picture:
    """Return the footage of the request's video, or a picture where that is all it comes to."""
    request = run.request
    name = request.estimator or size.depth
    picture = picture_of_video(
        request,
        size,
        frames=request.chunks * (size.frames - 1) + 1,
        estimator=lambda: run.networks.once(load_estimator, name, size),
        note=lambda sentence: tell(run, sentence),
        update=partial(run.progress.update, "picture"),
    )
    return replace(picture, prompt=request.prompt)


def _picture_of_files(run: Run, size: Size) -> Picture:
    """Return the picture of the request's files, with depth as measured or estimated."""
    request = run.request
    assert request.image is not None
    run.progress.update("picture", 0.0, f"reading {request.image.name}")

    def note(sentence: str) -> None:
        tell(run, sentence)

    files = PictureFiles(request.image, request.depth, request.depth_unit, request.intrinsics, request.fit)
    picture = load_picture(files, height=size.height, width=size.width, note=note)
    picture = replace(picture, prompt=request.prompt)
    return picture if picture.depth is not None else _with_estimated_depth(run, size, picture)


def _picture_of_sentence(run: Run, size: Size) -> Picture:
    """Return the picture that the size's text-to-image model makes of the prompt, with estimated depth."""
    from generator.text_to_image import imagine_picture

    request = run.request
    _require_prompt(request)
    run.progress.update(
        "picture", 0.0, f"imagining a picture ({request.picture_model or size.text_to_image})"
    )
    made = imagine_picture(
        request.prompt,
        size=size,
        seed=request.seed,
        model=request.picture_model,
        settings=request.picture_settings,
        networks=run.networks,
    )
    source = {**made.source, "intrinsics_from": "assumed"}
    lens = usual_lens(size.height, size.width)
    picture = Picture(made.rgb, None, lens, source, metric=False, prompt=request.prompt)
    return _with_estimated_depth(run, size, picture)


def _with_estimated_depth(run: Run, size: Size, picture: Picture) -> Picture:
    name = run.request.estimator or size.depth
    run.progress.update("picture", 0.3, f"estimating depth ({name})")
    estimator = run.networks.once(load_estimator, name, size)
    return estimate_depth(picture, estimator, note=lambda sentence: tell(run, sentence))


def _require_wanted(request: Request, size: Size) -> None:
    """Raise LyraSimError for options that say nothing about this start and size."""
    if request.times and request.video is None:
        raise LyraSimError("--time belongs to a video: give --video too")
    settled = request.picture_settings == ImageSettings() and request.picture_model is None
    if not settled and size.text_to_image is None:
        raise LyraSimError(
            f"--size {size.name} has no text-to-image model: leave out --picture-prompt, --negative-prompt, "
            "--picture-steps, --picture-guidance and --picture-model"
        )


def _require_teacher_for(request: Request, entry: TeacherEntry) -> None:
    """Raise LyraSimError where the teacher cannot do what is asked of it."""
    if request.video is not None and entry.start == "picture" and not entry.films_videos:
        raise LyraSimError(
            f"--teacher {entry.name} starts from one picture; take another teacher for --video"
        )
    if request.chunks > 1 and not entry.chunks:
        raise LyraSimError(f"--chunks {request.chunks}: the {entry.name} teacher films one clip per path")


def _require_prompt(request: Request) -> None:
    if not request.prompt.strip():
        raise LyraSimError("nothing to start from: give a PROMPT or --image")


def _require_no_picture_options(request: Request, teacher: str) -> None:
    if _has_files(request):
        given = "--video" if request.image is None else "--image"
        raise LyraSimError(f"--teacher {teacher} films a world of its own and takes no {given}")
    _require_known_depth(request)


def _require_known_depth(request: Request) -> None:
    for option, value in (
        ("--height-of-camera", request.camera_height),
        ("--depth-model", request.estimator),
    ):
        if value is not None:
            raise LyraSimError(
                f"{option} is for pictures: a procedural world is known in metres; leave it out"
            )


def tell(run: Run, sentence: str) -> None:
    """Say something to people, and keep it in the report."""
    run.report.setdefault("notes", []).append(sentence)
    run.progress.note(sentence)
