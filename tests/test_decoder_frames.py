"""Latents, times and images reach the decoder in the order and range it expects."""

from __future__ import annotations

import pytest
import torch

from generator.decoder import DecoderConfig
from generator.decoder.frames import crop_size, fit_depths, fit_images, fit_intrinsics, mirror_indices
from generator.decoder.latents import denormalize_latents, plucker_latents, time_latents
from generator.decoder.time_maps import normalised_times
from lyra_sim.errors import LyraSimError


def test_denormalising_undoes_the_diffusion_scale() -> None:
    """Stored = (raw - mean) / std * 0.5, channel before time, comes back as raw frames of joined views."""
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(2, 16, 3, 4, 5, generator=generator)
    mean, std = torch.randn(16, 3, generator=generator), 1 + torch.rand(16, 3, generator=generator)
    stored = (raw - mean[..., None, None]) / std[..., None, None] * 0.5
    restored = denormalize_latents(stored, mean, std)
    torch.testing.assert_close(restored, raw.transpose(1, 2).reshape(6, 16, 4, 5))


def test_720_rows_become_704_by_a_shift_of_cy() -> None:
    """720x1280 to 704x1280 keeps focal lengths and cx and moves cy by -8, as the data set has it."""
    found = fit_intrinsics(torch.tensor([1000.0, 1001.0, 640.0, 360.0]), (720, 1280), (704, 1280))
    assert found.tolist() == [1000.0, 1001.0, 640.0, 352.0]


def test_cropped_images_show_what_the_new_intrinsics_say() -> None:
    """A linear image, sampled at a point's old and new pixel, has the same value to a twentieth of a pixel."""
    columns = (torch.arange(60) + 0.5).expand(1, 1, 44, 60)
    fitted = fit_images(columns, (32, 32))
    fx, cx = fit_intrinsics(torch.tensor([50.0, 50.0, 30.0, 22.0]), (44, 60), (32, 32))[[0, 2]]
    slope = (20.5 - cx) / fx
    assert fitted[0, 0, 16, 20].item() == pytest.approx(30 + 50 * slope.item(), abs=0.05)
    assert crop_size((44, 60), (32, 32)) == (44, 44)


def test_depth_keeps_only_what_is_finite_and_positive() -> None:
    """Holes, negative and infinite depths become 0, and other values are picked, not averaged."""
    depths = torch.tensor([1.0, -1.0, float("inf"), float("nan"), 2.0, 3.0, 0.0, 4.0]).reshape(1, 1, 2, 4)
    assert fit_depths(depths, (2, 4)).flatten().tolist() == [1, 0, 0, 0, 2, 3, 0, 4]


def test_mirrored_indices_turn_at_both_ends() -> None:
    """Neighbouring indices differ by one and stay in range; one frame repeats."""
    assert mirror_indices(7, 3) == [0, 1, 2, 1, 0, 1, 2]
    assert mirror_indices(3, 1) == [0, 0, 0]
    assert mirror_indices(4, 4) == [0, 1, 2, 3]


def test_times_are_normalised_together_with_the_target() -> None:
    """Input and target indices share one linear map onto [0, 1]; equal ones are refused."""
    times, target = normalised_times(torch.tensor([4.0, 6.0, 8.0]), torch.tensor([12.0]))
    assert times.tolist() == [0.0, 0.25, 0.5]
    assert target.tolist() == [1.0]
    with pytest.raises(LyraSimError, match="equal"):
        normalised_times(torch.ones(2), torch.ones(1))


@pytest.mark.parametrize("vae", [False, True])
def test_maps_have_the_shapes_the_embeddings_take(vae: bool) -> None:
    """Plücker and time latents fit the decoder's channels, with a tokenizer and without."""
    config = DecoderConfig(plucker_embedding_vae=vae, time_embedding_vae=vae)

    def encode(video: torch.Tensor) -> torch.Tensor:
        frames = video[:, ::8].mean(2, keepdim=True)[..., ::8, ::8]
        return frames.expand(-1, -1, 16, -1, -1)

    c2w = torch.eye(4).repeat(2, 34, 1, 1)
    intrinsics = torch.tensor([40.0, 40.0, 24.0, 16.0]).expand(2, 34, 4)
    plucker = plucker_latents(config, c2w, intrinsics, (32, 48), views=2, encode=encode)
    assert plucker.shape == (2, 6, config.plucker_channels, 4, 6)
    for frames, latent_frames in ((17, 3), (1, 1)):
        times = time_latents(config, torch.rand(2, frames), (32, 48), encode=encode)
        assert times.shape == (2, latent_frames, config.time_channels, 4, 6)
