"""The embedded weights for pictures: they load by name, and belong to the embedded tokenizer."""

from __future__ import annotations

import numpy as np

from generator.depth import load_estimator
from generator.sizes import MINI
from generator.teachers.gen3c.load import load_denoiser
from generator.weights.checkpoint import load_card
from generator.weights.mini import describe


def test_the_embedded_estimator_estimates() -> None:
    """Show that `mini` loads and gives a room-sized, positive depth for a picture of any size."""
    estimate = load_estimator("mini", MINI).estimate(np.full((90, 120, 3), 128, np.uint8))
    assert estimate.depth.shape == (90, 120)
    assert (estimate.depth > 0.2).all()
    assert (estimate.depth < 100).all()


def test_the_embedded_denoiser_fits_the_pipeline() -> None:
    """Show that the denoiser takes one buffer, says how it is sampled, and knows its tokenizer."""
    network, card = load_denoiser(MINI.denoiser)
    latents = network.config.out_channels
    assert latents == load_card(MINI.tokenizer)["configuration"]["latent_channels"]
    assert network.config.in_channels == latents + 1 + 2 * latents
    assert 1 <= card["sampling"]["steps"] <= 12
    assert card["training"]["tokenizer_sha256"] == load_card(MINI.tokenizer)["sha256"]
    assert card["sha256"][:8] in describe()
