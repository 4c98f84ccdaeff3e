"""The Lyra chain from posed video to Gaussians: tokenizer, 3D cache, decoder, pruning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from generator.cameras import Cameras
from generator.decode_cost import DecodeCost, measure
from generator.decoder import DecoderConfig, LyraDecoder
from generator.decoder.streaming import decode, decode_times
from generator.decoder.validate import unusual_sizes
from generator.inputs import WarpedDepth, warp_conditioning, warp_footage
from generator.prepare import Preparation, RayChoice
from generator.sizes import Size
from generator.teachers.teacher import Clip, Progress
from generator.tokenizer import CosmosTokenizer, load_tokenizer
from generator.weights.checkpoint import Card, licence_of, load_checkpoint
from lyra_sim.errors import LyraSimError


class LyraPipeline:
    """Turn the clips of a teacher, or published latents, into Gaussians; the same code for every size."""

    def __init__(self, tokenizer: CosmosTokenizer, decoder: LyraDecoder, cards: dict[str, Card]) -> None:
        """Join two networks; `cards` describe `tokenizer` and `decoder`."""
        self.tokenizer = tokenizer
        self.decoder = decoder
        self.cards = cards

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path = "mini",
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        local_files_only: bool = False,
        accept_licence: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> LyraPipeline:
        """Load a pipeline by name or from a folder.

        Args:
            source: `mini` (embedded), an entry of `lyra-sim weights list` such as `lyra-static` or
                `lyra-dynamic`, the hub's name of one (`nvidia/Lyra`), or a folder that `save_pretrained` wrote.
            device: Where the networks run.
            dtype: Type of their weights; `torch.bfloat16` halves memory on a GPU.
            local_files_only: Whether to fail instead of downloading what is not here.
            accept_licence: Whether to accept the licence of what is downloaded; asked for once.
            say: Receives a line per step of a download.

        Raises:
            LyraSimError: The name is unknown, or weights are missing, damaged, or do not fit each other.
        """
        from generator.pretrained import find_cards

        cards = find_cards(source, local_files_only=local_files_only, accept_licence=accept_licence, say=say)
        return cls.from_cards(*cards).to(device, dtype)

    @classmethod
    def from_cards(cls, tokenizer_card: Path, decoder_card: Path) -> LyraPipeline:
        """Load both checkpoints; raises LyraSimError when one is missing, damaged or does not fit its card."""
        tokenizer, tokenizer_facts = load_tokenizer(tokenizer_card)
        state, facts = load_checkpoint(decoder_card, "decoder")
        decoder = LyraDecoder(DecoderConfig.from_dict(facts["configuration"]))
        try:
            decoder.load_state_dict({name: value.float() for name, value in state.items()})
        except RuntimeError as error:
            raise LyraSimError(f"{decoder_card}: weights do not fit the configuration ({error})") from error
        expected = facts.get("training", {}).get("tokenizer_sha256")
        if expected and expected != tokenizer_facts["sha256"]:
            raise LyraSimError(
                f"{decoder_card}: trained on latents of tokenizer {expected[:12]}, got {tokenizer_facts['sha256'][:12]}"
            )
        return cls(
            tokenizer, decoder.eval().requires_grad_(False), {"tokenizer": tokenizer_facts, "decoder": facts}
        )

    @classmethod
    def for_size(cls, size: Size) -> LyraPipeline:
        """Load the networks of a size where that size runs them; raises LyraSimError as `from_cards` does."""
        return cls.from_cards(size.tokenizer, size.decoder).to(size.device, getattr(torch, size.precision))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write both networks and their cards into a folder for `from_pretrained`; raises LyraSimError."""
        from generator.pretrained import save

        save(self, Path(folder))

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> LyraPipeline:
        """Move both networks, and cast them where a type is given; returns the pipeline itself."""
        self.tokenizer.to(device=device, dtype=dtype)
        self.decoder.to(device=device, dtype=dtype)
        return self

    @property
    def device(self) -> torch.device:
        """Where the networks run."""
        return self.decoder.deconv.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the networks' weights."""
        return self.decoder.deconv.weight.dtype

    @property
    def is_dynamic(self) -> bool:
        """Whether the decoder makes one set of Gaussians per target time."""
        return self.decoder.config.use_time_embedding

    @property
    def is_published(self) -> bool:
        """Whether the decoder's weights were published by others, with limits that their publisher set."""
        return "repository" in self.cards["decoder"].get("source", {})

    def provenance(self) -> dict[str, Any]:
        """Return what identifies both checkpoints, and their licences (JSON types)."""
        return {
            name: {
                "sha256": card["sha256"],
                "configuration_sha256": card["configuration_sha256"],
                "licence": licence_of(card),
            }
            for name, card in self.cards.items()
        }

    @torch.inference_mode()
    def encode(self, clips: tuple[Clip, ...], *, progress: Progress | None = None) -> torch.Tensor:
        """Return the raw latents of all clips, view-major, (1, V*t, C, h, w); a clip's own latents are taken."""
        latents = []
        for index, clip in enumerate(clips):
            if clip.latents is not None:
                latents.append(torch.from_numpy(clip.latents).float().transpose(0, 1))
                continue
            if progress:
                progress(index / len(clips), f"encoding {clip.name}")
            latents.append(self.tokenizer.encode_frames(clip.rgb).transpose(0, 1))
        return torch.cat(latents)[None]

    def cache(
        self, clips: tuple[Clip, ...], depth: np.ndarray, *, footage: Clip | None = None
    ) -> WarpedDepth | None:
        """Warp the conditioning frame's z-depth [m] (H, W), or that of a video, into every frame of every clip.

        None for decoders that take no depth.
        """
        config = self.decoder.config
        if not config.cache_branch:
            return None
        if footage is not None:
            return warp_footage(footage, clips, cell=config.cell, still=not self.is_dynamic)
        return warp_conditioning(depth, [clip.cameras for clip in clips], cell=config.cell)

    @torch.inference_mode()
    def decode(
        self,
        latents: torch.Tensor,
        cameras: list[Cameras],
        cache: WarpedDepth | None = None,
        *,
        time: float | None = None,
        rays: RayChoice = "auto",
        memory_limit: int | None = None,
        callback: Progress | None = None,
        say: Callable[[str], None] = warnings.warn,
    ) -> torch.Tensor:
        """Return pruned Gaussians (K, 14) in the OpenCV frame of the first camera, most opaque first.

        Channels: position 3, opacity 1, scale 3, rotation 4 (wxyz), rgb 3.

        Args:
            latents: Raw tokenizer latents, view-major, (1, V*t, C, h, w).
            cameras: One clip of T cameras per view, in any common world frame.
            cache: The warped conditioning depth, for decoders that have the branch.
            time: Target time of a dynamic decoder, as a frame number from 0 to T - 1.
            rays: `float32`, `bfloat16` (the official pipeline's), or `auto`: rays enter the network in the
                precision that its weights were trained with, and carry the Gaussians in float32.
            memory_limit: Bytes that the work may take beside weights, latents and rays; None for no limit.
            callback: Called with the fraction done and a short message.
            say: Receives a sentence about each thing that the weights were not trained for.

        Raises:
            LyraSimError: Latents, cameras, time and decoder do not fit each other, or the limit is too small.
        """
        if self.is_dynamic or time is not None:
            times = [] if time is None else [time]
            options: dict[str, Any] = {"rays": rays, "memory_limit": memory_limit, "callback": callback}
            return next(self.decode_times(latents, cameras, times, cache, say=say, **options))
        prepared = self._prepare(latents, cameras, cache, rays, memory_limit, callback, say)
        inputs, report = prepared.inputs(), prepared.progress_of_decode()
        return decode(self.decoder, inputs, memory_limit=memory_limit, progress=report)[0]

    @torch.inference_mode()
    def decode_times(
        self,
        latents: torch.Tensor,
        cameras: list[Cameras],
        times: Sequence[float],
        cache: WarpedDepth | None = None,
        *,
        rays: RayChoice = "auto",
        memory_limit: int | None = None,
        callback: Progress | None = None,
        say: Callable[[str], None] = warnings.warn,
    ) -> Iterator[torch.Tensor]:
        """Yield the Gaussians (K, 14) of each target time (frame numbers, 0 to T - 1) of a dynamic decoder.

        Everything that does not depend on the target time is computed once; arguments are those of `decode`.
        """
        prepared = self._prepare(latents, cameras, cache, rays, memory_limit, callback, say, times)
        sets = decode_times(
            self.decoder,
            prepared.inputs(),
            prepared.targets(),
            memory_limit=memory_limit,
            progress=prepared.progress_over_targets(),
        )
        for gaussians in sets:
            yield gaussians[0]

    def cost(self, cameras: list[Cameras], *, targets: int = 1) -> DecodeCost:
        """Return the time and memory that a decode takes here; `targets` is the number of target times."""
        return measure(self.tokenizer, self.decoder, cameras, targets=targets)

    def _prepare(
        self,
        latents: torch.Tensor,
        cameras: list[Cameras],
        cache: WarpedDepth | None,
        rays: RayChoice,
        memory_limit: int | None,
        callback: Progress | None,
        say: Callable[[str], None],
        times: Sequence[float] | None = None,
    ) -> Preparation:
        """Check what was given and return what makes the decoder's inputs of it."""
        if self.is_published:
            size = (cameras[0].height, cameras[0].width)
            for note in unusual_sizes(size, len(cameras[0]), len(cameras)):
                say(note)
        trained = self.cards["decoder"].get("rays", "float32")
        return Preparation(
            self.tokenizer,
            self.decoder,
            latents,
            cameras,
            cache if self.decoder.config.cache_branch else None,
            times=times,
            network_rays=trained if rays == "auto" else rays,
            output_rays="float32" if rays == "auto" else rays,
            memory_limit=memory_limit,
            callback=callback,
        ).checked()
