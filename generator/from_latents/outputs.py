"""The files of a decode, written together at the end or not at all."""

from __future__ import annotations

import platform
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any

from generator.cameras import Cameras
from generator.decoder.latent_folder import LatentFolder
from generator.film.start import describe_start
from generator.from_latents.request import DecodeRequest
from generator.from_latents.surface import preview
from generator.from_latents.world import Upright
from generator.pipeline import LyraPipeline
from generator.times import file_for
from generator.weights.checkpoint import licence_of
from lyra_sim import __version__
from lyra_sim.atomic import atomic_path
from lyra_sim.files.ply import write_ply
from lyra_sim.scene import Scene
from lyra_sim.usd.writer import write_usdz

PACKAGES = ("torch", "diffusers", "numpy", "numba", "usd-core", "scikit-image")


def write(
    outputs: ExitStack,
    request: DecodeRequest,
    scene: Scene,
    cameras: list[Cameras],
    names: tuple[str, ...],
    time: float | None,
    size: str,
) -> dict[str, str]:
    """Write the files of one scene to where they wait for all others; return their paths."""
    place = file_for(request.out, time, request.times)
    write_usdz(outputs.enter_context(atomic_path(place)), scene, target=request.target)
    paths = {"scene": str(place.absolute())}
    if request.ply is not None:
        ply = file_for(request.ply, time, request.times)
        write_ply(outputs.enter_context(atomic_path(ply, option="--ply")), scene.gaussians)
        paths["ply"] = str(ply.absolute())
    if request.preview:
        picture = place.with_suffix(".png")
        when = "" if time is None else f"   time {time:g}"
        title = f"{request.folder.name}   size {size}{when}   {len(scene.gaussians):,} Gaussians"
        outputs.enter_context(atomic_path(picture)).write_bytes(
            preview(scene.gaussians, cameras, names, title=title, metric=bool(scene.provenance["metric"]))
        )
        paths["preview"] = str(picture.absolute())
    return paths


def describe(
    request: DecodeRequest,
    latents: LatentFolder,
    pipeline: LyraPipeline,
    upright: Upright,
    cameras: list[Cameras],
    time: float | None,
) -> dict[str, Any]:
    """Return where a scene came from; no time of day and no path, so that equal runs give equal files."""
    height, width = latents.image_size
    return {
        "generated": True,
        "generator": f"lyra-sim {__version__}",
        "decoded_from": "latents",
        "latents": {
            "scene": latents.stem,
            "views": list(latents.views),
            "space": latents.space,
            "sha256": latents.sha256,
            "licence": "not stated in the files; that of whoever made them",
        },
        "size": size_of(pipeline),
        **({} if time is None else {"time": time}),
        "rays": request.rays,
        "head_precision": request.head,
        "network": {"device": pipeline.device.type, "dtype": str(pipeline.dtype).removeprefix("torch.")},
        "frame_px": [width, height],
        "frames": latents.frames,
        "metric": upright.metric,
        "world_frame": upright.report,
        "camera": describe_start(cameras),
        "checkpoints": pipeline.provenance(),
        "licences": sorted({licence_of(card) for card in pipeline.cards.values()}),
        "cache_branch": pipeline.decoder.config.cache_branch,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def size_of(pipeline: LyraPipeline) -> str:
    """Return which size of the chain the weights belong to."""
    return "full" if pipeline.is_published else "mini"
