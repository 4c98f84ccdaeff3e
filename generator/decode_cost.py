"""What a decode will take, before it starts: seconds and memory of tokenizer and decoder together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

import torch
from diffusers import AutoencoderKLCosmos
from torch import nn

from generator.cameras import Cameras
from generator.decoder import DecoderConfig, LyraDecoder
from generator.decoder.cost import SHARES, Workload, decoder_seconds, least_bytes, plan, product_speed
from generator.dry_run import Cost, dry_run
from generator.tokenizer import CosmosTokenizer, accelerate_cpu
from lyra_sim.errors import LyraSimError

TOKENIZER_ALLOWANCE = 1.2
"""Memory that the tokenizer's encoder was seen to take over what its tensors need."""


@dataclass(frozen=True)
class DecodeCost:
    """Hold what one decode takes on the device that its networks are on."""

    tokenizer_seconds: float
    """Time to encode rays and times, for decoders that want them encoded [s]."""
    decoder_seconds: float
    """Time of the decoder itself, for all target times [s]."""
    tokenizer_bytes: int
    """Peak while a view's rays are encoded, beside weights and inputs [bytes]; it cannot be cut further."""
    config: DecoderConfig
    """The decoder."""
    work: Workload
    """Its sizes."""
    element: int
    """Bytes per number of the networks."""

    @property
    def seconds(self) -> float:
        """Time of everything [s]."""
        return self.tokenizer_seconds + self.decoder_seconds

    def peak_bytes(self, limit: int | None = None) -> int:
        """Return the peak beside weights and inputs [bytes]; raises LyraSimError where a limit is too small."""
        self.require(limit)
        decoder = plan(self.config, self.work, limit=limit, element=self.element).bytes
        return max(self.tokenizer_bytes, decoder)

    @property
    def least_bytes(self) -> int:
        """Peak beside weights and inputs with the smallest slices [bytes]."""
        return max(self.tokenizer_bytes, least_bytes(self.config, self.work, element=self.element))

    def require(self, limit: int | None, *, beside: int = 0) -> None:
        """Raise LyraSimError where a memory limit [bytes] cannot be kept; `beside` is what is taken already."""
        if limit is not None and limit < self.least_bytes:
            raise LyraSimError(
                f"a memory limit of {(limit + beside) / 1e9:.2f} GB is too small: this decode needs at least "
                f"{(self.least_bytes + beside) / 1e9:.2f} GB{' in all' if beside else ' beside weights and inputs'}; "
                "raise the limit or decode fewer views"
            )


def measure(
    tokenizer: CosmosTokenizer, decoder: LyraDecoder, cameras: list[Cameras], *, targets: int = 1
) -> DecodeCost:
    """Return the cost of decoding one clip of cameras per view; times a matrix product on the decoder's device."""
    config, weight = decoder.config, decoder.deconv.weight
    frames, size = len(cameras[0]), (cameras[0].height, cameras[0].width)
    cells = (side // config.space_compression for side in size)
    work = Workload(len(cameras), config.latent_frames(frames), *cells)
    speed = product_speed(weight.device, weight.dtype)
    encoded, peak = 0.0, 0
    if config.plucker_embedding_vae:
        cost = encoder_cost(tokenizer, frames, size, weight.dtype)
        maps = 6 * frames * size[0] * size[1] * torch.float32.itemsize
        encoded, peak = 2 * len(cameras) * cost.operations, maps + int(TOKENIZER_ALLOWANCE * cost.peak)
    if config.use_time_embedding and config.time_embedding_vae:
        clips = [encoder_cost(tokenizer, length, size, weight.dtype) for length in (frames, 1)]
        encoded += clips[0].operations + targets * clips[1].operations
        peak = max(peak, int(TOKENIZER_ALLOWANCE * clips[0].peak))
    return DecodeCost(
        encoded / SHARES["tokenizer"] / speed,
        decoder_seconds(config, work, speed, targets=targets),
        peak,
        config,
        work,
        weight.element_size(),
    )


def encoder_cost(
    tokenizer: CosmosTokenizer, frames: int, image_size: tuple[int, int], dtype: torch.dtype
) -> Cost:
    """Return what encoding one clip of three channels takes."""
    return _encoder_cost(json.dumps(dict(tokenizer.network.config), default=str), frames, image_size, dtype)


@cache
def _encoder_cost(configuration: str, frames: int, image_size: tuple[int, int], dtype: torch.dtype) -> Cost:
    """Run an encoder of a configuration (JSON) without numbers, once."""
    with torch.device("meta"):
        network = accelerate_cpu(AutoencoderKLCosmos.from_config(json.loads(configuration)))
        # Diffusers' own `to` warns about modules to keep in float32, of which this network has none.
        nn.Module.to(network, dtype=dtype)
        clip = torch.empty(1, 3, frames, *image_size, dtype=dtype)
    with torch.no_grad():
        # What the network computes on its first call and keeps is not counted.
        network.encode(clip[:, :, :1])
    return dry_run(lambda: network.encode(clip))
