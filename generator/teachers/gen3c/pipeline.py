"""GEN3C as a diffusers pipeline: a picture and its warped 3D cache to a video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import AutoencoderKLCosmos, CosmosTransformer3DModel, DiffusionPipeline, EDMEulerScheduler
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from diffusers.video_processor import VideoProcessor
from torch import Tensor, nn

from generator.teachers.gen3c.conditioning import build_conditioning
from generator.teachers.gen3c.sampler import Denoiser, denoise
from generator.teachers.gen3c.text import MAX_TOKENS, default_negative_prompt, encode_prompts
from generator.teachers.gen3c.transformer import provide_mask_resize
from generator.teachers.safety import Guardrail
from generator.tokenizer import CosmosTokenizer
from lyra_sim.errors import LyraSimError

StepCallback = Callable[["Gen3CPipeline", int, Tensor, dict[str, Tensor]], dict[str, Tensor]]
"""Pipeline, step, timestep and the tensors asked for, to those of them that shall change."""


@dataclass
class Gen3COutput(BaseOutput):
    """Hold the videos that were sampled."""

    frames: Any
    """Frames as `output_type` asks for; the latents themselves with `latent`."""
    latents: Tensor
    """Latents, normalised and scaled by sigma_data, (B, C, T, h, w), which is what Lyra's decoder reads."""


class Gen3CPipeline(DiffusionPipeline):
    """Sample video that continues a picture along a camera path, guided by what a 3D cache shows there."""

    model_cpu_offload_seq = "text_encoder->transformer->vae"
    _optional_components: ClassVar[list[str]] = ["text_encoder", "tokenizer", "safety_checker"]
    _callback_tensor_inputs: ClassVar[list[str]] = ["latents"]

    def __init__(
        self,
        transformer: CosmosTransformer3DModel,
        vae: AutoencoderKLCosmos,
        scheduler: EDMEulerScheduler,
        text_encoder: nn.Module | None = None,
        tokenizer: object | None = None,
        safety_checker: object | None = None,
    ) -> None:
        """Put the components together.

        Args:
            transformer: The denoiser, `transformer.FULL_CONFIGURATION` or a smaller one of that kind.
            vae: Cosmos' video tokenizer.
            scheduler: The noise levels, from `sampler.make_scheduler`; those of Cosmos Video2World differ.
            text_encoder: T5 encoder; without it only the zero embedding can be used.
            tokenizer: Its tokenizer.
            safety_checker: diffusers' `CosmosSafetyChecker`; without it nothing is checked.
        """
        super().__init__()
        provide_mask_resize()
        self.register_modules(
            transformer=transformer,
            vae=vae,
            scheduler=scheduler,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            safety_checker=safety_checker,
        )
        self.video_processor = VideoProcessor(vae_scale_factor=vae.config.spatial_compression_ratio)

    @classmethod
    def from_pretrained(cls, *arguments: Any, **options: Any) -> Gen3CPipeline:
        """Read a pipeline from a folder or a hub name; see `DiffusionPipeline.from_pretrained`.

        Raises:
            LyraSimError: The package accelerate, which diffusers reads Cosmos networks with, is missing.
        """
        if find_spec("accelerate") is None:
            raise LyraSimError(
                "reading GEN3C's networks needs the package accelerate; install lyra-sim[teacher]"
            )
        return super().from_pretrained(*arguments, **options)

    @property
    def max_buffers(self) -> int:
        """Buffers of the 3D cache that the denoiser has channels for."""
        channels = self.vae.config.latent_channels
        return (self.transformer.config.in_channels - channels - 1) // (2 * channels)

    @torch.no_grad()
    def __call__(
        self,
        image: Tensor,
        cache_pixels: Tensor,
        cache_masks: Tensor,
        *,
        prompt: str | list[str] | None = None,
        negative_prompt: str | list[str] | None = None,
        num_inference_steps: int = 35,
        guidance: float = 1.0,
        fps: int = 24,
        generator: torch.Generator | list[torch.Generator] | None = None,
        condition_seed: int = 1,
        latents: Tensor | None = None,
        output_type: str = "np",
        callback_on_step_end: StepCallback | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents",),
    ) -> Gen3COutput:
        """Sample one video per picture.

        Args:
            image: Conditioning pictures in [-1, 1], (B, 3, H, W).
            cache_pixels: What the 3D cache shows, in [-1, 1], newest buffer first, (B, F, N, 3, H, W).
            cache_masks: 1 where it shows something, (B, F, N, 1, H, W).
            prompt: Description of the scene; None stands for the zero embedding, which needs no text encoder.
            negative_prompt: What to keep away from; Cosmos' paragraph on bad video unless given.
            num_inference_steps: Euler steps.
            guidance: g in cond + g (cond - uncond); 0 runs the denoiser once per step and means no guidance.
            fps: Frame rate that the motion is meant for [1/s].
            generator: Source of the initial noise.
            condition_seed: Seed of the noise on the conditioning frame, which does not come from `generator`.
            latents: Standard normal noise to start from instead, (B, C, T, h, w).
            output_type: `np`, `pt`, `pil` (values in [0, 1]) or `latent`, which skips decoding.
            callback_on_step_end: Called after every step.
            callback_on_step_end_tensor_inputs: Tensors that it gets and may replace; only `latents`.

        Raises:
            LyraSimError: Shapes do not fit, a prompt has no text encoder, or a check of the safety checker fails.
        """
        self._check_inputs(image, cache_pixels, cache_masks, callback_on_step_end_tensor_inputs)
        device, batch = self._execution_device, len(image)
        text, negative_text = self._encode_text(prompt, negative_prompt, batch, device)
        conditioning = build_conditioning(
            image.to(device),
            cache_pixels.to(device),
            cache_masks.to(device, torch.float32),
            self._encode_video,
            max_buffers=self.max_buffers,
        )
        shape = conditioning.image_latent.shape
        if latents is None:
            latents = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
        condition_noise = torch.from_numpy(np.random.RandomState(condition_seed).standard_normal(shape))
        with self.progress_bar(total=num_inference_steps) as bar:

            def on_step(step: int, timestep: Tensor, latent: Tensor) -> Tensor:
                bar.update()
                if callback_on_step_end is None:
                    return latent
                asked = dict.fromkeys(callback_on_step_end_tensor_inputs, latent)
                return callback_on_step_end(self, step, timestep, asked).get("latents", latent)

            sampled = denoise(
                self._denoiser(fps, image.shape[-2:], device),
                self.scheduler,
                conditioning,
                text,
                negative_text,
                latents.to(device, torch.float32),
                condition_noise.to(device, torch.float32),
                steps=num_inference_steps,
                guidance=guidance,
                on_step=on_step,
            )
        frames = sampled if output_type == "latent" else self.decode_latents(sampled, output_type)
        self.maybe_free_model_hooks()
        return Gen3COutput(frames=frames, latents=sampled)

    def _denoiser(self, fps: int, size: torch.Size, device: torch.device) -> Denoiser:
        """Return the transformer as a function of float32 latents; only inside it are they of its own type."""
        padding = torch.zeros(1, 1, *size, device=device, dtype=self.transformer.dtype)

        def run(x: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
            dtype = self.transformer.dtype
            (output,) = self.transformer(
                x.to(dtype), timestep, text.to(dtype), fps=fps, padding_mask=padding, return_dict=False
            )
            return output.float()

        return run

    def _encode_video(self, video: Tensor) -> Tensor:
        """Encode video (B, 3, F, H, W) in [-1, 1] to normalised latents times sigma_data."""
        tokenizer = CosmosTokenizer.around(self.vae)
        latents = tokenizer.encode(video.to(self.vae.dtype)).float()
        return tokenizer.normalize(latents) * self.scheduler.config.sigma_data

    def decode_latents(self, latents: Tensor, output_type: str) -> Any:
        """Decode latents as they are sampled, (B, C, T, h, w), to frames as `output_type` asks for, checked.

        Raises:
            LyraSimError: The safety checker refuses the video.
        """
        tokenizer = CosmosTokenizer.around(self.vae)
        latents = latents.to(self._execution_device)
        raw = tokenizer.denormalize(latents / self.scheduler.config.sigma_data)
        video = tokenizer.decode(raw.to(self.vae.dtype)).float()
        if self.safety_checker is not None:
            video = self._checked(video)
        return self.video_processor.postprocess_video(video, output_type=output_type)

    def _checked(self, video: Tensor) -> Tensor:
        """Let the safety checker blur or refuse videos (B, 3, F, H, W)."""
        pictures = self.video_processor.postprocess_video(video, output_type="np")
        guardrail = Guardrail(self.safety_checker)
        device = str(self._execution_device)
        checked = [guardrail.checked((p * 255).astype(np.uint8), device=device) for p in pictures]
        return torch.from_numpy(np.stack(checked)).to(video).permute(0, 4, 1, 2, 3) / 127.5 - 1

    def _encode_text(
        self,
        prompt: str | list[str] | None,
        negative_prompt: str | list[str] | None,
        batch: int,
        device: torch.device,
    ) -> tuple[Tensor, Tensor]:
        if prompt is None:
            if negative_prompt is not None:
                raise LyraSimError(
                    "a negative prompt needs a prompt; give one, or neither for the zero embedding"
                )
            zeros = torch.zeros(batch, MAX_TOKENS, self.transformer.config.text_embed_dim, device=device)
            return zeros, zeros
        if self.text_encoder is None or self.tokenizer is None:
            raise LyraSimError(
                "a prompt needs the text encoder, which is not loaded; pass prompt=None without it"
            )
        prompts = [prompt] * batch if isinstance(prompt, str) else prompt
        away = default_negative_prompt() if negative_prompt is None else negative_prompt
        aways = [away] * batch if isinstance(away, str) else away
        if len(prompts) != batch or len(aways) != batch:
            raise LyraSimError(
                f"there are {batch} pictures, {len(prompts)} prompts and {len(aways)} negative prompts"
            )
        if self.safety_checker is not None and not all(map(self.safety_checker.check_text_safety, prompts)):
            raise LyraSimError("the safety checker refuses the prompt; change it")
        text, negative_text = (
            encode_prompts(self.tokenizer, self.text_encoder, p, device) for p in (prompts, aways)
        )
        return text, negative_text

    def _check_inputs(
        self, image: Tensor, pixels: Tensor, masks: Tensor, callback_inputs: tuple[str, ...]
    ) -> None:
        if image.ndim != 4 or image.shape[1] != 3:
            raise LyraSimError(f"pictures have shape {tuple(image.shape)}; give (B, 3, H, W)")
        batch, _, height, width = image.shape
        step = self.vae.config.spatial_compression_ratio * self.transformer.config.patch_size[-1]
        if height % step or width % step:
            raise LyraSimError(f"pictures are {height}x{width}; give multiples of {step}")
        wanted = (batch, *pixels.shape[1:3], 3, height, width)
        if pixels.ndim != 6 or pixels.shape != wanted:
            raise LyraSimError(
                f"cache_pixels has shape {tuple(pixels.shape)}; give (B, F, N, 3, H, W) of the picture"
            )
        if masks.shape != (*wanted[:3], 1, height, width):
            raise LyraSimError(
                f"cache_masks has shape {tuple(masks.shape)}; give (B, F, N, 1, H, W) of cache_pixels"
            )
        time = self.vae.config.temporal_compression_ratio
        if (pixels.shape[1] - 1) % time:
            raise LyraSimError(
                f"the cache shows {pixels.shape[1]} frames; give {time}k + 1, such as {15 * time + 1}"
            )
        unknown = sorted(set(callback_inputs) - set(self._callback_tensor_inputs))
        if unknown:
            raise LyraSimError(f"callbacks can have {self._callback_tensor_inputs}, not {unknown}")
