"""SANA-WM: a video model that follows a camera path from one picture, without a warp (arXiv 2605.15178)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from generator.networks import Networks
from generator.placement import hush, place
from generator.sizes import Size
from generator.teachers.conditioning import Picture
from generator.teachers.picture_paths import CameraPath, PlannedPath
from generator.teachers.picture_teacher import PictureTeacher, picture_video
from generator.teachers.resume import Job
from generator.teachers.safety import Guardrail, load_guardrail
from generator.teachers.teacher import Clip, Progress, TeacherVideo
from generator.teachers.warp import open_cache
from generator.weights.checkpoint import load_card
from generator.weights.folder import locate_model
from generator.weights.registry import find_entry
from generator.weights.store import Store
from lyra_sim.errors import LyraSimError

NAME = "sana-wm"
FPS = 16
"""Frame rate that the model was trained at [1/s]."""


@dataclass(kw_only=True)
class SanaWMTeacher(PictureTeacher):
    """Imagine along camera paths with diffusers' `SanaWMPipeline`; the chain's tokenizer encodes its frames."""

    pipeline: Any
    """The networks, on their device."""
    weights: str
    """Checksum of the weights' folder."""
    height: int = 704
    """Picture height [px]; the published model is for 704."""
    width: int = 1280
    """Picture width [px]; the published model is for 1280."""
    frames: int = 121
    """Frames per clip, 8k + 1; frame 0 is the picture itself."""
    steps: int = 60
    """Sampling steps."""
    guidance: float = 5.0
    """Strength of classifier-free guidance; 1 is none."""
    name: str = NAME
    guardrail: Guardrail = field(default_factory=Guardrail)
    """Checks prompts and blurs faces, where its weights are present."""

    @classmethod
    def for_size(
        cls,
        size: Size,
        *,
        trajectories: tuple[CameraPath, ...],
        movement: float = 1.0,
        networks: Networks | None = None,
    ) -> SanaWMTeacher:
        """Load the networks onto the device of a size; raises LyraSimError when weights or packages are missing."""
        store = Store()
        networks = networks or Networks()
        guardrail = networks.once(load_guardrail, size.safety)
        pipeline = networks.once(load_sana_wm, locate_model(NAME, store), size)
        return cls(
            pipeline=pipeline,
            weights=load_card(store.folder / f"{NAME}.json")["sha256"],
            height=size.height,
            width=size.width,
            frames=size.frames,
            trajectories=trajectories,
            movement=movement,
            center_share=size.center_share,
            guardrail=guardrail,
        )

    def imagine(self, conditioning: object, *, seed: int, progress: Progress | None = None) -> TeacherVideo:
        """Sample one video per path; finished ones are kept, so an interrupted run goes on.

        The world frame is the OpenCV frame of the picture's camera, in the unit of its depth. The depth of the
        clips is the 3D cache's, 0 where the picture did not look; the model itself is not shown it.

        Raises:
            LyraSimError: The conditioning is no picture of this size with depth, the guardrail refuses the prompt or
                a video, or the disk is full.
        """
        picture = self.checked(conditioning)
        self.guardrail.require_safe(picture.prompt)
        if progress and self.guardrail.sentence:
            progress(0.0, self.guardrail.sentence)
        paths = self.plan(picture, seed=seed)
        settings = {
            "teacher": self.name,
            "seed": seed,
            "steps": self.steps,
            "guidance": self.guidance,
            "prompt": picture.prompt,
            "weights": self.weights,
        }
        arrays = {"rgb": picture.rgb, "intrinsics": picture.intrinsics}
        job = Job.open(settings, arrays | {f"c2w_{path.name}": path.cameras.c2w for path in paths})
        cache = open_cache(picture)
        clips = []
        for index, path in enumerate(paths):
            if progress:
                progress(index / len(paths), f"imagining {path.name.replace('_', ' ')}")
            kept = job.load(path.name)
            latents = self._sample(picture, path, seed + 1000 * index) if kept is None else kept["latents"]
            if kept is None:
                job.save(path.name, {"latents": latents})
            views = cache.show(path.cameras)
            depth = views.depth[:, 0].numpy().astype(np.float32)
            # Moved in turns with the model's own networks, the checker runs where the machine's memory is.
            rgb = self.guardrail.checked(self._decode(torch.from_numpy(latents)), device="cpu")
            rgb[0], depth[0] = picture.rgb, picture.require_depth()
            clips.append(Clip(path.name, path.cameras, rgb, depth))
        source = {
            **settings,
            "licences": {NAME: find_entry(NAME).licence},
            **self.path_record(picture, paths),
            **self.guardrail.record(),
        }
        return picture_video(picture, clips, source)

    def _sample(self, picture: Picture, path: PlannedPath, seed: int) -> np.ndarray:
        """Return the latents of the model's own autoencoder, (1, C, t, h, w) float32."""
        output = self.pipeline(
            Image.fromarray(picture.rgb),
            picture.prompt,
            c2w=path.cameras.c2w,
            intrinsics=path.cameras.intrinsics,
            height=self.height,
            width=self.width,
            num_frames=self.frames,
            fps=FPS,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            generator=torch.Generator().manual_seed(seed),
            output_type="latent",
        )
        return output.latent.float().cpu().numpy()

    @torch.no_grad()
    def _decode(self, latents: Tensor) -> np.ndarray:
        """Return the frames (T, H, W, 3) uint8 of the model's latents."""
        vae = self.pipeline.vae
        mean, std = (v.view(1, -1, 1, 1, 1).float().cpu() for v in (vae.latents_mean, vae.latents_std))
        latents = latents / vae.config.scaling_factor * std + mean
        video = vae.decode(latents.to(self.pipeline._execution_device, vae.dtype), return_dict=False)[0]
        self.pipeline.maybe_free_model_hooks()
        frames = (video[0].float().clamp(-1, 1) + 1) * 127.5
        return frames.permute(1, 2, 3, 0).round().to(torch.uint8).cpu().numpy()


def load_sana_wm(folder: str, size: Size) -> Any:
    """Load the pipeline of a folder onto the device of a size; raises LyraSimError when that fails."""
    hush()
    try:
        from diffusers import SanaWMPipeline

        pipeline = SanaWMPipeline.from_pretrained(
            folder, dtype=getattr(torch, size.precision), use_safetensors=True
        )
    except ImportError as error:
        raise LyraSimError(f"{NAME} needs another package ({error}); install lyra-sim[teacher]") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise LyraSimError(
            f"{folder}: cannot be loaded as SanaWMPipeline ({str(error)[:200]}); run lyra-sim weights verify {NAME}"
        ) from None
    pipeline.set_progress_bar_config(disable=True)
    place(pipeline, size.device)
    return pipeline
