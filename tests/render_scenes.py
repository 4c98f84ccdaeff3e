"""Random Gaussians and cameras for the renderer's tests."""

from __future__ import annotations

import torch

from generator.render import Rendering

WIDTH, HEIGHT = 40, 28
IMAGES = ("rgb", "depth", "median_depth", "alpha")


def random_gaussians(
    count: int, seed: int = 0, *, size: float = 0.08, channels: int = 3
) -> list[torch.Tensor]:
    """Return means, scales, rotations, opacities and colours in front of `cameras`, float32."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.rand(count, 3, generator=generator) * torch.tensor([5.0, 4.0, 5.0])
    return [
        means - torch.tensor([2.5, 2.0, -1.0]),
        size * torch.exp(0.6 * torch.randn(count, 3, generator=generator)),
        torch.randn(count, 4, generator=generator),
        torch.rand(count, generator=generator),
        torch.rand(count, channels, generator=generator),
    ]


def cameras(views: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return poses along x and the intrinsics of a WIDTH x HEIGHT image."""
    c2w = torch.eye(4).repeat(views, 1, 1)
    c2w[:, 0, 3] = torch.linspace(-0.3, 0.3, views)
    return c2w, torch.tensor([[34.0, 33.0, 20.5, 13.0]]).repeat(views, 1)


def loss(rendering: Rendering) -> torch.Tensor:
    """Weigh every output pixel at random, so that no gradient error cancels."""
    generator = torch.Generator().manual_seed(7)
    images = (rendering.rgb, rendering.depth, rendering.alpha)
    weighted = [(image * torch.randn(image.shape, generator=generator).to(image)).sum() for image in images]
    return torch.stack(weighted).sum()


def assert_agree(actual: torch.Tensor, expected: torch.Tensor, name: str, *, share: float = 0.998) -> None:
    """Compare in units of the largest expected value; a few pixels may fall on the other side of a threshold."""
    assert actual.shape == expected.shape, name
    assert torch.isfinite(actual).all(), name
    if expected.numel() == 0:
        return
    error = (actual - expected).abs().flatten().double() / expected.abs().amax().clamp(min=1.0)
    assert error.quantile(share) < 1e-4, f"{name}: {error.quantile(share):.2e}"
    assert error.amax() < 2e-2 or name == "median_depth", f"{name}: {error.amax():.2e}"
