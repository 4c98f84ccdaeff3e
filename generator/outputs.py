"""The files of a request, written together at the end or not at all."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from generator.film.start import describe_start
from generator.keep import Kept, write_keep
from generator.pipeline import LyraPipeline
from generator.preview import contact_sheet, start_and_ends
from generator.request import Request, Run
from generator.sizes import Size
from generator.teachers.teacher import TeacherVideo
from generator.times import file_for, write_index
from lyra_sim import __version__
from lyra_sim.atomic import atomic_folder, atomic_path
from lyra_sim.convert import with_pieces
from lyra_sim.files.ply import write_ply
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import Scene
from lyra_sim.usd.writer import write_usdz

PREVIEW_SCALE = 2
"""The preview is rendered at this multiple of the teacher's resolution."""
PER_TIME = ("gaussians", "collider", "refine")
"""Entries of the report that every target time of a scene that moves has its own of."""


def describe(
    run: Run, pipeline: LyraPipeline, size: Size, video: TeacherVideo, time: float | None = None
) -> dict[str, Any]:
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
        **({} if time is None else {"time": time}),
        "metric": video.metric,
        **({"world_frame": run.report["world_frame"]} if "world_frame" in run.report else {}),
        **({"refine": run.report["refine"]} if "refine" in run.report else {}),
        "camera": describe_start([clip.cameras for clip in video.clips]),
        "checkpoints": pipeline.provenance(),
        "cache_branch": pipeline.decoder.config.cache_branch,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }


class Files:
    """Write the files of a request to where they wait for one another; as a context they appear at its end, or none."""

    def __init__(self, run: Run, size: Size, times: Sequence[float | None]) -> None:
        """Begin with no file; `times` are the target times [frames] of a scene that moves, or None alone."""
        self._run, self._size = run, size
        self._times = [time for time in times if time is not None]
        self._outputs = ExitStack()
        self._paths: dict[str, list[str]] = {}
        self._counts: list[int] = []

    def __enter__(self) -> Files:
        """Begin."""
        return self

    def __exit__(self, *error: Any) -> None:
        """Move all files into their places, or remove them when something failed."""
        self._outputs.__exit__(*error)

    def add(self, video: TeacherVideo, scene: Scene, time: float | None) -> None:
        """Write the files of one scene; `--keep` shows the first."""
        run, request = self._run, self._run.request
        with run.clock.stage("usd"):
            run.progress.update("usd", 0.0, "writing the USDZ")
            if request.collider_approximation == "pieces":
                notes: list[str] = []
                scene = with_pieces(scene, notes)
                run.progress.note(notes[0])
            write_usdz(
                self._place("scene", request.out, time),
                scene,
                target=request.target,
                collider_approximation=request.collider_approximation,
            )
        if request.ply:
            write_ply(self._place("ply", request.ply, time, option="--ply"), scene.gaussians)
        if request.preview:
            with run.clock.stage("preview"):
                run.progress.update("preview", 0.0, "rendering the preview")
                picture = preview(request, self._size, video, scene.gaussians)
                self._place("preview", request.out.with_suffix(".png"), time).write_bytes(picture)
        if request.keep and not self._counts:
            folder = self._outputs.enter_context(atomic_folder(request.keep))
            report = run.report | {"inputs": scene.provenance, "stages": run.clock.stages}
            write_keep(folder, Kept(video, scene.gaussians, report))
            self._paths["keep"] = [str(request.keep.absolute())]
        self._counts.append(len(scene.gaussians))
        self._provenance = scene.provenance
        if time is not None:
            found = {name: run.report[name] for name in PER_TIME if name in run.report}
            run.report.setdefault("times", []).append({"time": time, **found})

    def add_index(self, *, frames_per_second: float) -> None:
        """Write the stage that plays the scenes of several times."""
        out = self._run.request.out
        index = write_index(self._outputs, out, self._times, frames_per_second=frames_per_second)
        self._paths["sequence"] = [index]

    def result(self) -> dict[str, Any]:
        """Return the fields of the result message."""
        run, out = self._run, self._run.request.out
        seconds = sum(stage["seconds"] for stage in run.clock.stages.values())
        where = f"{out}" if len(self._counts) == 1 else f"{len(self._counts)} scenes beside {out}"
        message = f"{where}: {self._counts[0]:,} Gaussians, size {self._size.name}, {seconds:.0f} s"
        report = run.report | {"inputs": self._provenance, "stages": run.clock.stages}
        paths = {kind: found[0] for kind, found in self._paths.items()}
        scenes = {"scenes": self._paths["scene"]} if len(self._counts) > 1 else {}
        return {"message": message, "size": self._size.name, "report": report} | paths | scenes

    def _place(self, kind: str, path: Path, time: float | None, *, option: str = "--out") -> Path:
        """Return where a file of a time waits, and note where it will lie."""
        place = file_for(path, time, self._times)
        self._paths.setdefault(kind, []).append(str(place.absolute()))
        return self._outputs.enter_context(atomic_path(place, option=option))


def preview(request: Request, size: Size, video: TeacherVideo, gaussians: Gaussians) -> bytes:
    """Render the conditioning view and the ends of three paths as one picture."""
    names, cameras = start_and_ends([(clip.name, clip.cameras) for clip in video.clips])
    cameras = cameras.resized(cameras.height * PREVIEW_SCALE, cameras.width * PREVIEW_SCALE)
    file = request.image or request.video
    made_from = repr(request.prompt[:60]) if file is None else file.name[:60]
    parts = (made_from, f"seed {request.seed}", f"size {size.name}", f"teacher {video.source['teacher']}")
    title = "   ".join((*parts, f"{len(gaussians):,} Gaussians"))
    unit = "m" if video.metric else "units"
    return contact_sheet(gaussians, cameras, names, title=title, unit=unit)
