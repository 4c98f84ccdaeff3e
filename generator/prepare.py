"""From latents and cameras to what the decoder takes: rays and times, through the tokenizer where it wants them so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from generator.cameras import Cameras
from generator.decode_cost import DecodeCost, measure
from generator.decoder import DecoderInputs, LyraDecoder, build_inputs
from generator.decoder.inputs import RayPrecision
from generator.decoder.latents import plucker_latents, time_latents
from generator.decoder.time_maps import normalised_times
from generator.decoder.validate import check_inputs
from generator.inputs import WarpedDepth, relative_c2w
from generator.teachers.teacher import Progress
from generator.tokenizer import CosmosTokenizer
from lyra_sim.errors import LyraSimError

RayChoice = Literal["auto", "float32", "bfloat16"]
"""`auto`: into the network as its weights were trained, under the Gaussians in float32; the others mean both."""


@dataclass
class Preparation:
    """Hold one decode's request, and make the decoder's inputs of it."""

    tokenizer: CosmosTokenizer
    decoder: LyraDecoder
    latents: Tensor
    """Raw tokenizer latents, view-major, (1, V*t, C, h, w)."""
    cameras: list[Cameras]
    """T cameras per view, any common world frame."""
    warped: WarpedDepth | None
    """The warped conditioning depth, for decoders with the cache branch."""
    times: Sequence[float] | None
    """Target times [frames] of a dynamic decoder; None for a static one."""
    network_rays: RayPrecision
    """Precision of the rays that enter the network."""
    output_rays: RayPrecision
    """Precision of the rays that the Gaussians lie on."""
    memory_limit: int | None
    """Most bytes beside weights and inputs."""
    callback: Progress | None

    def checked(self) -> Preparation:
        """Return itself; raises LyraSimError where the parts of the request do not fit each other."""
        config, frames = self.decoder.config, len(self.cameras[0])
        if any((c.height, c.width) != self.image_size or len(c) != frames for c in self.cameras):
            raise LyraSimError("cameras of the views differ in image size or number; give views of one size")
        if config.cache_branch and self.warped is None:
            raise LyraSimError("this decoder has the cache branch: give the conditioning depth")
        if config.use_time_embedding and not self.times:
            raise LyraSimError("this decoder is for scenes that move: give a target time")
        if self.times is not None and not config.use_time_embedding:
            raise LyraSimError(
                "this decoder is for static scenes and has no target time; take dynamic weights (lyra-dynamic)"
            )
        for time in self.times or ():
            if not 0 <= time <= frames - 1:
                raise LyraSimError(f"target time {time:g} is outside of the video: give 0 to {frames - 1}")
        c2w, intrinsics = self._poses
        check_inputs(config, self.latents, c2w, intrinsics, self.image_size, views=len(self.cameras))
        if self.memory_limit is not None:
            self.cost.require(self.memory_limit)
        return self

    def inputs(self) -> DecoderInputs:
        """Return the decoder's inputs, on its device; a dynamic decoder's times are those of the first target."""
        config, device = self.decoder.config, self.decoder.deconv.weight.device
        c2w, intrinsics = (part.to(device) for part in self._poses)
        plucker = None
        if config.plucker_embedding_vae:
            plucker = plucker_latents(
                config,
                c2w,
                intrinsics,
                self.image_size,
                views=len(self.cameras),
                encode=self._encode,
                dtype=getattr(torch, self.network_rays),
                progress=self.progress_of(0.0, self._rays_share),
            )
        branch = self.warped
        return build_inputs(
            config,
            self.latents.to(device),
            c2w,
            intrinsics,
            self.image_size,
            views=len(self.cameras),
            plucker=plucker,
            times=torch.cat([self._input_times(), next(self.targets())], dim=1) if self.times else None,
            cache_depth=branch.depth.flatten(0, 1)[None].to(device) if branch else None,
            cache_mask=branch.mask.flatten(0, 1)[None].to(device) if branch else None,
            rays=self.output_rays,
        )

    def targets(self) -> Iterator[Tensor]:
        """Yield the time map of each target, (1, 1, C, h, w)."""
        last = len(self.cameras[0]) - 1
        for time in self.times or ():
            yield self._time_latents(torch.tensor([[time / last]]))

    def progress_of_decode(self) -> Progress:
        """Return what one decode reports its progress to, behind the encoding of the rays."""
        return self.progress_of(self._rays_share, 1.0)

    def progress_over_targets(self) -> Progress:
        """Return what the decodes of all targets report to, each of them from 0 to 1."""
        count, last, done = len(self.times or ()), 1.0, -1

        def report(fraction: float, message: str) -> None:
            nonlocal last, done
            done += fraction < last
            last = fraction
            share = self._rays_share + (1 - self._rays_share) * (done + fraction) / count
            if self.callback:
                self.callback(share, f"time {self.times[done]:g}: {message}")  # type: ignore[index]

        return report

    def progress_of(self, start: float, stop: float) -> Progress:
        """Return what a part of the work reports to that takes from `start` to `stop` of the whole."""

        def report(fraction: float, message: str) -> None:
            if self.callback:
                self.callback(start + (stop - start) * fraction, message)

        return report

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the video [px]."""
        return self.cameras[0].height, self.cameras[0].width

    @cached_property
    def _poses(self) -> tuple[Tensor, Tensor]:
        """Poses relative to the first camera (1, V*T, 4, 4), and intrinsics [px] (1, V*T, 4)."""
        joined = Cameras.joined(self.cameras)
        c2w = relative_c2w(torch.from_numpy(joined.c2w)).float()
        return c2w[None], torch.from_numpy(joined.intrinsics).float()[None]

    @cached_property
    def cost(self) -> DecodeCost:
        """What the decode takes here."""
        return measure(self.tokenizer, self.decoder, self.cameras, targets=len(self.times or (0,)))

    @cached_property
    def _rays_share(self) -> float:
        """Share of the time that encoding rays and times takes."""
        config = self.decoder.config
        if not (config.plucker_embedding_vae or (config.use_time_embedding and config.time_embedding_vae)):
            return 0.0
        return self.cost.tokenizer_seconds / self.cost.seconds

    def _input_times(self) -> Tensor:
        """Return the time maps of the input frames, (1, t, C, h, w); targets within them leave these alone."""
        frames = torch.arange(len(self.cameras[0]), dtype=torch.float32)[None]
        return self._time_latents(normalised_times(frames, frames[:, :1])[0])

    def _time_latents(self, times: Tensor) -> Tensor:
        """Return the time maps of normalised times (1, T), (1, t, C, h, w)."""
        device = self.decoder.deconv.weight.device
        return time_latents(self.decoder.config, times.to(device), self.image_size, encode=self._encode)

    def _encode(self, video: Tensor) -> Tensor:
        """Encode (B, T, 3, H, W) as (B, t, C, h, w)."""
        like = self.decoder.deconv.weight
        latents = self.tokenizer.encode(video.transpose(1, 2).to(device=like.device, dtype=like.dtype))
        return latents.transpose(1, 2)
