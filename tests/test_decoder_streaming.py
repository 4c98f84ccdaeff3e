"""Decoding in parts gives what decoding in one go gives, and memory plans keep to their limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_decoder_model import TINY, randomised, tiny_inputs

from generator.decoder import DecoderConfig
from generator.decoder.attention import AttentionBlock
from generator.decoder.cost import (
    LEAST_SLICE,
    Workload,
    decoder_seconds,
    operations,
    plan,
    product_speed,
)
from generator.decoder.mamba import MambaBlock
from generator.decoder.prune import prune
from generator.decoder.streaming import Selection, decode, decode_times
from lyra_sim.errors import LyraSimError

FULL = Workload(views=6, latent_frames=16, rows=88, columns=160)


def test_streamed_decode_is_the_decode() -> None:
    """One view at a time gives the Gaussians of one pass, pruned, in the same order."""
    config = replace(TINY, cache_branch=True, time_embedding=True, use_time_embedding=True)
    model, inputs = randomised(config).double(), tiny_inputs(config, views=3, batch=2).to(torch.float64)
    seen: list[float] = []
    found = decode(model, inputs, progress=lambda fraction, _: seen.append(fraction))
    torch.testing.assert_close(found, model.prune(model(inputs)).detach(), rtol=1e-9, atol=1e-9)
    assert seen == sorted(seen)
    assert 0 <= seen[0] < seen[-1] < 1


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_blocks_in_slices_equal_whole_blocks(size: int) -> None:
    """Slices shorter than the convolution, rests, and one slice for all give the same tokens."""
    torch.manual_seed(0)
    tokens = torch.randn(2, 23, 32, dtype=torch.float64)
    mamba = MambaBlock(32, state_size=8, head_dim=16).double()
    attention = AttentionBlock(32, 2, 4.0, qk_norm=True).double()
    with torch.no_grad():
        torch.testing.assert_close(mamba.forward_in_slices(tokens, size), mamba(tokens))
        torch.testing.assert_close(attention.forward_in_slices(tokens, size), attention(tokens))


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=5), st.sampled_from([0.0, 0.5, 0.8]), st.integers(0, 99)
)
def test_selection_in_parts_equals_pruning_the_whole(sizes: list[int], ratio: float, seed: int) -> None:
    """However the Gaussians are cut, ties included, the same ones stay in the same order."""
    generator = torch.Generator().manual_seed(seed)
    gaussians = torch.randn(2, sum(sizes), 14, generator=generator)
    gaussians[..., 3] = torch.randint(0, 4, (2, sum(sizes)), generator=generator) / 4
    selection = Selection(sum(sizes), ratio)
    for part in gaussians.split(sizes, dim=1):
        selection.add(part)
    assert selection.gaussians is not None
    assert torch.equal(selection.gaussians, prune(gaussians, ratio))


def test_target_times_share_the_scene() -> None:
    """Each target time's Gaussians equal those of a decode of their own; the scene is embedded once."""
    config = replace(TINY, time_embedding=True, use_time_embedding=True)
    model, inputs = randomised(config).double(), tiny_inputs(config).to(torch.float64)
    assert inputs.times is not None
    targets = [torch.randn(1, 1, config.time_channels, 4, 6, dtype=torch.float64) for _ in range(3)]
    calls: list[int] = []
    model.patch_plucker_embed.register_forward_hook(lambda *_: calls.append(1))
    found = list(decode_times(model, inputs, targets))
    assert len(calls) == inputs.views
    for target, gaussians in zip(targets, found, strict=True):
        own = replace(inputs, times=torch.cat([inputs.times[:, :2], target], dim=1))
        torch.testing.assert_close(gaussians, decode(model, own), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(found[0], found[1])


def test_plan_keeps_to_the_limit() -> None:
    """Less memory means smaller slices and a smaller estimate, down to a refusal that names the least."""
    config = DecoderConfig.published()
    whole = plan(config, FULL, limit=None)
    assert whole.slice == 0
    limits = [whole.bytes // 2, whole.bytes // 3]
    plans = [plan(config, FULL, limit=limit) for limit in limits]
    assert all(0 < p.bytes <= limit for p, limit in zip(plans, limits, strict=True))
    assert plans[0].slice >= plans[1].slice >= LEAST_SLICE
    with pytest.raises(LyraSimError, match=r"memory limit of 0\.01 GiB"):
        plan(config, FULL, limit=10 << 20)


def test_full_size_fits_a_24_gb_gpu() -> None:
    """In bfloat16, six views at 704x1280x121 are planned without slices below 24 GB, weights and inputs aside."""
    assert plan(DecoderConfig.published(), FULL, limit=20 << 30, element=2).slice == 0


def test_operations_match_the_published_count() -> None:
    """One full-size attention layer's score and value products are 2.3e14 operations."""
    config = DecoderConfig.published()
    assert FULL.views * FULL.tokens_per_view(config) == 337_920
    assert FULL.views * FULL.gaussians_per_view(config) == 10_222_080
    pairs = 4 * 337_920**2 * 512
    assert pairs == pytest.approx(2.3e14, rel=0.02)
    projections = 337_920 * (8 * 512**2 + 16 * 512**2)
    assert operations(config, FULL)["attention"] == pytest.approx(2 * (pairs + projections))


def test_time_estimate_grows_with_the_work() -> None:
    """Six views are estimated to take longer than one, and two target times almost twice as long as one."""
    config = DecoderConfig.published(dynamic=True)
    one, six = (decoder_seconds(config, replace(FULL, views=views), 1e11) for views in (1, 6))
    assert 0 < one < six
    assert 1.9 * six < decoder_seconds(config, FULL, 1e11, targets=2) < 2 * six
    assert product_speed(torch.device("cpu"), torch.float32) > 1e8
