"""The renderer refuses what it cannot draw, in one clear line, and picks its backend as documented."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from render_scenes import HEIGHT, WIDTH, cameras, random_gaussians

from generator.render import rasterize, render_views
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians

SIZE = {"height": HEIGHT, "width": WIDTH}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"height": HEIGHT, "width": 100_000}, "100000"),
        ({"height": 0, "width": WIDTH}, "height 0"),
        ({"height": 16384, "width": 16384 + 1}, "16385"),
        ({**SIZE, "near": 5.0, "far": 1.0}, "near 5.0"),
        ({**SIZE, "projection": "orthographic"}, "orthographic"),
        ({**SIZE, "camera_model": "ftheta"}, "ftheta"),
        ({**SIZE, "distortion": (0.1, 0.0, 0.0, 0.0)}, "distortion"),
        ({**SIZE, "camera_model": "fisheye", "distortion": (0.1,)}, "k1..k4"),
        ({**SIZE, "alpha_cap": 1.0}, "alpha_cap"),
        ({**SIZE, "backend": "vulkan"}, "vulkan"),
        ({**SIZE, "backend": "cuda"}, "CUDA"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], word: str) -> None:
    """Each impossible option is a LyraSimError that names it."""
    with pytest.raises(LyraSimError, match=word):
        rasterize(*random_gaussians(2), *cameras(1), **options)


def test_too_many_pixels_over_all_views_are_refused() -> None:
    """The limit counts all views together, before anything is allocated."""
    poses, intrinsics = torch.eye(4).expand(17, 4, 4), torch.ones(17, 4)
    with pytest.raises(LyraSimError, match="17 views"):
        rasterize(*random_gaussians(1), poses, intrinsics, height=4096, width=4096)


@pytest.mark.parametrize("index", range(7))
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(index: int, value: float) -> None:
    """NaN or infinity in any input is named."""
    inputs = [*random_gaussians(5), *(t.clone() for t in cameras(1))]
    inputs[index].view(-1)[-1] = value
    name = ("means", "scales", "rotations", "opacities", "colors", "c2w", "intrinsics")[index]
    with pytest.raises(LyraSimError, match=name):
        rasterize(*inputs, **SIZE)


def test_finite_values_whose_sum_overflows_are_accepted() -> None:
    """The cheap check by the sum does not refuse large but finite colours."""
    gaussians = random_gaussians(4)
    gaussians[4][:] = 3e38
    rasterize(*gaussians, *cameras(1), **SIZE)


@pytest.mark.parametrize("index", range(5))
def test_shapes_that_do_not_fit_are_refused(index: int) -> None:
    """A tensor of another length than the means is named with both shapes."""
    gaussians = random_gaussians(5)
    gaussians[index] = gaussians[index][:4]
    with pytest.raises(LyraSimError, match="shape"):
        rasterize(*gaussians, *cameras(1), **SIZE)


def test_logarithms_and_logits_are_recognised() -> None:
    """Negative scales and opacities outside [0, 1] are refused with what to pass instead."""
    gaussians = random_gaussians(3)
    with pytest.raises(LyraSimError, match="logarithms"):
        rasterize(gaussians[0], -gaussians[1], *gaussians[2:], *cameras(1), **SIZE)
    with pytest.raises(LyraSimError, match="logits"):
        rasterize(*gaussians[:3], gaussians[3] - 2, gaussians[4], *cameras(1), **SIZE)


def test_environment_overrides_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """LYRA_SIM_RENDERER picks the backend, and a wrong value is an error that lists the right ones."""
    inputs = (*random_gaussians(3), *cameras(1))
    monkeypatch.setenv("LYRA_SIM_RENDERER", "opengl")
    with pytest.raises(LyraSimError, match=r"opengl.*reference, cpu, cuda"):
        rasterize(*inputs, **SIZE)
    monkeypatch.setenv("LYRA_SIM_RENDERER", "reference")
    assert rasterize(*(t.double() for t in inputs), **SIZE).rgb.dtype == torch.float64
    monkeypatch.setenv("LYRA_SIM_RENDERER", "cpu")
    assert rasterize(*(t.double() for t in inputs), **SIZE).rgb.dtype == torch.float32


def test_gradients_through_3dgut_fall_to_the_reference() -> None:
    """Without a named backend they come from the reference; asked of the compiled one, they are refused."""
    leaves = [t.requires_grad_() for t in random_gaussians(5, size=0.3)]
    rasterize(*leaves, *cameras(1), **SIZE, projection="3dgut").rgb.sum().backward()
    assert leaves[0].grad is not None
    with pytest.raises(LyraSimError, match="reference"):
        rasterize(*leaves, *cameras(1), **SIZE, projection="3dgut", backend="cpu")


def test_render_views_takes_numpy_scenes() -> None:
    """The convenience for numpy scenes renders what `rasterize` renders."""
    tensors = random_gaussians(50)
    scene = Gaussians.from_rgb(*(tensor.numpy() for tensor in tensors))
    poses, intrinsics = cameras(2)
    actual = render_views(scene, poses.numpy().astype(np.float64), intrinsics.numpy(), **SIZE)
    expected = rasterize(*tensors, poses, intrinsics, **SIZE)
    torch.testing.assert_close(actual.rgb, expected.rgb, rtol=1e-4, atol=1e-5)
