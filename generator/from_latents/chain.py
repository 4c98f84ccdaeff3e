"""From a folder of latents to scene files, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import torch

from generator.cameras import Cameras
from generator.clock import StageClock
from generator.decode_cost import DecodeCost
from generator.decoder.latent_folder import LatentFolder, read_first_depth, read_latent_folder, scene_of
from generator.from_latents.memory import allowance
from generator.from_latents.outputs import describe, size_of, write
from generator.from_latents.request import DecodeRequest
from generator.from_latents.surface import fuse
from generator.from_latents.weights import load_pipeline
from generator.from_latents.world import move_cameras, stand
from generator.inputs import WarpedDepth, warp_conditioning
from generator.sizes import MINI, full
from generator.times import stage_of, write_index
from generator.to_world import to_world
from lyra_sim.collider.floaters import drop_floaters
from lyra_sim.convert import move_scene
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress
from lyra_sim.scene import Scene
from lyra_sim.transform import Similarity

FINISHING_SECONDS = {"scene": 2.0, "collider": 12.0, "write": 4.0}
"""About what cleaning, fusing and writing take for 100,000 Gaussians on two cores [s]."""


class Decoding:
    """Hold one decode: what was asked, what was read, and what was found out on the way."""

    def __init__(self, request: DecodeRequest, progress: Progress) -> None:
        """Take a request; `run` does the work."""
        self.request = request
        self.progress = progress
        self.clock = StageClock()
        self.report: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """Decode, write the files of the request and return the fields of the result message.

        Raises:
            LyraSimError: A file, the weights, a path or an option cannot be used; nothing is left behind.
        """
        with self.clock.stage("load"):
            stem = scene_of(self.request.folder, self.request.scene, self.request.views)
            self.pipeline = load_pipeline(self.request, stem)
        with self.clock.stage("read"):
            self.progress.update("read", 0.0, "reading and checking the latents")
            self.latents = self._read(stem)
            self.cameras = cameras_of(self.latents)
        cost = self.pipeline.cost(self.cameras, targets=len(self.request.times or (0,)))
        limit = allowance(cost, self.request.memory_limit, self.pipeline.device, say=self.progress.note)
        self.announce(cost, limit)
        if self.request.dry_run:
            return {"message": "dry run: nothing was written", "seconds": round(cost.seconds, 1)}
        paths: dict[str, list[str]] = {}
        with ExitStack() as outputs:
            for time, gaussians in self._decoded(cost, limit):
                for kind, path in self._finish(outputs, time, gaussians).items():
                    paths.setdefault(kind, []).append(path)
            if len(self.request.times) > 1:
                paths["sequence"] = [write_index(outputs, self.request.out, self.request.times)]
        return self._result(paths)

    def announce(self, cost: DecodeCost, limit: int | None) -> None:
        """Tell what is about to be done, how long it takes and what is unusual about it."""
        latents, device = self.latents, self.pipeline.device
        height, width = latents.image_size
        where = "on the GPU" if device.type == "cuda" else f"on the CPU, {torch.get_num_threads()} thread(s)"
        count = cost.work.views * cost.work.gaussians_per_view(cost.config)
        self.progress.note(
            f"Decoding {latents.stem}: {len(latents.views)} views of {latents.frames} frames at {height}x{width}, "
            f"{count:,} Gaussians before pruning, {where}: about {duration(cost.seconds)}, "
            f"{cost.peak_bytes(limit) / 1e9:.1f} GB beside weights and latents"
        )
        self.report["estimate"] = {"seconds": round(cost.seconds, 1), "peak_bytes": cost.peak_bytes(limit)}
        finishing = sum(FINISHING_SECONDS.values()) * count / 5e5
        weights = {"load": 3.0, "read": 1.0, "rays": max(cost.tokenizer_seconds, 1e-6)}
        for time in self.request.times or (None,):
            weights[stage_of("decoder", time)] = cost.decoder_seconds / len(self.request.times or (0,))
            for stage, seconds in FINISHING_SECONDS.items():
                weights[stage_of(stage, time)] = seconds * finishing / sum(FINISHING_SECONDS.values())
        self.progress.expect(weights)

    def _read(self, stem: str) -> LatentFolder:
        """Read the latents with the statistics of the pipeline's tokenizer."""
        pipeline, request = self.pipeline, self.request
        return read_latent_folder(
            request.folder,
            stem,
            pipeline.decoder.config,
            views=request.views,
            mean_std=pipeline.tokenizer.statistics,
            tokenizer_sha256=pipeline.cards["tokenizer"]["sha256"],
        )

    def _warped(self) -> WarpedDepth | None:
        """Return the conditioning depth in every frame, for decoders that want it."""
        config = self.pipeline.decoder.config
        if not config.cache_branch:
            return None
        depth = read_first_depth(self.request.folder, self.latents)
        return warp_conditioning(depth, self.cameras, cell=config.cell)

    def _decoded(self, cost: DecodeCost, limit: int | None) -> Iterator[tuple[float | None, torch.Tensor]]:
        """Yield each target time and its Gaussians (K, 14) in the first camera's frame."""
        times = self.request.times
        options: dict[str, Any] = {
            "rays": self.request.rays,
            "memory_limit": limit,
            "callback": self._callback(cost),
            "say": self.progress.note,
        }
        arguments = (self.latents.latents, self.cameras)
        with self.clock.stage("decoder"):
            warped = self._warped()
        if not times and not self.pipeline.is_dynamic:
            with self.clock.stage("decoder"):
                gaussians = self.pipeline.decode(*arguments, warped, **options)
            yield None, gaussians
            return
        sets = self.pipeline.decode_times(*arguments, times, warped, **options)
        for time in times or (None,):
            with self.clock.stage("decoder"):
                gaussians = next(sets)
            yield time, gaussians

    def _callback(self, cost: DecodeCost) -> Callable[[float, str], None]:
        """Return what sorts the pipeline's progress into stages."""
        times = self.request.times or (None,)
        each = cost.decoder_seconds / len(times)

        def report(fraction: float, message: str) -> None:
            behind_rays = fraction * cost.seconds - cost.tokenizer_seconds
            if behind_rays < 0:
                self.progress.update("rays", 1 + behind_rays / cost.tokenizer_seconds, message)
                return
            index = min(int(behind_rays / each), len(times) - 1)
            self.progress.update(stage_of("decoder", times[index]), behind_rays / each - index, message)

        return report

    def _finish(self, outputs: ExitStack, time: float | None, decoded: torch.Tensor) -> dict[str, str]:
        """Clean one set of Gaussians, stand it upright, give it a collider and write it."""
        request = self.request
        with self.clock.stage("scene"):
            self.progress.update(stage_of("scene", time), 0.0, f"cleaning {len(decoded):,} Gaussians")
            gaussians = to_world(decoded.float(), self.cameras[0].c2w[0])
            upright = stand(
                gaussians,
                self.cameras,
                up_axis=request.up_axis,
                level=request.level,
                camera_height=request.camera_height,
                median_depth=(full() if self.pipeline.is_published else MINI).median_depth,
            )
            self.progress.note(upright.message)
            gaussians = drop_floaters(upright.working.gaussians(gaussians))
            if not len(gaussians):
                raise LyraSimError(
                    f"{request.folder}: all {len(decoded):,} Gaussians are transparent, alone or gigantic; latents "
                    "and weights do not seem to belong together"
                )
            cameras = move_cameras(upright.working, self.cameras)
        collider, grow = None, Similarity(scale=upright.final)
        if request.collider:
            with self.clock.stage("collider"):
                self.progress.update(stage_of("collider", time), 0.0, "fusing the splats' depth into a mesh")
                collider, found = fuse(gaussians, cameras)
                self.report.setdefault("collider", []).append(asdict(found.scaled(upright.final)))
        cameras = move_cameras(grow, cameras)
        provenance = describe(request, self.latents, self.pipeline, upright, cameras, time)
        scene = move_scene(Scene(gaussians, collider=collider, provenance=provenance), grow)
        self.report.setdefault("gaussians", []).append({"pruned": len(decoded), "kept": len(scene.gaussians)})
        with self.clock.stage("write"):
            self.progress.update(stage_of("write", time), 0.0, "writing the scene")
            size = size_of(self.pipeline)
            return write(outputs, request, scene, cameras, self.latents.views, time, size)

    def _result(self, paths: dict[str, list[str]]) -> dict[str, Any]:
        """Return the fields of the result message."""
        seconds = sum(stage["seconds"] for stage in self.clock.stages.values())
        counts = [record["kept"] for record in self.report["gaussians"]]
        scenes = (
            f"{self.request.out}" if len(counts) == 1 else f"{len(counts)} scenes beside {self.request.out}"
        )
        size = size_of(self.pipeline)
        message = f"{scenes}: {counts[0]:,} Gaussians, size {size}, {seconds:.0f} s"
        report = self.report | {"stages": self.clock.stages}
        return {
            "message": message,
            "size": size,
            "report": report,
            **{kind: found[0] for kind, found in paths.items()},
            **({"scenes": paths["scene"]} if len(counts) > 1 else {}),
        }


def cameras_of(latents: LatentFolder) -> list[Cameras]:
    """Return one clip of cameras per view, in the frame of the poses."""
    c2w, intrinsics = (
        part.numpy().reshape(len(latents.views), latents.frames, *part.shape[1:])
        for part in (latents.c2w, latents.intrinsics)
    )
    return [
        Cameras(poses, lenses, *latents.image_size) for poses, lenses in zip(c2w, intrinsics, strict=True)
    ]


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
