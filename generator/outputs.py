"""The files of a request, written together at the end or not at all."""

from __future__ import annotations

import platform
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any

from generator.film.start import describe_start
from generator.keep import Kept, write_keep
from generator.pipeline import LyraPipeline
from generator.preview import contact_sheet, start_and_ends
from generator.request import Request, Run
from generator.sizes import Size
from generator.teachers.teacher import TeacherVideo
from lyra_sim import __version__
from lyra_sim.atomic import atomic_folder, atomic_path
from lyra_sim.convert import with_pieces
from lyra_sim.files.ply import write_ply
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import Scene
from lyra_sim.usd.writer import write_usdz

PREVIEW_SCALE = 2
"""The preview is rendered at this multiple of the teacher's resolution."""


def describe(run: Run, pipeline: LyraPipeline, size: Size, video: TeacherVideo) -> dict[str, Any]:
    """Return where the scene came from; no time or path, so that equal runs give equal files."""
    request = run.request
    packages = ("torch", "diffusers", "numpy", "numba", "embreex", "usd-core", "scikit-image")
    return {
        "generated": True,
        "generator": f"lyra-sim {__version__}",
        "prompt": request.prompt,
        "seed": request.seed,
        "size": size.name,
        "teacher": video.source,
        "frame_px": [size.width, size.height],
        "frames": size.frames,
        "metric": video.metric,
        **({"world_frame": run.report["world_frame"]} if "world_frame" in run.report else {}),
        **({"refine": run.report["refine"]} if "refine" in run.report else {}),
        "camera": describe_start([clip.cameras for clip in video.clips]),
        "checkpoints": pipeline.provenance(),
        "cache_branch": pipeline.decoder.config.cache_branch,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }


def write(run: Run, size: Size, video: TeacherVideo, scene: Scene) -> dict[str, Any]:
    """Write every requested file; they appear together at the end, or not at all."""
    request, paths = run.request, {"scene": str(run.request.out.absolute())}
    with ExitStack() as outputs:
        with run.clock.stage("usd"):
            run.progress.update("usd", 0.0, "writing the USDZ")
            if request.collider_approximation == "pieces":
                notes: list[str] = []
                scene = with_pieces(scene, notes)
                run.progress.note(notes[0])
            write_usdz(
                outputs.enter_context(atomic_path(request.out)),
                scene,
                target=request.target,
                collider_approximation=request.collider_approximation,
            )
        if request.ply:
            write_ply(outputs.enter_context(atomic_path(request.ply, option="--ply")), scene.gaussians)
            paths["ply"] = str(request.ply.absolute())
        if request.preview:
            with run.clock.stage("preview"):
                run.progress.update("preview", 0.0, "rendering the preview")
                picture = request.out.with_suffix(".png")
                outputs.enter_context(atomic_path(picture)).write_bytes(
                    preview(request, size, video, scene.gaussians)
                )
            paths["preview"] = str(picture.absolute())
        report = run.report | {"inputs": scene.provenance, "stages": run.clock.stages}
        if request.keep:
            folder = outputs.enter_context(atomic_folder(request.keep))
            write_keep(folder, Kept(video, scene.gaussians, report))
            paths["keep"] = str(request.keep.absolute())
    seconds = sum(stage["seconds"] for stage in run.clock.stages.values())
    count = len(scene.gaussians)
    message = f"{request.out}: {count:,} Gaussians, size {size.name}, {seconds:.0f} s"
    return {"message": message, "size": size.name, "report": report} | paths


def preview(request: Request, size: Size, video: TeacherVideo, gaussians: Gaussians) -> bytes:
    """Render the conditioning view and the ends of three paths as one picture."""
    names, cameras = start_and_ends([(clip.name, clip.cameras) for clip in video.clips])
    cameras = cameras.resized(cameras.height * PREVIEW_SCALE, cameras.width * PREVIEW_SCALE)
    made_from = repr(request.prompt[:60]) if request.image is None else request.image.name[:60]
    parts = (made_from, f"seed {request.seed}", f"size {size.name}", f"teacher {video.source['teacher']}")
    title = "   ".join((*parts, f"{len(gaussians):,} Gaussians"))
    return contact_sheet(gaussians, cameras, names, title=title)
