"""From a sentence, a picture or a video to scene files: the whole chain, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from generator.assemble import assemble
from generator.inputs import conditioning_depth
from generator.networks import Networks
from generator.outputs import Files, describe
from generator.pipeline import LyraPipeline
from generator.refine import refine
from generator.request import Request, Run
from generator.sizes import Size, resolve
from generator.start import Start, begin, camera_paths, tell
from generator.teachers.registry import load_teacher
from generator.teachers.teacher import TeacherVideo
from generator.to_world import to_world
from lyra_sim.collider.floaters import drop_floaters
from lyra_sim.convert import move_scene
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians
from lyra_sim.progress import Progress
from lyra_sim.transform import Similarity

LEAST_SEEN = 0.35
"""Share of a frame that a picture should show; less is said to the user."""


def generate(request: Request, progress: Progress, *, networks: Networks | None = None) -> dict[str, Any]:
    """Generate a scene, write the files of the request and return the fields of the result message.

    Args:
        request: What to generate and where.
        progress: Told about every stage.
        networks: What is loaded already; callers that make many scenes hand on the same one.

    Raises:
        LyraSimError: The prompt, a file, a path, the weights or the size cannot be used; nothing is left behind.
    """
    run = Run(request, progress, networks or Networks())
    size = resolve(request.size, request.resolution)
    size = size.for_motion() if request.times else size
    if request.refine and size.moves:
        raise LyraSimError(
            "--refine is for scenes that stand still: a moment of one that moves has a frame per path"
        )
    start = begin(run, size)
    with run.clock.stage("load"):
        pipeline = run.networks.once(LyraPipeline.for_size, size)
    video = imagine(run, size, start)
    times = request.times if size.moves else (None,)
    with Files(run, size, times) as files:
        for time, gaussians in zip(
            times, decode_times(run, pipeline, video, start.targets(times)), strict=True
        ):
            if request.refine:
                gaussians = refine_scene(run, size, video, gaussians)
            # Thresholds of cleaning and fusing are lengths; in the decoder's unit they fit a toy and a hall alike.
            scene = assemble(run, video, gaussians, unit=start.unit)
            shown, scene = video.scaled(start.unit), move_scene(scene, Similarity(scale=start.unit))
            scene = replace(scene, provenance=describe(run, pipeline, size, shown, time))
            files.add(shown, scene, time)
        if len(times) > 1:
            files.add_index(frames_per_second=start.frames_per_second)
    return files.result()


def imagine(run: Run, size: Size, start: Start) -> TeacherVideo:
    """Let the teacher film the scene; Z up with the floor at z = 0, in the decoder's unit."""
    request = run.request
    paths = camera_paths(request, start)
    with run.clock.stage("teacher"):
        teacher = load_teacher(
            start.entry,
            size,
            trajectories=paths,
            movement=request.movement,
            chunks=request.chunks,
            networks=run.networks,
        )
        report = partial(run.progress.update, "teacher")
        video = teacher.imagine(start.conditioning, seed=request.seed, progress=report)
    warn_of_unseen(run, video)
    return video.moved(start.c2w)


def warn_of_unseen(run: Run, video: TeacherVideo) -> None:
    """Say which paths leave what the picture shows, where the teacher tells."""
    seen = video.source.get("least_share_seen")
    for name, share in seen.items() if isinstance(seen, dict) else ():
        if share < LEAST_SEEN:
            tell(
                run,
                f"Path {name}: the picture shows only {share:.0%} of a frame, the rest is filled; try --movement 0.5",
            )


def decode(run: Run, pipeline: LyraPipeline, video: TeacherVideo) -> Gaussians:
    """Turn the input clips into Gaussians in the world frame; held-out frames take no part."""
    return next(decode_times(run, pipeline, video, (None,)))


def decode_times(
    run: Run, pipeline: LyraPipeline, video: TeacherVideo, times: Sequence[float | None]
) -> Iterator[Gaussians]:
    """Yield the Gaussians of every target time [frames of a clip], or those of a static decoder for the time None."""
    cameras = [clip.cameras for clip in video.clips]
    with run.clock.stage("tokenizer"):
        latents = pipeline.encode(video.clips, progress=partial(run.progress.update, "tokenizer"))
    with run.clock.stage("cache"):
        run.progress.update("cache", 0.0, "warping the conditioning depth")
        cache = pipeline.cache(video.clips, conditioning_depth(video), footage=video.footage)
    targets = [time for time in times if time is not None]
    sets = pipeline.decode_times(latents, cameras, targets, cache) if targets else None
    for _ in times:
        with run.clock.stage("decoder"):
            run.progress.update("decoder", 0.0, "decoding Gaussians")
            decoded = next(sets) if sets else pipeline.decode(latents, cameras, cache)
        with run.clock.stage("scene"):
            run.progress.update("scene", 0.0, f"cleaning {len(decoded):,} Gaussians")
            gaussians = drop_floaters(to_world(decoded, cameras[0].c2w[0]))
        run.report["gaussians"] = {"pruned": len(decoded), "kept": len(gaussians)}
        yield gaussians


def refine_scene(run: Run, size: Size, video: TeacherVideo, gaussians: Gaussians) -> Gaussians:
    """Optimise the Gaussians against the teacher's frames, and report what it gained."""
    with run.clock.stage("refine"):
        report = partial(run.progress.update, "refine")
        steps = run.request.refine
        gaussians, gained = refine(gaussians, video, steps=steps, device=size.device, progress=report)
    run.report["refine"] = gained.to_dict()
    tell(run, gained.sentence)
    return gaussians
