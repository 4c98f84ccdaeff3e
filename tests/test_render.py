"""The renderer's backends agree, and its images obey the laws of compositing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from render_scenes import HEIGHT, IMAGES, WIDTH, assert_agree, cameras, loss, random_gaussians

from generator.render import Rendering, kernel, rasterize
from generator.render.reference import rotation_matrices

SIZE = {"height": HEIGHT, "width": WIDTH}
FISHEYE = {"camera_model": "fisheye", "distortion": (0.05, -0.02, 0.004, 0.0)}


def scene(name: str) -> list[torch.Tensor]:
    """Return one of the scenes that renderers get wrong."""
    gaussians = random_gaussians(120, seed=len(name), size=0.12)
    if name == "one":
        return random_gaussians(1, seed=3, size=0.5)
    if name == "behind":
        gaussians[0][:, 2] -= 3.5
    if name == "near_plane":
        gaussians[0][:, 2] = 0.1 + 0.05 * torch.linspace(-1, 1, 120)
    if name == "enormous":
        gaussians[1] *= torch.logspace(0, 4, 120)[:, None]
        gaussians[3] *= 0.2
    if name == "tiny":
        gaussians[1] *= torch.logspace(-7, 0, 120)[:, None]
    if name == "needles":
        gaussians[1] *= torch.tensor([10.0, 0.01, 0.0])
    if name == "opaque":
        gaussians[1] *= 4
        gaussians[3][:] = 1.0
    return gaussians


SCENES = ("random", "one", "behind", "near_plane", "enormous", "tiny", "needles", "opaque")


def render_with_gradients(
    gaussians: list[torch.Tensor], **options: object
) -> tuple[Rendering, list[torch.Tensor]]:
    """Return a rendering of two views and the gradients of its `loss`, both in double precision."""
    leaves = [tensor.clone().requires_grad_() for tensor in gaussians]
    dtype = leaves[0].dtype
    rendering = rasterize(*leaves, *(tensor.to(dtype) for tensor in cameras(2)), **SIZE, **options)
    loss(rendering).backward()
    return rendering, [leaf.grad.double() for leaf in leaves if leaf.grad is not None]


@pytest.mark.parametrize("name", SCENES)
def test_cpu_equals_reference(name: str) -> None:
    """Compiled images and gradients are the reference's, computed in double precision."""
    gaussians = scene(name)
    actual, actual_grads = render_with_gradients(gaussians, backend="cpu")
    expected, expected_grads = render_with_gradients([t.double() for t in gaussians], backend="reference")
    for image in IMAGES:
        assert_agree(getattr(actual, image), getattr(expected, image), image)
    for actual_grad, expected_grad in zip(actual_grads, expected_grads, strict=True):
        scale = expected_grad.abs().amax().clamp(min=1e-12)
        error = (actual_grad - expected_grad).abs() / scale
        assert error.flatten().quantile(0.99) < 1e-3
        assert error.amax() < 0.05


@pytest.mark.parametrize("seed", range(4))
def test_cpu_equals_reference_for_any_camera(seed: int) -> None:
    """Cameras anywhere and of any lens, turned any way, with images of any size give the same images and gradients."""
    generator = torch.Generator().manual_seed(seed)
    gaussians = random_gaussians(150, seed=seed, size=0.15)
    gaussians[0][:, 2] -= 3.5
    axis, angle = torch.randn(3, generator=generator), 3 * torch.rand((), generator=generator)
    pose = torch.eye(4)
    w, v = (angle / 2).cos(), axis / axis.norm() * (angle / 2).sin()
    pose[:3, :3] = rotation_matrices(torch.cat([w[None], v])[None])[0]
    pose[:3, 3] = 0.5 * torch.randn(3, generator=generator)
    height, width = (int(side) for side in torch.randint(1, 45, (2,), generator=generator))
    lens = torch.rand(4, generator=generator) * torch.tensor([40.0, 40.0, 1.6 * width, 1.6 * height])
    intrinsics = lens + torch.tensor([10.0, 10.0, -0.3 * width, -0.3 * height])
    options = {"height": height, "width": width, "near": 0.3, "far": 2.5}
    results = []
    for backend, dtype in (("cpu", torch.float32), ("reference", torch.float64)):
        leaves = [tensor.detach().to(dtype).requires_grad_() for tensor in gaussians]
        view = (pose[None].to(dtype), intrinsics[None].to(dtype))
        rendering = rasterize(*leaves, *view, **options, backend=backend)
        loss(rendering).backward()
        results.append((rendering, [leaf.grad for leaf in leaves]))
    (actual, actual_grads), (expected, expected_grads) = results
    assert expected.alpha.amax() > 0.1
    for image in IMAGES:
        assert_agree(getattr(actual, image), getattr(expected, image).detach(), image, share=0.99)
    for one, other in zip(actual_grads, expected_grads, strict=True):
        assert one is not None
        assert other is not None
        error = (one - other).abs() / other.abs().amax().clamp(min=1e-12)
        assert error.flatten().quantile(0.98) < 1e-3


@pytest.mark.parametrize("options", [{}, FISHEYE], ids=["pinhole", "fisheye"])
@pytest.mark.parametrize("projection", ["ewa", "3dgut"])
@pytest.mark.parametrize("name", ["random", "enormous", "needles"])
def test_cpu_forward_equals_reference_in_all_forms(
    name: str, projection: str, options: dict[str, object]
) -> None:
    """Both projections through both camera models give the reference's images."""
    gaussians = scene(name)
    if name == "needles":
        gaussians[1].clamp_(min=1e-3)
    poses, intrinsics = cameras(1)
    options = {**SIZE, **options, "projection": projection}
    actual = rasterize(
        *gaussians, poses, intrinsics * torch.tensor([0.6, 0.6, 1, 1]), **options, backend="cpu"
    )
    expected = rasterize(
        *(t.double() for t in gaussians), poses, intrinsics * torch.tensor([0.6, 0.6, 1, 1]), **options
    )
    assert expected.alpha.amax() > 0.2
    for image in IMAGES:
        assert_agree(getattr(actual, image), getattr(expected, image), image, share=0.99)


def test_projections_agree_on_small_distant_gaussians() -> None:
    """EWA and 3DGUT are two approximations of one thing: they differ little where the affine one holds."""
    gaussians = random_gaussians(60, seed=2, size=0.25)
    gaussians[0][:, :2] *= 0.4
    gaussians[0][:, 2] += 4.0
    ewa, unscented = (
        rasterize(*gaussians, *cameras(1), **SIZE, projection=projection) for projection in ("ewa", "3dgut")
    )
    assert (ewa.alpha - unscented.alpha).abs().mean() < 0.02
    assert ewa.alpha.mean() > 0.1


@pytest.mark.parametrize("options", [{}, FISHEYE], ids=["pinhole", "fisheye"])
@pytest.mark.parametrize("projection", ["ewa", "3dgut"])
def test_reference_gradients_equal_finite_differences(projection: str, options: dict[str, object]) -> None:
    """Along random directions, autograd through the reference is the central difference of its loss."""
    gaussians = [t.double() for t in random_gaussians(20, seed=5, size=0.3)]
    leaves = [t.clone().requires_grad_() for t in gaussians]
    options = {**SIZE, **options, "projection": projection, "backend": "reference"}
    loss(rasterize(*leaves, *cameras(1), **options)).backward()
    generator = torch.Generator().manual_seed(0)
    for index, leaf in enumerate(leaves):
        direction = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
        ends = []
        for step in (-1e-7, 1e-7):
            moved = [t + step * direction if i == index else t for i, t in enumerate(gaussians)]
            moved[3] = moved[3].clamp(0, 1)
            ends.append(loss(rasterize(*moved, *cameras(1), **options)))
        assert leaf.grad is not None
        expected = float((leaf.grad * direction).sum())
        assert float(ends[1] - ends[0]) / 2e-7 == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("projection", ["ewa", "3dgut"])
def test_moving_scene_and_camera_together_changes_nothing(backend: str, projection: str) -> None:
    """A rigid motion of Gaussians and camera leaves every image as it was."""
    means, scales, rotations, opacities, colors = random_gaussians(120, seed=1, size=0.15)
    poses, intrinsics = cameras(1)
    angle = torch.tensor(0.9)
    turn = torch.tensor([[angle.cos(), 0, angle.sin()], [0, 1, 0], [-angle.sin(), 0, angle.cos()]])
    motion = torch.eye(4)
    motion[:3, :3], motion[:3, 3] = turn, torch.tensor([1.0, -2.0, 0.5])
    half = torch.stack([(angle / 2).cos(), torch.zeros(()), (angle / 2).sin(), torch.zeros(())])
    w, y = half[0], half[2]
    a, b, c, d = rotations.unbind(-1)
    turned = torch.stack([w * a - y * c, w * b + y * d, w * c + y * a, w * d - y * b], dim=-1)
    options = {**SIZE, "projection": projection, "backend": backend}
    before = rasterize(means, scales, rotations, opacities, colors, poses, intrinsics, **options)
    moved = means @ turn.T + motion[:3, 3]
    after = rasterize(moved, scales, turned, opacities, colors, motion @ poses, intrinsics, **options)
    for image in IMAGES:
        assert_agree(getattr(after, image), getattr(before, image), image, share=0.99)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_order_of_gaussians_changes_nothing(backend: str) -> None:
    """Shuffled Gaussians give the same image, and the same gradients in shuffled order."""
    gaussians = random_gaussians(150, seed=4)
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    before, before_grads = render_with_gradients(gaussians, backend=backend)
    after, after_grads = render_with_gradients([t[order] for t in gaussians], backend=backend)
    for image in IMAGES:
        torch.testing.assert_close(getattr(after, image), getattr(before, image), rtol=1e-5, atol=1e-5)
    for one, other in zip(before_grads, after_grads, strict=True):
        torch.testing.assert_close(other, one[order], rtol=1e-4, atol=1e-4)


def test_result_is_the_same_bits_on_any_number_of_threads() -> None:
    """Images and gradients do not depend on the number of threads, and repeat exactly."""
    threads = torch.get_num_threads()
    gaussians = random_gaussians(5000, seed=6, size=0.05)
    results = []
    try:
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            results.append(render_with_gradients(gaussians, backend="cpu"))
    finally:
        torch.set_num_threads(threads)
    for rendering, grads in results[1:]:
        for image in IMAGES:
            assert torch.equal(getattr(rendering, image), getattr(results[0][0], image))
        for one, other in zip(grads, results[0][1], strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_two_gaussians_composite_by_the_formula(backend: str) -> None:
    """At the pixel on which two Gaussians are centred, every output is what the formula says."""
    means = torch.tensor([[0.0, 0.0, 4.0], [0.0, 0.0, 2.0]])
    colors = torch.tensor([[0.0, 1.0, 0.0, 5.0], [1.0, 0.0, 0.0, 7.0]])
    opacities = torch.tensor([0.9, 0.4])
    intrinsics = torch.tensor([[34.0, 33.0, 20.5, 13.5]])
    rotations = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(2, 1)
    rendering = rasterize(
        *(means, torch.full((2, 3), 0.2), rotations, opacities, colors, torch.eye(4)[None], intrinsics),
        **SIZE,
        background=(0.0, 0.0, 1.0),
        backend=backend,
    )
    front, back, open_share = 0.4, 0.6 * 0.9, 0.6 * 0.1
    pixel = (0, 13, 20)
    expected = torch.tensor([front, back, open_share, 7.0 * front + 5.0 * back])
    torch.testing.assert_close(rendering.rgb[pixel], expected)
    torch.testing.assert_close(rendering.alpha[pixel], torch.tensor(front + back))
    torch.testing.assert_close(rendering.depth[pixel], torch.tensor((2 * front + 4 * back) / (front + back)))
    assert rendering.median_depth[pixel] == 4.0
    corner = (0, 0, 0)
    assert rendering.rgb[corner].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert rendering.depth[corner] == rendering.median_depth[corner] == rendering.alpha[corner] == 0.0


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_empty_scene_is_background(backend: str) -> None:
    """No Gaussians, and no views, give background and zeros with gradients of the right shape."""
    gaussians = [t.requires_grad_() for t in random_gaussians(0, channels=5)]
    rendering = rasterize(*gaussians, *cameras(2), **SIZE, backend=backend)
    assert rendering.rgb.shape == (2, HEIGHT, WIDTH, 5)
    assert (rendering.rgb[..., :3] == 1).all()
    assert (rendering.rgb[..., 3:] == 0).all()
    assert float(rendering.alpha.sum().detach() + rendering.depth.sum().detach()) == 0.0
    rendering.rgb.sum().backward()
    leaves = [t.requires_grad_() for t in random_gaussians(3)]
    nothing = rasterize(*leaves, *cameras(0), **SIZE, backend=backend)
    assert nothing.rgb.shape == (0, HEIGHT, WIDTH, 3)
    assert nothing.depth.shape == (0, HEIGHT, WIDTH)
    nothing.rgb.sum().backward()
    assert all(leaf.grad is not None and not leaf.grad.any() for leaf in leaves)


@pytest.mark.parametrize("options", [{}, FISHEYE], ids=["pinhole", "fisheye"])
@pytest.mark.parametrize("projection", ["ewa", "3dgut"])
@pytest.mark.parametrize("background", [None, (0.2, 0.4, 0.6), (0.1, 0.2, 0.3, 0.4, 0.5)])
def test_empty_tiles_are_background(
    background: tuple[float, ...] | None, projection: str, options: dict[str, object]
) -> None:
    """Where no Gaussian is, all backends give the background, no depth and no alpha, and finite gradients."""
    gaussians = random_gaussians(3, channels=5)
    gaussians[0][:] = torch.tensor([[-0.9, -0.6, 2.0], [-0.85, -0.6, 3.0], [-0.9, -0.5, 4.0]])
    gaussians[1][:] = 0.03
    options = {"height": 50, "width": 70, "projection": projection, "background": background, **options}
    view = (torch.eye(4)[None], torch.tensor([[60.0, 60.0, 35.0, 25.0]]))
    leaves = [tensor.double().requires_grad_() for tensor in gaussians]
    expected = rasterize(*leaves, *view, **options, backend="reference")
    actual = rasterize(*gaussians, *view, **options, backend="cpu")
    behind = torch.tensor(((background or ()) + (0.0,) * 5)[:5])
    for rendering in (actual, expected):
        empty = rendering.alpha == 0
        assert 0.5 < empty.float().mean() < 1
        torch.testing.assert_close(rendering.rgb[empty].float(), behind.expand(int(empty.sum()), 5))
        assert not rendering.depth[empty].any()
        assert not rendering.median_depth[empty].any()
    for image in IMAGES:
        assert_agree(getattr(actual, image), getattr(expected, image).detach(), image, share=0.999)
    loss(expected).backward()
    assert all(leaf.grad is not None and torch.isfinite(leaf.grad).all() for leaf in leaves)


def test_compiled_gradients_through_empty_tiles_equal_the_reference() -> None:
    """A few small Gaussians in a large image: the backward skips empty tiles and still finds every gradient."""
    gaussians = random_gaussians(4, seed=11, size=0.05, channels=5)
    background = (0.1, 0.2, 0.3, 0.4, 0.5)
    _, actual = render_with_gradients(gaussians, backend="cpu", background=background)
    doubles = [t.double() for t in gaussians]
    _, expected = render_with_gradients(doubles, backend="reference", background=background)
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().amax()) + 1e-9)


def test_extra_channels_composite_like_colours() -> None:
    """Channels beyond the third carry values and gradients as the first three do."""
    gaussians = random_gaussians(200, seed=8, channels=3)
    doubled = [*gaussians[:4], torch.cat([gaussians[4], gaussians[4]], dim=1)]
    rendering, grads = render_with_gradients(doubled, backend="cpu", background=None)
    torch.testing.assert_close(rendering.rgb[..., :3], rendering.rgb[..., 3:])
    _, expected = render_with_gradients([t.double() for t in doubled], backend="reference", background=None)
    torch.testing.assert_close(grads[4], expected[4], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(grads[1], expected[1], rtol=1e-2, atol=1e-2 * float(expected[1].abs().amax()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_every_dtype_is_served(dtype: torch.dtype) -> None:
    """Any float type gives the reference's images of the same numbers; gradients come back in the type given."""
    leaves = [t.to(dtype).requires_grad_() for t in random_gaussians(100, seed=9)]
    rendering = rasterize(*leaves, *cameras(1), **SIZE, backend="cpu")
    rendering.rgb.sum().backward()
    assert rendering.rgb.dtype == torch.float32
    assert all(leaf.grad is not None and leaf.grad.dtype == dtype for leaf in leaves)
    doubles = [leaf.detach().double().requires_grad_() for leaf in leaves]
    expected = rasterize(*doubles, *cameras(1), **SIZE, backend="reference")
    expected.rgb.sum().backward()
    for image in IMAGES:
        assert_agree(getattr(rendering, image).detach(), getattr(expected, image).detach(), image)
    for leaf, double in zip(leaves, doubles, strict=True):
        assert leaf.grad is not None
        assert double.grad is not None
        error = (leaf.grad - double.grad).abs() / double.grad.abs().amax()
        assert error.flatten().quantile(0.99) < max(1e-3, 2 * torch.finfo(dtype).eps)


def test_kernels_are_compiled_once_and_never_at_import(tmp_path: Path) -> None:
    """The front door loads neither numba nor gsplat; a second process loads what the first one compiled."""
    code = (
        "import sys, generator.render\n"
        "assert not {'numba', 'gsplat'} & set(sys.modules)\n"
        "from generator.render.cpu_tiles import visible_slots\n"
        "import numpy as np\n"
        "assert visible_slots(np.array([2, 1])).tolist() == [0, 1, 2048]\n"
        "print(sum(visible_slots.stats.cache_hits.values()), sum(visible_slots.stats.cache_misses.values()))"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    counts = []
    for _ in range(2):
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command,
            env=environment,
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        counts.append(done.stdout.split())
    assert counts == [["0", "1"], ["1", "0"]]


def test_cache_depends_on_every_file_that_kernels_are_made_of() -> None:
    """Whatever a module with kernels imports from this folder is part of the key of their cache."""
    folder = Path(kernel.__file__).parent
    covered = {path.name for pattern in kernel.KERNEL_SOURCES for path in folder.glob(pattern)}
    for name in sorted(covered - {"cpu.py"}):
        imported = re.findall(
            r"^from generator\.render\.(\w+) import", (folder / name).read_text(), re.MULTILINE
        )
        assert {f"{module}.py" for module in imported} <= covered, name
