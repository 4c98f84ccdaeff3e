"""From a sentence to a scene file: the whole chain, stage by stage."""

from __future__ import annotations

import platform
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from generator import metrics
from generator.clock import StageClock
from generator.film.start import describe_start
from generator.inputs import conditioning_depth
from generator.keep import Kept, write_keep
from generator.pipeline import LyraPipeline
from generator.preview import contact_sheet
from generator.render import render_views
from generator.sizes import Size, resolve
from generator.teachers.procedural import ProceduralTeacher
from generator.teachers.teacher import Clip, TeacherVideo
from generator.to_world import to_world
from generator.trajectories import SDG_TRAJECTORIES
from generator.worlds import parse_prompt
from lyra_sim import __version__
from lyra_sim.atomic import atomic_folder, atomic_path
from lyra_sim.collider.floaters import drop_floaters
from lyra_sim.collider.floor import drop_unused
from lyra_sim.collider.fuse import fuse_depth
from lyra_sim.collider.labels import label_mesh
from lyra_sim.collider.tsdf import DepthViews
from lyra_sim.errors import LyraSimError
from lyra_sim.files.ply import write_ply
from lyra_sim.gaussians import Gaussians
from lyra_sim.progress import Progress
from lyra_sim.scene import Scene
from lyra_sim.usd.writer import Target, write_usdz

COLLIDER_STRIDE = 4
"""Every n-th input frame gives a depth map to the collider."""
HELD_OUT = 12
"""Cameras between the paths that a scene is measured at."""
PREVIEW_SCALE = 2
"""The preview is rendered at this multiple of the teacher's resolution."""


@dataclass(frozen=True)
class Request:
    """Say what to generate and which files to leave."""

    prompt: str
    out: Path
    seed: int = 0
    size: str = "auto"
    strict: bool = False
    target: Target = "isaac-6"
    trajectories: tuple[str, ...] = tuple(path.name for path in SDG_TRAJECTORIES)
    labels: bool = True
    proxy: bool = True
    keep: Path | None = None
    ply: Path | None = None
    preview: bool = True
    collider: str = "fused"


@dataclass
class Run:
    """Hold what the stages hand to one another."""

    request: Request
    progress: Progress
    clock: StageClock = field(default_factory=StageClock)
    report: dict[str, Any] = field(default_factory=dict)


def generate(request: Request, progress: Progress, *, pipeline: LyraPipeline | None = None) -> dict[str, Any]:
    """Generate a scene, write the files of the request and return the fields of the result message.

    Args:
        request: What to generate and where.
        progress: Told about every stage.
        pipeline: The networks of the size, already loaded, for callers that make many scenes.

    Raises:
        LyraSimError: The prompt, a path, the weights or the size cannot be used; nothing is left behind.
    """
    run = Run(request, progress)
    size = resolve(request.size)
    with run.clock.stage("world"):
        spec = parse_prompt(request.prompt, strict=request.strict)
        progress.note(spec.message)
    with run.clock.stage("load"):
        pipeline = pipeline or LyraPipeline.from_cards(size.tokenizer, size.decoder)
    video = imagine(run, size, spec)
    gaussians = decode(run, pipeline, video)
    scene = assemble(run, pipeline, size, video, gaussians)
    return write(run, size, video, scene)


def imagine(run: Run, size: Size, spec: Any) -> TeacherVideo:
    """Let the teacher film the scene."""
    paths = tuple(path for path in SDG_TRAJECTORIES if path.name in run.request.trajectories)
    # Held-out cameras lie between the paths; one or two paths leave too little room between them.
    teacher = ProceduralTeacher(
        height=size.height,
        width=size.width,
        frames=size.frames,
        trajectories=paths,
        held_out=HELD_OUT if len(paths) > 2 else 0,
    )
    with run.clock.stage("teacher"):
        return teacher.imagine(spec, seed=run.request.seed, progress=partial(run.progress.update, "teacher"))


def decode(run: Run, pipeline: LyraPipeline, video: TeacherVideo) -> Gaussians:
    """Turn the input clips into Gaussians in the world frame; held-out frames take no part."""
    cameras = [clip.cameras for clip in video.clips]
    with run.clock.stage("tokenizer"):
        latents = pipeline.encode(video.clips, progress=partial(run.progress.update, "tokenizer"))
    with run.clock.stage("cache"):
        run.progress.update("cache", 0.0, "warping the conditioning depth")
        cache = pipeline.cache(video.clips, conditioning_depth(video))
    with run.clock.stage("decoder"):
        run.progress.update("decoder", 0.0, "decoding Gaussians")
        decoded = pipeline.decode(latents, cameras, cache)
    with run.clock.stage("scene"):
        run.progress.update("scene", 0.0, f"cleaning {len(decoded):,} Gaussians")
        gaussians = drop_floaters(to_world(decoded, cameras[0].c2w[0]))
    run.report["gaussians"] = {"pruned": len(decoded), "kept": len(gaussians)}
    return gaussians


def assemble(
    run: Run, pipeline: LyraPipeline, size: Size, video: TeacherVideo, gaussians: Gaussians
) -> Scene:
    """Measure the Gaussians and give them a collider and labels."""
    with run.clock.stage("scene"):
        if video.held_out is not None:
            run.progress.update("scene", 0.5, "comparing with held-out views")
            run.report["metrics"] = measure(gaussians, video.held_out)
    provenance = describe(run.request, pipeline, size, video)
    if run.request.collider == "none":
        return Scene(gaussians, provenance=provenance, instances=video.instances)
    with run.clock.stage("collider"):
        run.progress.update("collider", 0.0, "rendering depth from the Gaussians")
        views, alphas, labels = depth_views(gaussians, video)
        run.progress.update("collider", 0.4, "fusing depth into a mesh")
        mesh, report = fuse_depth(views.depth, alphas, views.c2w, views.intrinsics)
        run.report["collider"] = asdict(report)
        run.progress.update("collider", 0.9, "labelling the mesh")
        proxy = None
        if run.request.proxy and labels is not None:
            proxy = label_mesh(mesh, labels * np.uint8(run.request.labels), views, video.classes)
        if run.request.collider == "world":
            # The proxy stays the fused one: it goes with what the splats show.
            if video.surface is None:
                raise LyraSimError(
                    f"--collider world: teacher {video.source['teacher']} has no exact surface; use fused"
                )
            mesh = drop_unused(video.surface)
    return Scene(
        gaussians,
        collider=mesh,
        proxy=proxy,
        provenance=provenance,
        collider_kind=run.request.collider,
        instances=video.instances,
    )


def depth_views(
    gaussians: Gaussians, video: TeacherVideo
) -> tuple[DepthViews, np.ndarray, np.ndarray | None]:
    """Render depth and opacity from the Gaussians at some input cameras; labels are the teacher's there."""
    picked = [
        (clip, slice(0 if i == 0 else COLLIDER_STRIDE, None, COLLIDER_STRIDE))
        for i, clip in enumerate(video.clips)
    ]
    c2w = np.concatenate([clip.cameras.c2w[s] for clip, s in picked])
    intrinsics = np.concatenate([clip.cameras.intrinsics[s] for clip, s in picked])
    first = video.clips[0].cameras
    rendered = render_views(gaussians, c2w, intrinsics, height=first.height, width=first.width)
    labels = None
    if all(clip.labels is not None for clip in video.clips):
        labels = np.concatenate([clip.labels[s] for clip, s in picked if clip.labels is not None])
    # The median does not smear across the edges of objects as the expected depth does.
    return DepthViews(rendered.median_depth.numpy(), c2w, intrinsics), rendered.alpha.numpy(), labels


def measure(gaussians: Gaussians, held_out: Clip) -> dict[str, Any]:
    """Compare renders with the teacher at cameras that nothing was decoded from."""
    cameras = held_out.cameras
    views = render_views(
        gaussians, cameras.c2w, cameras.intrinsics, height=cameras.height, width=cameras.width
    )
    truth = held_out.rgb.astype(np.float32) / 255
    rgb, depth = views.rgb.numpy(), views.depth.numpy()
    frames = range(len(cameras))
    return {
        "held_out_views": len(cameras),
        "psnr_db": round(float(np.mean([metrics.psnr(rgb[i], truth[i]) for i in frames])), 3),
        "ssim": round(float(np.mean([metrics.ssim(rgb[i], truth[i]) for i in frames])), 4),
        "relative_depth_error": round(metrics.relative_depth_error(depth, held_out.depth), 5),
        "mean_alpha": round(float(views.alpha.mean()), 4),
    }


def describe(request: Request, pipeline: LyraPipeline, size: Size, video: TeacherVideo) -> dict[str, Any]:
    """Return where the scene came from; no time or path, so that equal runs give equal files."""
    packages = ("torch", "diffusers", "numpy", "numba", "embreex", "usd-core", "scikit-image")
    return {
        "generated": True,
        "generator": f"lyra-sim {__version__}",
        "prompt": request.prompt,
        "seed": request.seed,
        "size": size.name,
        "teacher": video.source,
        "camera": describe_start([clip.cameras for clip in video.clips]),
        "checkpoints": {
            name: {
                "sha256": card["sha256"],
                "configuration_sha256": card["configuration_sha256"],
                "licence": card.get("licence", "Apache-2.0"),
            }
            for name, card in pipeline.cards.items()
        },
        "cache_branch": pipeline.decoder.config.cache_branch,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }


def write(run: Run, size: Size, video: TeacherVideo, scene: Scene) -> dict[str, Any]:
    """Write every requested file; they appear together at the end, or not at all."""
    request, paths = run.request, {"scene": str(run.request.out.absolute())}
    with ExitStack() as outputs:
        with run.clock.stage("usd"):
            run.progress.update("usd", 0.0, "writing the USDZ")
            write_usdz(outputs.enter_context(atomic_path(request.out)), scene, target=request.target)
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
    first = video.clips[0].cameras
    wanted = [("start", first.select(slice(0, 1)))]
    wanted += [(clip.name, clip.cameras.select(slice(-1, None))) for clip in video.clips[:4]]
    wanted = wanted[:4]
    cameras = type(first)(
        np.concatenate([c.c2w for _, c in wanted]),
        np.concatenate([c.intrinsics for _, c in wanted]),
        first.height,
        first.width,
    ).resized(first.height * PREVIEW_SCALE, first.width * PREVIEW_SCALE)
    title = f"{request.prompt[:60]!r}   seed {request.seed}   size {size.name}   {len(gaussians):,} Gaussians"
    return contact_sheet(gaussians, cameras, [name for name, _ in wanted], title=title)
