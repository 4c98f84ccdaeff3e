"""GEN3C's denoising loop: EDM and Euler, the first latent frame held to the conditioning picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import EDMEulerScheduler
from torch import Tensor

from generator.teachers.gen3c.conditioning import Conditioning

AUGMENT_SIGMA = 0.001
"""Noise on the conditioning frame; at and below this level the frame is not held any more."""

Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Network input (B, C, T, h, w), timestep (B,) and text (B, L, D) to the network's output (B, 16, T, h, w)."""
OnStep = Callable[[int, Tensor, Tensor], Tensor]
"""Step, timestep and latents after it to the latents to go on with."""


def make_scheduler() -> EDMEulerScheduler:
    """Return the scheduler with the settings that GEN3C samples with (they differ from Cosmos Video2World's)."""
    return EDMEulerScheduler(sigma_min=0.0002, sigma_max=80.0, sigma_data=0.5)


def denoise(
    network: Denoiser,
    scheduler: EDMEulerScheduler,
    conditioning: Conditioning,
    text: Tensor,
    negative_text: Tensor,
    noise: Tensor,
    condition_noise: Tensor,
    *,
    steps: int = 35,
    guidance: float = 1.0,
    on_step: OnStep | None = None,
) -> Tensor:
    """Sample a latent video.

    Args:
        network: The denoiser.
        scheduler: A scheduler from `make_scheduler`.
        conditioning: The conditioning frame and the warped cache.
        text: Embedding of the prompt, (B, L, D).
        negative_text: Embedding of the negative prompt, (B, L, D).
        noise: Standard normal noise to start from, (B, C, T, h, w).
        condition_noise: Standard normal noise on the conditioning frame, the same at every step, same shape.
        steps: Number of Euler steps.
        guidance: g in cond + g (cond - uncond), so 0 means no guidance; the unconditional branch sees no cache.
        on_step: Called after every step.

    Returns:
        Latents, normalised and scaled by sigma_data, (B, C, T, h, w).
    """
    scheduler.set_timesteps(steps, device=noise.device)
    scheduler.set_begin_index(0)
    latent = noise * scheduler.init_noise_sigma
    for i, timestep in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[i].to(latent)
        held = hold_condition(latent, conditioning, condition_noise, sigma, scheduler.config.sigma_data)
        scaled = scheduler.scale_model_input(held, timestep)
        time = timestep.expand(len(latent))
        output = network(conditioning.network_input(scaled), time, text)
        if guidance != 0:
            free = network(conditioning.network_input(scaled, with_buffers=False), time, negative_text)
            output = output + guidance * (output - free)
        output = _denoise_condition(output, held, conditioning, sigma, scheduler.config.sigma_data)
        latent = scheduler.step(output, timestep, held, return_dict=False)[0]
        if on_step is not None:
            latent = on_step(i, timestep, latent)
    return latent


def _indicator(conditioning: Conditioning, sigma: Tensor) -> Tensor:
    return conditioning.indicator * (sigma > AUGMENT_SIGMA)


def hold_condition(
    latent: Tensor, conditioning: Conditioning, condition_noise: Tensor, sigma: Tensor, sigma_data: float
) -> Tensor:
    """Put the conditioning frame into the noisy latent, scaled as if it had this noise level."""
    noisy = conditioning.image_latent + AUGMENT_SIGMA * condition_noise
    growth = torch.sqrt((sigma**2 + sigma_data**2) / (AUGMENT_SIGMA**2 + sigma_data**2))
    indicator = _indicator(conditioning, sigma)
    return indicator * noisy * growth + (1 - indicator) * latent


def _denoise_condition(
    output: Tensor, held: Tensor, conditioning: Conditioning, sigma: Tensor, sigma_data: float
) -> Tensor:
    """Replace the output on the conditioning frame by the one whose denoised value is that frame exactly."""
    total = sigma**2 + sigma_data**2
    skip, scale = sigma_data**2 / total, sigma * sigma_data / total.sqrt()
    exact = (conditioning.image_latent - skip * held) / scale
    indicator = _indicator(conditioning, sigma)
    return indicator * exact + (1 - indicator) * output
