"""The Lyra decoder: latents of camera-path videos to 3D Gaussians (official parameter names)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from generator.decoder.attention import AttentionBlock
from generator.decoder.cache import CacheEmbed, CacheMaps
from generator.decoder.chunked import at_least_float32
from generator.decoder.config import DecoderConfig
from generator.decoder.head import GaussianActivation, make_deconv
from generator.decoder.inputs import DecoderInputs
from generator.decoder.mamba import MambaBlock
from generator.decoder.patch_embed import PatchEmbed, tokens_to_volume, views_to_sequence
from generator.decoder.prune import prune
from generator.decoder.scan import ScanBackend

HeadPrecision = Literal["float32", "bfloat16"]
"""float32 (at least) keeps positions exact whatever the network's dtype is; bfloat16 is the official pipeline's
arithmetic, which leaves positions 8 significant bits."""


class LyraDecoder(nn.Module):
    """Map latents, rays and (dynamic model) times to pixel-aligned Gaussians.

    The network runs in the dtype of its weights, whatever the inputs have. `scan_backend`, `head_precision`
    and `gradient_checkpointing` are attributes to set at run time. The stages can be called one by one:
    `embed` (maps to tokens), `mix` (blocks), `head` (tokens to raw channels per cell and frame), `activate`
    (raw channels and rays to Gaussians), `prune`; `raw_volume` is the first three.
    """

    def __init__(self, config: DecoderConfig) -> None:
        """Make a decoder with fresh weights; load published ones with `load_state_dict(strict=True)`."""
        super().__init__()
        self.config = config
        self.scan_backend: ScanBackend = "auto"
        self.head_precision: HeadPrecision = "float32"
        self.gradient_checkpointing = False
        self.patch_embed = PatchEmbed(
            config.latent_channels, config.embed_dim, config.spatial_patch, zero=False
        )
        self.patch_plucker_embed = self._zero_branch(config.plucker_channels)
        if config.time_embedding:
            self.patch_time_embed = self._zero_branch(config.time_channels)
            self.patch_time_embed_tgt = self._zero_branch(config.time_channels)
        if config.cache_branch:
            self.patch_cache_embed = CacheEmbed(config)
            self.cache_gate = nn.Parameter(torch.zeros(2))
        self.enc_blocks = nn.ModuleList(self._block(i) for i in range(config.depth))
        self.enc_norm = nn.LayerNorm(config.embed_dim, eps=1e-6)
        self.deconv = make_deconv(config)
        self.activation = GaussianActivation.of(config)
        self.apply(_init_linear)

    def _zero_branch(self, channels: int) -> PatchEmbed:
        """Return an embedding that starts as the LayerNorm of zero, which is zero."""
        return PatchEmbed(channels, self.config.embed_dim, self.config.spatial_patch, zero=True)

    def _block(self, index: int) -> nn.Module:
        """Return block `index`, attention or Mamba-2."""
        config = self.config
        if config.is_attention(index):
            return AttentionBlock(
                config.embed_dim, config.num_heads, config.mlp_ratio, qk_norm=config.use_qk_norm
            )
        return MambaBlock(
            config.embed_dim,
            state_size=config.state_size,
            head_dim=config.head_dim,
            conv_width=config.conv_width,
        )

    def forward(self, inputs: DecoderInputs) -> Tensor:
        """Return all Gaussians before pruning, (B, V*T*(H/f)*(W/f), 14), in the frame of the rays.

        Order: view, frame, row, column. Channels: position 3, opacity 1, scale 3, rotation 4 (wxyz), rgb 3.
        """
        return self.activate(self.raw_volume(inputs), inputs)

    def prune(self, gaussians: Tensor) -> Tensor:
        """Return the most opaque Gaussians, (B, K, 14), after the configured ratio."""
        return prune(gaussians, self.config.prune_ratio)

    def raw_volume(self, inputs: DecoderInputs) -> Tensor:
        """Return the raw channels on their grid, (B, V, 12, T, H/f, W/f): what training supervises."""
        return self.head(self.mix(self.embed(inputs)), inputs)

    def embed(self, inputs: DecoderInputs) -> Tensor:
        """Return the tokens of all views as one sequence, (B, V*t*(h/2)*(w/2), D)."""
        tokens = self.embed_scene(inputs)
        if inputs.times is None or not self.config.use_time_embedding:
            return tokens
        target = self.embed_target(inputs.times[:, inputs.latent_frames :])
        return tokens + target.repeat(1, inputs.latents.shape[1], 1)

    def embed_scene(self, inputs: DecoderInputs) -> Tensor:
        """Return the tokens without the target time: what all target times of a scene share."""
        views = inputs.views

        def clips(maps: Tensor) -> Tensor:
            return maps.unflatten(1, (views, -1)).flatten(0, 1)

        tokens = self.patch_embed(clips(inputs.latents)) + self.patch_plucker_embed(clips(inputs.plucker))
        if self.config.use_time_embedding:
            assert inputs.times is not None
            times = self.patch_time_embed(inputs.times[:, : inputs.latent_frames])
            tokens = tokens + times.repeat_interleave(views, dim=0)
        if inputs.cache is not None:
            tokens = tokens + self.patch_cache_embed(inputs.cache, views)
        return views_to_sequence(tokens, views)

    def embed_target(self, times: Tensor) -> Tensor:
        """Return the target time's tokens for one latent frame of one view, (B, (h/2)*(w/2), D)."""
        return self.patch_time_embed_tgt(times)

    def mix(self, tokens: Tensor) -> Tensor:
        """Return the tokens after all blocks, before `enc_norm`."""
        for block in self.enc_blocks:
            tokens = self._run(self.run_block, block, tokens)
        return tokens

    def run_block(self, block: nn.Module, tokens: Tensor) -> Tensor:
        """Return the tokens after one block."""
        if isinstance(block, MambaBlock):
            return block(tokens, backend=self.scan_backend)
        return block(tokens)

    def head(self, tokens: Tensor, inputs: DecoderInputs) -> Tensor:
        """Return the raw channels (B, V, 12, T, H/f, W/f) from the tokens after all blocks."""
        h, w = (side // self.config.spatial_patch for side in inputs.latents.shape[-2:])
        volume = tokens_to_volume(self.enc_norm(tokens), inputs.views, (inputs.latent_frames, h, w))
        raw = self._run(self.deconv, volume).unflatten(0, (-1, inputs.views))
        return raw if inputs.cache is None else self._add_cache(raw, inputs.cache)

    def _add_cache(self, raw: Tensor, cache: CacheMaps) -> Tensor:
        """Add the cache's distance, gated per cell by whether the cache saw it, to the raw distance."""
        known = self.activation.raw_distance(cache.distance)
        gate = torch.where(cache.mask > 0.5, self.cache_gate[1], self.cache_gate[0])
        skip = (gate * known).unflatten(1, (raw.shape[1], -1))[:, :, None]
        return torch.cat([raw[:, :, :1] + skip, raw[:, :, 1:]], dim=2)

    def activate(self, raw: Tensor, inputs: DecoderInputs) -> Tensor:
        """Return Gaussians (B, N, 14) from the raw volume and the rays of `inputs`."""
        flat = raw.movedim(2, -1).flatten(1, -2)
        flat = flat.bfloat16() if self.head_precision == "bfloat16" else at_least_float32(flat)
        origins, directions = (
            rays.movedim(2, -1).flatten(1, -2).to(flat.dtype) for rays in (inputs.origins, inputs.directions)
        )
        return self.activation(flat, origins, directions)

    def _run(self, function, *args):  # type: ignore[no-untyped-def]
        """Call a stage, recomputed in the backward pass when gradient checkpointing is on."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(function, *args, use_reentrant=False)
        return function(*args)


def _init_linear(module: nn.Module) -> None:
    """Draw linear weights from a truncated normal of 0.02; convolutions keep their own start."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
