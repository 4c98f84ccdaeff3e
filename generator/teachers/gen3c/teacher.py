"""The teacher that imagines with GEN3C: a picture and its 3D cache to one latent video per camera path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.cache import CacheViews, image_tensor
from generator.depth import DepthEstimator, load_estimator
from generator.networks import Networks
from generator.sizes import Size
from generator.teachers.conditioning import Footage, Picture
from generator.teachers.gen3c.chunks import Chunk, imagine_chunks
from generator.teachers.gen3c.composite import composite
from generator.teachers.gen3c.compositor import Compositor, load_compositor
from generator.teachers.gen3c.load import Cards, load_pipeline
from generator.teachers.gen3c.pipeline import Gen3CPipeline
from generator.teachers.picture_paths import CameraPath, PlannedPath
from generator.teachers.picture_teacher import PictureTeacher, picture_video
from generator.teachers.resume import Job
from generator.teachers.safety import Guardrail, load_guardrail
from generator.teachers.teacher import Clip, Progress, TeacherVideo
from generator.teachers.warp import PictureCache, open_cache
from generator.tokenizer import CosmosTokenizer
from generator.weights.checkpoint import licence_of
from lyra_sim.errors import LyraSimError

STEPS = 35
"""Sampling steps where the denoiser's card does not say another number."""
GUIDANCE = 1.0
"""Guidance where the denoiser's card does not say another strength."""


@dataclass(kw_only=True)
class Gen3CTeacher(PictureTeacher):
    """Complete what a picture's 3D cache leaves open, at either size."""

    pipeline: Gen3CPipeline
    """The networks, on their device."""
    cards: Cards
    """Their cards."""
    steps: int = STEPS
    """Sampling steps."""
    guidance: float = GUIDANCE
    """g in cond + g (cond - uncond)."""
    composited: bool = False
    """Whether what the cache shows is put back (`composite`); such clips are encoded again for the decoder."""
    compositor: Compositor | None = None
    """Merges the sampled video with what the cache shows; None matches them at the edges of the holes."""
    sampled_size: tuple[int, int] | None = None
    """Rows and columns at which the denoiser works, for one that learned a single size and whose samples the cache is
    put back into; None is the size of the frames."""
    name: str = "gen3c"
    """`gen3c`, or `mini` with the small denoiser."""
    chunks: int = 1
    """Clips per path; each continues where the one before it ends."""
    estimator: Callable[[], DepthEstimator] | None = None
    """Gives the depth estimator for the frames between chunks; needed with more than one."""
    safety: str = ""
    """Whether the safety checker runs, as a sentence; empty where the weights speak of none."""
    jobs: Path | None = None
    """Folder of finished trajectories; None for the usual one (`generator.teachers.resume`)."""

    @classmethod
    def for_size(
        cls,
        size: Size,
        *,
        trajectories: tuple[CameraPath, ...],
        movement: float = 1.0,
        networks: Networks | None = None,
    ) -> Gen3CTeacher:
        """Load the networks of a size; raises LyraSimError when weights are missing or damaged."""
        networks = networks or Networks()
        pipeline, cards, safety = networks.once(load_checked_pipeline, size)
        sampling = cards["denoiser"].get("sampling", {})
        composited, compositor = sampling.get("composited", False), None
        if composited and size.compositor is not None:
            compositor, card = networks.once(load_compositor, size.compositor)
            cards = {**cards, "compositor": card}
        frame_px = sampling.get("frame_px") if composited else None
        return cls(
            pipeline=pipeline,
            cards=cards,
            height=size.height,
            width=size.width,
            frames=size.frames,
            trajectories=trajectories,
            movement=movement,
            center_share=size.center_share,
            steps=sampling.get("steps", STEPS),
            guidance=sampling.get("guidance", GUIDANCE),
            composited=composited,
            compositor=compositor,
            sampled_size=tuple(frame_px[::-1]) if frame_px else None,
            name=size.picture_teacher,
            estimator=partial(networks.once, load_estimator, size.depth, size),
            safety=safety,
        )

    def imagine(self, conditioning: object, *, seed: int, progress: Progress | None = None) -> TeacherVideo:
        """Sample one video per path; finished ones are kept, so an interrupted run goes on.

        The world frame is the OpenCV frame of the picture's camera, in the unit of its depth. Clips bring their
        raw latents; their colours are those latents decoded, and their depth is the cache's, 0 where it is open.

        With more than one chunk, every chunk is a clip, and only the first clip of a path starts from the picture.

        Raises:
            LyraSimError: The conditioning is no picture of this size with depth, the safety checker refuses, or the
                disk is full.
        """
        picture = self.checked(conditioning)
        if progress and self.safety:
            progress(0.0, self.safety)
        paths = self.plan(picture, seed=seed, frames=self.chunks * (self.frames - 1) + 1)
        settings = self._settings(seed, picture)
        job = Job.open(settings, self._arrays(picture, paths), root=self.jobs)
        clips = []
        for index, path in enumerate(paths):
            reports = [
                _part(progress, index * self.chunks + number, len(paths) * self.chunks, path.name)
                for number in range(self.chunks)
            ]
            clips += self._film(job, picture, path, seed=seed + 1000 * index, reports=reports)
        source = {
            "teacher": self.name,
            "seed": seed,
            **self.path_record(picture, paths),
            "steps": self.steps,
            "guidance": self.guidance,
            "composited": self.composited,
            "weights": settings["weights"],
            "licences": {name: licence_of(card) for name, card in self.cards.items()},
        }
        if self.chunks > 1:
            source["chunks"] = self.chunks
        if settings["prompt"] is not None:
            source["prompt"] = settings["prompt"]
        if self.safety:
            source["safety_checker"] = self.safety
        return picture_video(picture, clips, source)

    def complete(
        self,
        rgb: np.ndarray,
        views: CacheViews,
        *,
        seed: int,
        prompt: str | None = None,
        report: Progress | None = None,
    ) -> Tensor:
        """Sample the video that continues a picture where the cache shows `views`.

        Args:
            rgb: The picture, sRGB, (H, W, 3) uint8.
            views: What the 3D cache shows from every camera; layers that the denoiser has no channels for fill the
                holes of those before them.
            seed: Draws the initial noise.
            prompt: What the video shows, for pipelines with a text encoder; None is the zero embedding.
            report: Called after every step.

        Returns:
            Latents, normalised and scaled by sigma_data, (1, C, t, h, w).
        """
        image = image_tensor(rgb)[None]
        views = views.merged(self.pipeline.max_buffers)
        if self.sampled_size is not None:
            image = F.interpolate(image, size=self.sampled_size, mode="bilinear", antialias=True)
            views = views.resized(*self.sampled_size)

        def on_step(_: object, step: int, __: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            if report:
                report((step + 1) / self.steps, f"step {step + 1} of {self.steps}")
            return tensors

        return self.pipeline(
            image,
            views.pixels[None],
            views.mask[None, :, :, None].float(),
            prompt=prompt,
            num_inference_steps=self.steps,
            guidance=self.guidance,
            # The noise is drawn on the CPU, so that a seed means the same on every device.
            generator=torch.Generator().manual_seed(seed),
            output_type="latent",
            callback_on_step_end=on_step,
        ).latents

    def decode(self, latents: Tensor) -> np.ndarray:
        """Return the frames (T, H, W, 3) uint8, of the teacher's size, of latents as `complete` returns them."""
        with torch.no_grad():
            frames = self.pipeline.decode_latents(latents, "np")[0]
        if self.sampled_size is not None:
            video = torch.from_numpy(frames).movedim(-1, 1)
            video = F.interpolate(video, size=(self.height, self.width), mode="bilinear", antialias=True)
            frames = video.movedim(1, -1).numpy()
        return (frames * 255).round().astype(np.uint8)

    def _film(
        self, job: Job, picture: Picture, path: PlannedPath, *, seed: int, reports: list[Progress]
    ) -> list[Clip]:
        """Return the clips of one path, one per chunk; chunks that are finished are taken from the job."""
        prompt = self._prompt(picture)

        def complete(number: int, rgb: np.ndarray, views: CacheViews) -> Tensor:
            name, report = _clip_name(path.name, number), reports[number]
            kept = job.load(name)
            if kept is not None:
                report(1.0, "kept from an earlier run")
                return torch.from_numpy(kept["latents"])
            sampled = self.complete(rgb, views, seed=seed + number, prompt=prompt, report=report)
            latents = sampled.float().cpu()
            job.save(name, {"latents": latents.numpy()}, seed=seed + number)
            return latents

        cache = open_cache(picture)
        chunks = imagine_chunks(
            picture.rgb,
            cache,
            path.cameras,
            chunk=self.frames,
            complete=complete,
            decode=self.decode,
            estimator=self._load_estimator,
        )
        # A chunk is made into a clip before the next one changes the cache.
        return [self._clip(picture, cache, chunk, path.name, number) for number, chunk in enumerate(chunks)]

    def _clip(self, picture: Picture, cache: PictureCache, chunk: Chunk, name: str, number: int) -> Clip:
        start = number * (self.frames - 1)
        views, rgb = chunk.views, chunk.rgb
        if self.composited:
            views = cache.show(chunk.cameras, start=start, cautious=False).merged(1)
        depth = views.depth[:, 0].numpy().astype(np.float32)
        if number == 0:
            # The picture itself is known better than its own warp, and than its latents decoded.
            rgb[0], depth[0] = picture.rgb, picture.require_depth()
        if self.composited:
            rgb[1:] = composite(rgb, chunk.views.merged(1), views, self.compositor)[1:]
        clip = Clip(_clip_name(name, number), chunk.cameras, rgb, depth, start=start)
        if self.composited or self.pipeline.safety_checker is not None:
            # What the checker blurred must not reach the scene through the latents; the chain encodes the frames.
            return clip
        tokenizer = CosmosTokenizer.around(self.pipeline.vae)
        raw = tokenizer.denormalize(chunk.latents / self.pipeline.scheduler.config.sigma_data)[0]
        return replace(clip, latents=raw.float().cpu().numpy())

    def _prompt(self, picture: Picture) -> str | None:
        """Return what the text encoder reads: the picture's words, or the empty prompt; None without encoder."""
        return picture.prompt if self.pipeline.text_encoder is not None else None

    def _load_estimator(self) -> DepthEstimator:
        if self.estimator is None:
            raise LyraSimError(f"the {self.name} teacher needs a depth estimator to go on after a clip")
        return self.estimator()

    def checked(self, conditioning: object) -> Picture:
        """Return the conditioning; raises LyraSimError when it is no picture of this size, or its words are unsafe."""
        picture = super().checked(conditioning)
        Guardrail(self.pipeline.safety_checker).require_safe(picture.prompt)
        return picture

    def _settings(self, seed: int, picture: Picture) -> dict[str, object]:
        """Return what decides the latents beside the picture and the cameras."""
        return {
            "teacher": self.name,
            "seed": seed,
            "steps": self.steps,
            "guidance": self.guidance,
            "chunks": self.chunks,
            "prompt": self._prompt(picture),
            "weights": {name: card["sha256"] for name, card in self.cards.items()},
        }

    def _arrays(self, picture: Picture, paths: tuple[PlannedPath, ...]) -> dict[str, np.ndarray]:
        arrays = {"rgb": picture.rgb, "depth": picture.require_depth(), "intrinsics": picture.intrinsics}
        if isinstance(picture, Footage):
            video = picture.video
            arrays |= {"video": video.rgb, "video_depth": video.depth, "video_c2w": video.cameras.c2w}
            arrays |= {"video_intrinsics": video.cameras.intrinsics}
        return arrays | {f"c2w_{path.name}": path.cameras.c2w for path in paths}


def load_checked_pipeline(size: Size) -> tuple[Gen3CPipeline, Cards, str]:
    """Load a size's networks with its safety checker; returns their cards and a sentence about the checker too."""
    guardrail = load_guardrail(size.safety)
    return (*load_pipeline(size, safety_checker=guardrail.checker), guardrail.sentence)


def _clip_name(path: str, number: int) -> str:
    """Return the name of a path's clip: that of the path, with a number from the second chunk on."""
    return path if number == 0 else f"{path}-{number + 1}"


def _part(progress: Progress | None, index: int, count: int, name: str) -> Progress:
    """Return a function that reports the progress of one path as that of all."""

    def report(fraction: float, message: str) -> None:
        if progress:
            progress((index + fraction) / count, f"imagining {name.replace('_', ' ')}, {message}")

    return report
