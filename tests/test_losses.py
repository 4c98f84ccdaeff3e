"""The losses and metrics against the official code's values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from generator import metrics
from generator.ssim import ssim_loss
from training import losses

DATA = Path(__file__).parent / "data" / "lyra"


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return load_file(DATA / "loss.safetensors")


def test_official_depth_loss_matches_the_golden(golden: dict[str, torch.Tensor]) -> None:
    """Show that the official depth loss has the official value, frames without any valid pixel included."""
    value = losses.depth_loss(golden["pred_depths"][:, :, 0], golden["gt_depths"][:, :, 0], official=True)
    torch.testing.assert_close(value, golden["depth"], atol=1e-6, rtol=1e-5)


def test_official_depth_normalisation_matches_the_golden(golden: dict[str, torch.Tensor]) -> None:
    """Show that each map is normalised as officially."""
    truth = golden["gt_depths"][:, :, 0].flatten(-2)
    valid = ((truth > 0) & truth.isfinite()).float()
    prediction = golden["pred_depths"][:, :, 0].flatten(-2)
    for name, depth in (("gt", truth.nan_to_num(0, 0, 0)), ("pred", prediction)):
        value = losses.normalise_depth(depth, valid, official=True)
        torch.testing.assert_close(value, golden[f"{name}_depth_normalised"], atol=1e-5, rtol=1e-5)


def test_official_opacity_loss_and_total_match_the_golden(golden: dict[str, torch.Tensor]) -> None:
    """Show that MSE + 0.05 depth + 0.1 opacity gives the official total."""
    mse = torch.nn.functional.mse_loss(golden["pred_images"], golden["gt_images"])
    opacity = losses.opacity_loss(golden["pred_opacity"], official=True)
    torch.testing.assert_close(mse, golden["mse"], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(opacity, golden["opacity"], atol=1e-6, rtol=1e-5)
    total = mse + 0.05 * golden["depth"] + 0.1 * opacity
    torch.testing.assert_close(total, golden["total_mse_depth_opacity"], atol=1e-6, rtol=1e-5)


def test_mended_depth_loss_ignores_scale_shift_and_holes() -> None:
    """Show that scaling and shifting the prediction changes nothing even where the truth has holes."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 8, 9, generator=generator) + 0.5
    truth[:, :5] = 0
    assert losses.depth_loss(3 * truth + 7, truth) < 1e-6
    assert losses.depth_loss(3 * truth + 7, truth, official=True) > 1e-3


def test_log_depth_loss_is_the_relative_error() -> None:
    """Show that a prediction 10% too far costs log 1.1 wherever the truth is known."""
    truth = torch.tensor([2.0, 5.0, 0.0])
    value = losses.log_depth_loss(truth * 1.1 + (truth == 0), truth)
    assert value.item() == pytest.approx(np.log(1.1), rel=1e-5)


def test_ssim_loss_agrees_with_the_metric() -> None:
    """Show that the differentiable SSIM is close to scikit-image's and 0 for equal images."""
    data = load_file(DATA / "metrics.safetensors")
    pred, truth = data["pred"].clamp(0, 1), data["gt"]
    assert ssim_loss(truth, truth).item() == pytest.approx(0, abs=1e-6)
    assert 1 - ssim_loss(pred, truth).item() == pytest.approx(
        data["ssim_pred_clamped"].mean().item(), abs=0.01
    )


def test_metrics_match_the_golden() -> None:
    """Show that PSNR clips the prediction and SSIM uses the official window."""
    data = load_file(DATA / "metrics.safetensors")
    for i in range(3):
        pred, truth = (data[k][i].permute(1, 2, 0).numpy() for k in ("pred", "gt"))
        assert metrics.psnr(pred, truth) == pytest.approx(data["psnr"][i].item(), abs=1e-4)
        assert metrics.ssim(np.clip(pred, 0, 1), truth) == pytest.approx(
            data["ssim_pred_clamped"][i].item(), abs=1e-4
        )


def test_relative_depth_error_counts_known_pixels_only() -> None:
    """Show that unknown pixels and those outside `where` do not count."""
    truth = np.array([0.0, 1.0, 2.0, 4.0])
    assert metrics.relative_depth_error(truth * 1.25, truth) == pytest.approx(0.25)
    assert np.isnan(metrics.relative_depth_error(truth, truth, where=truth > 10))
