"""What goes into the decoder, and how it follows from cameras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from generator.decoder.cache import CacheMaps
from generator.decoder.config import DecoderConfig
from generator.decoder.rays import frames_to_latent_channels, pixel_rays, plucker_maps, ray_length_per_depth
from lyra_sim.errors import LyraSimError

RayPrecision = Literal["float32", "bfloat16"]
"""float32 rays are right; bfloat16 rays are those that the published weights were trained with."""


@dataclass(frozen=True)
class DecoderInputs:
    """Hold the tensors of one decode; every V*something axis is views first, then time."""

    latents: Tensor
    """Raw tokenizer latents, (B, V*t, 16, h, w)."""
    plucker: Tensor
    """Plücker maps at latent resolution, (B, V*t, `config.plucker_channels`, h, w)."""
    origins: Tensor
    """Ray origins per output cell, first camera's OpenCV frame, (B, V*T, 3, H/f, W/f)."""
    directions: Tensor
    """Unit ray directions per output cell, same frame, (B, V*T, 3, H/f, W/f)."""
    views: int = 1
    """Number V of camera trajectories."""
    times: Tensor | None = None
    """Time maps of the t input latent frames, then of the target, (B, t+1, C, h, w); dynamic model only."""
    cache: CacheMaps | None = None
    """The 3D cache; with `cache_branch` only."""

    @property
    def latent_frames(self) -> int:
        """Latent frames t per view."""
        return self.latents.shape[1] // self.views

    def view(self, index: int) -> DecoderInputs:
        """Return the inputs of one view alone; times are those of all views."""

        def pick(maps: Tensor) -> Tensor:
            return maps.unflatten(1, (self.views, -1))[:, index]

        cache = self.cache
        return replace(
            self,
            latents=pick(self.latents),
            plucker=pick(self.plucker),
            origins=pick(self.origins),
            directions=pick(self.directions),
            views=1,
            cache=None
            if cache is None
            else CacheMaps(pick(cache.depth), pick(cache.mask), pick(cache.distance)),
        )

    def to(self, *args: object, **kwargs: object) -> DecoderInputs:
        """Return a copy with every tensor moved or cast, as `torch.Tensor.to` does."""

        def move(value: Tensor) -> Tensor:
            return value.to(*args, **kwargs)  # type: ignore[call-overload]

        cache = self.cache
        return replace(
            self,
            latents=move(self.latents),
            plucker=move(self.plucker),
            origins=move(self.origins),
            directions=move(self.directions),
            times=None if self.times is None else move(self.times),
            cache=None
            if cache is None
            else CacheMaps(move(cache.depth), move(cache.mask), move(cache.distance)),
        )


def direct_plucker(
    config: DecoderConfig, c2w: Tensor, intrinsics: Tensor, image_size: tuple[int, int], views: int
) -> Tensor:
    """Return Plücker maps for a decoder that takes them without a tokenizer, (B, V*t, 48, h, w).

    For every latent frame, the maps (latent resolution) of its 8 video frames are stacked on channels.
    """
    maps = plucker_maps(c2w, intrinsics, image_size, cell=config.space_compression)
    return per_view(maps, views, lambda clip: frames_to_latent_channels(clip, config.time_compression))


def per_view(maps: Tensor, views: int, apply) -> Tensor:  # type: ignore[no-untyped-def]
    """Apply a function of (B*V, T, ...) clips to (B, V*T, ...) maps and join the views again."""
    clips = maps.unflatten(1, (views, -1)).flatten(0, 1)
    return apply(clips).unflatten(0, (-1, views)).flatten(1, 2)


def build_inputs(
    config: DecoderConfig,
    latents: Tensor,
    c2w: Tensor,
    intrinsics: Tensor,
    image_size: tuple[int, int],
    *,
    views: int,
    plucker: Tensor | None = None,
    times: Tensor | None = None,
    cache_depth: Tensor | None = None,
    cache_mask: Tensor | None = None,
    rays: RayPrecision = "float32",
) -> DecoderInputs:
    """Make decoder inputs from latents and cameras.

    Args:
        config: The decoder's configuration.
        latents: Raw tokenizer latents, (B, V*t, 16, h, w).
        c2w: Camera-to-world poses, OpenCV axes, relative to the first camera, (B, V*T, 4, 4).
        intrinsics: fx, fy, cx, cy [px of `image_size`], (B, V*T, 4).
        image_size: Height and width of the video [px].
        views: Number V of trajectories.
        plucker: Tokenizer-encoded Plücker maps, (B, V*t, 32, h, w); needed with `plucker_embedding_vae`.
        times: Time maps, (B, t+1, C, h, w); needed by the dynamic model.
        cache_depth: z-depth of the 3D cache per output cell, holes filled [scene units], (B, V*T, H/f, W/f).
        cache_mask: 1 where the cache saw the cell, same shape.
        rays: Precision in which rays are computed.

    Raises:
        LyraSimError: Something that this decoder needs is not given, or something is that it has no use for.
    """
    _check_optional(config, plucker=plucker, times=times, cache_depth=cache_depth, cache_mask=cache_mask)
    dtype = getattr(torch, rays)
    c2w, intrinsics = c2w.to(dtype), intrinsics.to(dtype)
    origins, directions = pixel_rays(c2w, intrinsics, image_size, cell=config.cell)
    if plucker is None:
        plucker = direct_plucker(config, c2w, intrinsics, image_size, views)
    cache = None
    if cache_depth is not None and cache_mask is not None:
        length = ray_length_per_depth(intrinsics.float(), image_size, cell=config.cell)
        cache = CacheMaps(cache_depth, cache_mask, cache_depth * length)
    return DecoderInputs(latents, plucker, origins, directions, views, times, cache)


def _check_optional(config: DecoderConfig, **given: Tensor | None) -> None:
    """Refuse optional inputs that do not fit the configuration."""
    wanted = {
        "plucker": config.plucker_embedding_vae,
        "times": config.use_time_embedding,
        "cache_depth": config.cache_branch,
        "cache_mask": config.cache_branch,
    }
    for name, needed in wanted.items():
        if needed and given[name] is None:
            raise LyraSimError(f"this decoder needs {name}: give it, or take a decoder configured without")
        if not needed and given[name] is not None:
            raise LyraSimError(
                f"this decoder has no use for {name}: leave it away, or take one configured for it"
            )
