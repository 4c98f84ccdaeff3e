"""Pruning keeps the most opaque Gaussians, as many as the published pipeline does."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from generator.decoder.prune import keep_count, prune


def test_count_is_the_floor_of_a_double() -> None:
    """Of the full-size 10,222,080 Gaussians 2,044,415 stay at ratio 0.8: one less than a fifth."""
    assert keep_count(10_222_080, 0.8) == 2_044_415
    assert keep_count(816, 0.8) == 163


@given(st.integers(1, 60), st.sampled_from([0.0, 0.3, 0.5, 0.8]), st.integers(0, 2**31))
def test_prune_keeps_the_most_opaque_first(count: int, ratio: float, seed: int) -> None:
    """Exactly the K most opaque stay, in descending order, each with its own other channels."""
    gaussians = torch.randn(2, count, 14, generator=torch.Generator().manual_seed(seed))
    kept = prune(gaussians, ratio)
    if ratio == 0:
        assert torch.equal(kept, gaussians)
        return
    for item in range(2):
        order = gaussians[item, :, 3].argsort(descending=True)[: keep_count(count, ratio)]
        assert torch.equal(kept[item], gaussians[item, order])


def test_random_share_adds_from_the_rest() -> None:
    """With a random share, the top part stays and the drawn part comes from below it, without repeats."""
    gaussians = torch.randn(1, 100, 14, generator=torch.Generator().manual_seed(0))
    kept = prune(gaussians, 0.8, random_share=0.5, generator=torch.Generator().manual_seed(1))[0]
    order = gaussians[0, gaussians[0, :, 3].argsort(descending=True)]
    top = int(100 * (1 - 0.8) * 0.5)
    assert torch.equal(kept[:top], order[:top])
    assert len(kept) == 2 * top
    assert len(kept.unique(dim=0)) == len(kept)
    assert bool((kept[top:, 3] <= kept[top - 1, 3]).all())
