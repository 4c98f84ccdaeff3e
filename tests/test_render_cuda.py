"""The CUDA backend calls gsplat as Lyra does, seen through a stand-in with gsplat's signature."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch
from render_scenes import HEIGHT, IMAGES, WIDTH, cameras, loss, random_gaussians

from generator.render import cuda, rasterize
from generator.render.request import Request
from lyra_sim.errors import LyraSimError

CALLS: list[dict[str, Any]] = []


def rasterization(
    means: torch.Tensor,
    quats: torch.Tensor,
    scales: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
    viewmats: torch.Tensor,
    Ks: torch.Tensor,
    width: int,
    height: int,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    packed: bool = True,
    tile_size: int = 16,
    backgrounds: torch.Tensor | None = None,
    render_mode: str = "RGB",
    sparse_grad: bool = False,
    absgrad: bool = False,
    rasterize_mode: str = "classic",
    channel_chunk: int = 32,
    distributed: bool = False,
    camera_model: str = "pinhole",
    segmented: bool = False,
    covars: torch.Tensor | None = None,
    with_ut: bool = False,
    with_eval3d: bool = False,
    radial_coeffs: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """Stand in for gsplat 1.5.3's function of this name: record the call and draw with the reference."""
    CALLS.append({**locals(), "grad": torch.is_grad_enabled()})
    assert backgrounds is not None
    intrinsics = torch.stack([Ks[:, 0, 0], Ks[:, 1, 1], Ks[:, 0, 2], Ks[:, 1, 2]], dim=-1)
    rendering = rasterize(
        *(means, scales, quats, opacities, colors, torch.linalg.inv(viewmats), intrinsics),
        height=height,
        width=width,
        background=tuple(backgrounds[0].tolist()),
        near=near_plane,
        far=far_plane,
        projection="3dgut" if with_ut else "ewa",
        camera_model=camera_model,  # type: ignore[arg-type]
        distortion=(0.0,) * 4 if radial_coeffs is None else tuple(radial_coeffs[0].tolist()),  # type: ignore[arg-type]
        backend="reference",
    )
    return torch.cat([rendering.rgb, rendering.depth[..., None]], dim=-1), rendering.alpha[..., None], {}


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `import gsplat` find the stand-in, and torch report a CUDA device."""
    module = types.ModuleType("gsplat")
    module.rasterization = rasterization  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gsplat", module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    CALLS.clear()


@pytest.mark.parametrize("projection", ["ewa", "3dgut"])
def test_flags_are_those_of_lyra(projection: str) -> None:
    """Clip planes, blur, mode and 3DGUT flags reach gsplat; every view is its own call."""
    request = Request(HEIGHT, WIDTH, projection=projection)  # type: ignore[arg-type]
    with torch.no_grad():
        cuda.render(*random_gaussians(5), *cameras(2), request)
    assert len([call for call in CALLS if call["colors"].shape[-1] == 3]) == 2
    call = CALLS[0]
    assert (call["near_plane"], call["far_plane"], call["eps2d"]) == (0.1, 500.0, 0.3)
    assert (call["render_mode"], call["rasterize_mode"], call["packed"]) == ("RGB+ED", "classic", False)
    assert call["with_ut"] is call["with_eval3d"] is (projection == "3dgut")
    assert call["backgrounds"].tolist() == [[1.0, 1.0, 1.0]]
    assert call["viewmats"].shape == (1, 4, 4)


def test_deferred_gradients_equal_the_direct_ones() -> None:
    """Rendering each view once more on the way back gives the reference's images and gradients."""
    gaussians = random_gaussians(60, seed=1, size=0.2)
    results = []
    for render in (
        lambda leaves: cuda.render(*leaves, *cameras(2), Request(HEIGHT, WIDTH)),
        lambda leaves: rasterize(*leaves, *cameras(2), height=HEIGHT, width=WIDTH, backend="reference"),
    ):
        leaves = [tensor.clone().requires_grad_() for tensor in gaussians]
        rendering = render(leaves)
        loss(rendering).backward()
        results.append((rendering, [leaf.grad for leaf in leaves]))
    (actual, actual_grads), (expected, expected_grads) = results
    for image in ("rgb", "depth", "alpha"):
        torch.testing.assert_close(getattr(actual, image), getattr(expected, image))
    for one, other in zip(actual_grads, expected_grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert [call["grad"] for call in CALLS] == [False, False, True, True]
    assert torch.isnan(actual.median_depth).all()


def test_median_depth_is_within_a_bin() -> None:
    """The median from depth bins is near the reference's wherever it exists."""
    inputs = (*random_gaussians(200, seed=2, size=0.2), *cameras(1))
    actual = cuda.render(*inputs, Request(HEIGHT, WIDTH))
    expected = rasterize(*inputs, height=HEIGHT, width=WIDTH, backend="reference")
    for image in IMAGES:
        assert getattr(actual, image).shape == getattr(expected, image).shape
    hit = expected.median_depth > 0
    assert hit.any()
    assert torch.equal(hit, actual.median_depth > 0)
    assert (actual.median_depth - expected.median_depth)[hit].abs().median() < 0.1


def test_fisheye_coefficients_reach_3dgut_only() -> None:
    """gsplat distorts a fisheye in 3DGUT; for EWA the distortion is refused."""
    distortion = (0.05, 0.0, 0.0, 0.0)
    gaussians, views = random_gaussians(5), cameras(1)
    request = Request(HEIGHT, WIDTH, projection="3dgut", camera_model="fisheye", distortion=distortion)
    cuda.render(*gaussians, *views, request)
    assert CALLS[0]["radial_coeffs"].tolist()[0] == pytest.approx(distortion)
    with pytest.raises(LyraSimError, match="3dgut"):
        cuda.render(*gaussians, *views, Request(HEIGHT, WIDTH, camera_model="fisheye", distortion=distortion))


def test_missing_device_or_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gsplat, and without CUDA, the error says what to do."""
    inputs = (*random_gaussians(1), *cameras(1), Request(HEIGHT, WIDTH))
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(LyraSimError, match="pip install"):
        cuda.render(*inputs)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(LyraSimError, match="CUDA device"):
        cuda.render(*inputs)
