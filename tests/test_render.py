"""The renderer's backends agree with each other and with themselves."""

from __future__ import annotations

import pytest
import torch

from generator.render import Rendering, rasterize
from lyra_sim.errors import LyraSimError

WIDTH, HEIGHT = 40, 28


def random_gaussians(count: int, seed: int, *, size: float = 0.08) -> list[torch.Tensor]:
    """Return means, scales, rotations, opacities and colours of Gaussians in front of `cameras`."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.rand(count, 3, generator=generator) * torch.tensor([5.0, 4.0, 5.0])
    scales = size * torch.exp(0.6 * torch.randn(count, 3, generator=generator))
    return [
        means - torch.tensor([2.5, 2.0, -1.0]),
        scales,
        torch.randn(count, 4, generator=generator),
        torch.rand(count, generator=generator),
        torch.rand(count, 3, generator=generator),
    ]


def cameras(views: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return poses along x and the intrinsics of a 40x28 image."""
    c2w = torch.eye(4).repeat(views, 1, 1)
    c2w[:, 0, 3] = torch.linspace(-0.3, 0.3, views)
    return c2w, torch.tensor([[34.0, 33.0, 20.5, 13.0]]).repeat(views, 1)


def loss(rendering: Rendering) -> torch.Tensor:
    """Weigh every output pixel at random, so that no gradient error cancels."""
    generator = torch.Generator().manual_seed(7)
    images = (rendering.rgb, rendering.depth, rendering.alpha)
    return sum((image * torch.randn(image.shape, generator=generator).to(image)).sum() for image in images)


def test_cpu_equals_reference_in_values_and_gradients() -> None:
    """The compiled backend gives the reference's images and gradients on a random scene."""
    results = []
    for backend in ("reference", "cpu"):
        gaussians = [tensor.requires_grad_() for tensor in random_gaussians(300, 0)]
        rendering = rasterize(*gaussians, *cameras(2), height=HEIGHT, width=WIDTH, backend=backend)
        loss(rendering).backward()
        results.append((rendering, [tensor.grad for tensor in gaussians]))
    (expected, expected_grads), (actual, actual_grads) = results
    for name in ("rgb", "depth", "median_depth", "alpha"):
        torch.testing.assert_close(getattr(actual, name), getattr(expected, name), rtol=1e-3, atol=1e-4)
    for actual_grad, expected_grad in zip(actual_grads, expected_grads, strict=True):
        scale = expected_grad.abs().max()
        torch.testing.assert_close(actual_grad / scale, expected_grad / scale, rtol=0, atol=1e-3)


def test_absurd_size_is_refused_before_allocation() -> None:
    """A picture 100,000 pixels wide is one clear error."""
    with pytest.raises(LyraSimError, match="100000"):
        rasterize(*random_gaussians(1, 0), *cameras(1), height=HEIGHT, width=100000)
