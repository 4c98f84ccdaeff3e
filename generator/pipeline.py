"""The Lyra chain from posed video to Gaussians: tokenizer, 3D cache, decoder, pruning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from generator.cameras import Cameras
from generator.decoder import DecoderConfig, LyraDecoder, build_inputs
from generator.inputs import WarpedDepth, relative_c2w, warp_conditioning
from generator.teachers.teacher import Clip, Progress
from generator.tokenizer import CosmosTokenizer, load_tokenizer
from generator.weights.checkpoint import Card, load_checkpoint
from lyra_sim.errors import LyraSimError


class LyraPipeline:
    """Turn the clips of a teacher into Gaussians; the same code for every size."""

    def __init__(self, tokenizer: CosmosTokenizer, decoder: LyraDecoder, cards: dict[str, Card]) -> None:
        self.tokenizer = tokenizer
        self.decoder = decoder
        self.cards = cards

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
            video = torch.from_numpy(clip.rgb).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
            latents.append(self.tokenizer.encode(video)[0].transpose(0, 1))
        return torch.cat(latents)[None]

    def cache(self, clips: tuple[Clip, ...], depth: np.ndarray) -> WarpedDepth:
        """Warp the conditioning frame's z-depth [m] (H, W) into every frame of every clip."""
        return warp_conditioning(depth, [clip.cameras for clip in clips], cell=self.decoder.config.cell)

    @torch.inference_mode()
    def decode(
        self, latents: torch.Tensor, cameras: list[Cameras], cache: WarpedDepth | None
    ) -> torch.Tensor:
        """Return pruned Gaussians (K, 14) in the OpenCV frame of the first camera, most opaque first.

        Args:
            latents: Raw tokenizer latents, view-major, (1, V*t, C, h, w).
            cameras: One clip of T cameras per view, in any common world frame.
            cache: The warped conditioning depth, for decoders that have the branch.
        """
        config = self.decoder.config
        if config.cache_branch and cache is None:
            raise LyraSimError("this decoder has the cache branch: give the conditioning depth")
        c2w = relative_c2w(torch.from_numpy(np.concatenate([c.c2w for c in cameras]))).float()
        intrinsics = torch.from_numpy(np.concatenate([c.intrinsics for c in cameras])).float()
        branch = cache if config.cache_branch else None
        inputs = build_inputs(
            config,
            latents,
            c2w[None],
            intrinsics[None],
            (cameras[0].height, cameras[0].width),
            views=len(cameras),
            cache_depth=branch.depth.flatten(0, 1)[None] if branch else None,
            cache_mask=branch.mask.flatten(0, 1)[None] if branch else None,
        )
        return self.decoder.prune(self.decoder(inputs))[0]
