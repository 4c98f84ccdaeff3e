"""What a run starts from: the world that a prompt asks for, or a picture with depth that stands upright."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from generator.depth import load_estimator
from generator.own_path import read_own_path
from generator.pictures import PictureFiles, estimate_depth, load_picture
from generator.pictures.lens import usual_lens
from generator.request import Request, Run
from generator.sizes import Size
from generator.teachers.conditioning import Picture
from generator.teachers.picture_paths import CameraPath
from generator.teachers.procedural import ProceduralTeacher
from generator.teachers.registry import TeacherEntry, teacher_entry
from generator.trajectories import SDG_TRAJECTORIES
from generator.upright import stand_up
from generator.worlds import parse_prompt
from generator.worlds.prompt import WorldSpec
from lyra_sim.errors import LyraSimError


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


def begin(run: Run, size: Size) -> Start:
    """Prepare the start of a run.

    Raises:
        LyraSimError: The prompt, the picture or the teacher cannot be used.
    """
    request = run.request
    entry = teacher_entry(request.teacher or default_teacher(run, size), size.name)
    if entry.start == "world":
        _require_no_picture_options(request, entry.name)
        with run.clock.stage("world"):
            return Start(entry, _understand(run), np.eye(4))
    if request.image is None and size.text_to_image is None:
        with run.clock.stage("world"):
            picture, c2w = _picture_of_prompt(run, size)
        run.report["world_frame"] = {"from": "procedural world"}
    else:
        with run.clock.stage("picture"):
            picture = _picture_of_files(run, size) if request.image else _picture_of_sentence(run, size)
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
    if run.request.image is None and size.text_to_image is None:
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
    run.progress.update("picture", 0.0, f"imagining a picture ({size.text_to_image})")
    made = imagine_picture(request.prompt, size=size, seed=request.seed, networks=run.networks)
    source = {**made.source, "intrinsics_from": "assumed"}
    lens = usual_lens(size.height, size.width)
    picture = Picture(made.rgb, None, lens, source, metric=False, prompt=request.prompt)
    return _with_estimated_depth(run, size, picture)


def _with_estimated_depth(run: Run, size: Size, picture: Picture) -> Picture:
    name = run.request.estimator or size.depth
    run.progress.update("picture", 0.3, f"estimating depth ({name})")
    estimator = run.networks.once(load_estimator, name, size)
    return estimate_depth(picture, estimator, note=lambda sentence: tell(run, sentence))


def _require_prompt(request: Request) -> None:
    if not request.prompt.strip():
        raise LyraSimError("nothing to start from: give a PROMPT or --image")


def _require_no_picture_options(request: Request, teacher: str) -> None:
    if request.image is not None:
        raise LyraSimError(f"--teacher {teacher} films a world of its own and takes no --image")
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
