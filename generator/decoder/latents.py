"""Bring tokenizer latents, Plücker maps and time maps into the form and order the decoder expects.

`encode` stands for any tokenizer encoder: it takes videos (B, T, 3, H, W) and returns latents
(B, t, C, h, w) with t = (T - 1) / 8 + 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from generator.decoder.config import DecoderConfig
from generator.decoder.inputs import direct_plucker, per_view
from generator.decoder.rays import frames_to_latent_channels, plucker_maps
from generator.decoder.time_maps import embed_times, spread_times

Encode = Callable[[Tensor], Tensor]

SIGMA_DATA = 0.5
"""Scale of GEN3C's diffusion space: latents there have this standard deviation."""
FRAMES_AT_ONCE = 8
"""Frames whose full-resolution rays are computed together."""


def denormalize_latents(
    latents: Tensor, mean: Tensor, std: Tensor, *, sigma_data: float = SIGMA_DATA
) -> Tensor:
    """Turn latents that GEN3C stored in its diffusion space into raw tokenizer latents.

    Args:
        latents: Stored latents, channel before time as on disk, (V, C, t, h, w).
        mean: The tokenizer's `mean_std.pt`, per channel and latent frame, (C, t) or with axes of 1.
        std: As `mean`.
        sigma_data: Scale of the diffusion space.

    Returns:
        Raw latents, time before channel and views joined, (V*t, C, h, w).
    """
    channels, frames = latents.shape[1:3]
    mean, std = (x.reshape(1, channels, frames, 1, 1) for x in (mean, std))
    return (latents / sigma_data * std + mean).transpose(1, 2).flatten(0, 1)


def encode_plucker_maps(encode: Encode, maps: Tensor, views: int) -> Tensor:
    """Encode full-resolution Plücker maps (B, V*T, 6, H, W) as latents (B, V*t, 2*C, h, w).

    Moment and direction each go through the encoder as a video of three channels, unchanged: not mapped
    to [-1, 1]. Clips go one at a time, because an encoder at full size needs the memory.
    """

    def encode_clips(clips: Tensor) -> Tensor:
        encoded = [
            torch.cat([encode(clip[:, :3].unsqueeze(0)), encode(clip[:, 3:].unsqueeze(0))], dim=2)
            for clip in clips
        ]
        return torch.cat(encoded)

    return per_view(maps, views, encode_clips)


def plucker_latents(
    config: DecoderConfig,
    c2w: Tensor,
    intrinsics: Tensor,
    image_size: tuple[int, int],
    *,
    views: int,
    encode: Encode | None = None,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[float, str], None] | None = None,
) -> Tensor:
    """Return what `patch_plucker_embed` takes, from cameras as in `build_inputs`.

    Decoders with `plucker_embedding_vae` need `encode`; the others take the maps directly. Maps of full
    resolution exist for one view at a time: those of six views at 704x1280x121 would take 16 GB.

    Args:
        config: The decoder's configuration.
        c2w: Camera-to-world poses, OpenCV axes, relative to the first camera, (B, V*T, 4, 4).
        intrinsics: fx, fy, cx, cy [px of `image_size`], (B, V*T, 4).
        image_size: Height and width of the video [px].
        views: Number V of trajectories.
        encode: The tokenizer.
        dtype: Precision in which the maps are computed.
        progress: Called before each view with the fraction done and a message.
    """
    c2w, intrinsics = c2w.to(dtype), intrinsics.to(dtype)
    if not config.plucker_embedding_vae:
        return direct_plucker(config, c2w, intrinsics, image_size, views)
    assert encode is not None
    encoded = []
    for view in range(views):
        if progress:
            progress(view / views, f"encoding the rays of view {view + 1} of {views}")
        poses, lenses = (part.unflatten(1, (views, -1))[:, view] for part in (c2w, intrinsics))
        encoded.append(encode_plucker_maps(encode, _maps_of_a_view(poses, lenses, image_size), 1))
    return torch.cat(encoded, dim=1)


def _maps_of_a_view(c2w: Tensor, intrinsics: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Return the Plücker maps (B, T, 6, H, W) of one view, with temporary memory for a few frames only."""
    maps = c2w.new_empty(*c2w.shape[:2], 6, *image_size)
    for start in range(0, maps.shape[1], FRAMES_AT_ONCE):
        part = slice(start, start + FRAMES_AT_ONCE)
        maps[:, part] = plucker_maps(c2w[:, part], intrinsics[:, part], image_size)
    return maps


def encode_time_maps(encode: Encode, times: Tensor, target: Tensor, size: tuple[int, int]) -> Tensor:
    """Encode embedded times (B, T, 3) and the embedded target (B, 1, 3) as latents (B, t+1, C, h, w).

    The numbers fill the image and go from [0, 1] to [-1, 1]; the target is a video of one frame.
    """
    return torch.cat([encode(_time_map(part, size)) for part in (times, target)], dim=1)


def time_latents(
    config: DecoderConfig, times: Tensor, image_size: tuple[int, int], *, encode: Encode | None = None
) -> Tensor:
    """Return what a time embedding takes, (B, t, C, h, w), from normalised times (B, T) of one video.

    The target time is a video of one frame. Decoders with `time_embedding_vae` need `encode`; the others take
    the maps directly.
    """
    embedded = embed_times(times)
    if config.time_embedding_vae:
        assert encode is not None
        return encode(_time_map(embedded, image_size))
    height, width = (side // config.space_compression for side in image_size)
    return frames_to_latent_channels(_time_map(embedded, (height, width)), config.time_compression)


def _time_map(embedded: Tensor, size: tuple[int, int]) -> Tensor:
    """Return embedded times (B, T, 3) as a video (B, T, 3, H, W) in [-1, 1]."""
    return 2 * spread_times(embedded, size) - 1
