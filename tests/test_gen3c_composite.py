"""Putting the warp back into a sampled video."""

from __future__ import annotations

import numpy as np
import torch

from generator.cache import CacheViews
from generator.teachers.gen3c.composite import composite


def _views(pixels: torch.Tensor, mask: torch.Tensor) -> CacheViews:
    return CacheViews(torch.where(mask[:, None], pixels, -1)[:, None], mask[:, None].float(), mask[:, None])


def _scene() -> tuple[np.ndarray, CacheViews]:
    rng = np.random.default_rng(0)
    truth = rng.integers(40, 200, (2, 16, 24, 3), dtype=np.uint8)
    mask = torch.ones(2, 16, 24, dtype=torch.bool)
    mask[:, 4:10, 8:16] = False
    return truth, _views(torch.from_numpy(truth).permute(0, 3, 1, 2).float() / 127.5 - 1, mask)


def test_what_is_seen_is_the_warp() -> None:
    """Show that covered pixels are the warp's to the byte, whatever was sampled there."""
    truth, views = _scene()
    merged = composite(np.zeros_like(truth), views, views)
    seen = views.mask[:, 0].numpy()
    assert np.array_equal(merged[seen], truth[seen])


def test_a_right_sample_stays_as_it_is() -> None:
    """Show that holes keep their samples where the sampled video agrees with the warp around them."""
    truth, views = _scene()
    assert np.array_equal(composite(truth, views, views), truth)


def test_a_tint_is_mostly_taken_out_of_the_holes() -> None:
    """Show that a video that is wrong by one tint everywhere is less than half as wrong in the holes."""
    truth, views = _scene()
    merged = composite(truth + np.uint8(40), views, views)
    holes = ~views.mask[:, 0].numpy()
    assert np.abs(merged[holes].astype(int) - truth[holes]).max() < 20


def test_views_without_holes_and_without_anything_else() -> None:
    """Show that a full view is the warp and that an empty one is the sample."""
    truth, views = _scene()
    everything = _views(views.pixels[:, 0], torch.ones(2, 16, 24, dtype=torch.bool))
    nothing = _views(views.pixels[:, 0], torch.zeros(2, 16, 24, dtype=torch.bool))
    assert np.array_equal(composite(truth, nothing, nothing), truth)
    shown = ((everything.pixels[:, 0] + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(composite(truth, everything, everything), shown)
