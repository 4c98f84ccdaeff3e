"""Fitting trained networks to another tokenizer's latents."""

from __future__ import annotations

import torch

from generator.decoder import DecoderConfig, LyraDecoder
from generator.decoder.patch_embed import PatchEmbed
from training.distill import MINI
from training.refit import linear_map, refit_decoder, refit_teacher


def test_the_map_of_an_affine_relation_is_found() -> None:
    """Show that rows which depend on others by a matrix and an offset give back both, all of it explained."""
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(500, 5, generator=generator)
    matrix, offset = torch.randn(3, 5, generator=generator), torch.randn(3, generator=generator)
    found, at, explained = linear_map(source, source @ matrix.T + offset)
    torch.testing.assert_close(found, matrix, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(at, offset, atol=1e-4, rtol=1e-4)
    assert explained > 0.9999


def test_a_refitted_decoder_makes_the_same_tokens_of_the_new_latents() -> None:
    """Show that tokens of latents z under the refitted weights are those of `matrix z + offset` under the old."""
    torch.manual_seed(0)
    old, new = 4, 6
    layer = PatchEmbed(old, 8, 2, zero=False)
    matrix, offset = torch.randn(old, new), torch.randn(old)
    state = {f"patch_embed.{name}": value for name, value in layer.state_dict().items()}
    other = PatchEmbed(new, 8, 2, zero=False)
    refitted = refit_decoder(state, matrix, offset)
    other.load_state_dict({name.removeprefix("patch_embed."): value for name, value in refitted.items()})
    latents = torch.randn(1, 3, new, 4, 6)
    mapped = torch.einsum("dc,btchw->btdhw", matrix, latents) + offset[None, None, :, None, None]
    torch.testing.assert_close(other(latents), layer(mapped), atol=1e-4, rtol=1e-4)


def test_a_refitted_decoder_loads() -> None:
    """Show that refitted weights have the names and shapes of a decoder of that many latent channels."""
    config = DecoderConfig.from_dict(MINI.to_dict() | {"depth": 3, "latent_channels": 4})
    matrix = torch.randn(4, 6)
    state = refit_decoder(LyraDecoder(config).state_dict(), matrix, torch.zeros(4))
    wide = LyraDecoder(DecoderConfig.from_dict(config.to_dict() | {"latent_channels": 6}))
    wide.load_state_dict(state)


def test_a_refitted_teacher_reads_and_writes_the_new_latents() -> None:
    """Show that each group of input channels is mapped, the indicator and the padding mask are kept, and the output
    is mapped back."""
    torch.manual_seed(0)
    old, new, patch, width = 3, 5, 4, 7
    into, back = torch.randn(old, new), torch.randn(new, old)
    # Noisy latents, the indicator, one buffer (picture, mask), the padding mask.
    state = {
        "patch_embed.proj.weight": torch.randn(width, (3 * old + 2) * patch),
        "proj_out.weight": torch.randn(patch * old, width),
    }
    refitted = refit_teacher(state, into=into, back=back, buffers=2, patch=patch)
    groups = [
        torch.randn(new, patch),
        torch.randn(1, patch),
        *torch.randn(2, new, patch),
        torch.randn(1, patch),
    ]
    mapped = [into @ g if len(g) == new else g for g in groups]
    read = refitted["patch_embed.proj.weight"] @ torch.cat(groups).flatten()
    torch.testing.assert_close(
        read, state["patch_embed.proj.weight"] @ torch.cat(mapped).flatten(), atol=1e-4, rtol=1e-4
    )
    token = torch.randn(width)
    written = (refitted["proj_out.weight"] @ token).unflatten(0, (patch, new))
    before = (state["proj_out.weight"] @ token).unflatten(0, (patch, old))
    torch.testing.assert_close(written, before @ back.T, atol=1e-4, rtol=1e-4)
