"""Read and write the tensor of Gaussians that Lyra's decoder makes, shape (1, N, 14).

Channels: position 3, opacity 1, scale 3, rotation 4 (wxyz), rgb 3, all activated, in the OpenCV frame of the first
camera (x right, y down, z forward). The official code saves it with `torch.save`, under a name that ends in `.ply`.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np

from lyra_sim.atomic import atomic_path
from lyra_sim.errors import LyraSimError
from lyra_sim.files.activations import unit_quaternions
from lyra_sim.gaussians import Gaussians
from lyra_sim.usd import SUFFIXES as USD_SUFFIXES

CHANNELS = 14
SUFFIXES = (".safetensors", ".pt", ".pth", ".npy")


def read_lyra(path: str | Path) -> Gaussians:
    """Read a tensor (1, N, 14) or (N, 14) from a safetensors, torch or numpy file; nothing in it is executed.

    Raises:
        LyraSimError: The file is damaged or holds no such tensor.
    """
    path = Path(path)
    with open(path, "rb") as file:
        start = file.read(6)
    if start[:2] == b"PK":
        tensor = _read_torch(path)
    elif start == b"\x93NUMPY":
        tensor = _read_numpy(path)
    else:
        tensor = _read_safetensors(path)
    return from_tensor(tensor, source=str(path))


def from_tensor(tensor: np.ndarray, *, source: str) -> Gaussians:
    """Return the Gaussians of an array (1, N, 14) or (N, 14); see the module's docstring for the channels."""
    if tensor.ndim == 3 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != 2 or tensor.shape[1] != CHANNELS or tensor.dtype.kind != "f":
        raise LyraSimError(f"{source} holds shape {tensor.shape}; Lyra's Gaussians are (1, N, 14) floats")
    tensor = tensor.astype(np.float32)
    return Gaussians.from_rgb(
        tensor[:, :3],
        np.maximum(tensor[:, 4:7], np.float32(1e-30)),
        unit_quaternions(tensor[:, 7:11]),
        np.clip(tensor[:, 3], 0, 1),
        tensor[:, 11:],
    ).checked(source)


def write_lyra(path: str | Path, gaussians: Gaussians) -> None:
    """Write Gaussians as tensor `gaussians` (1, N, 14) of a safetensors file; colours that depend on the view are
    reduced to their constant part."""
    from safetensors.numpy import save_file

    gaussians.checked("the scene")
    columns = (
        gaussians.means,
        gaussians.opacities[:, None],
        gaussians.scales,
        gaussians.rotations,
        gaussians.rgb,
    )
    with atomic_path(path) as temporary:
        save_file({"gaussians": np.concatenate(columns, axis=1).astype(np.float32)[None]}, temporary)


def _read_torch(path: Path) -> np.ndarray:
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            if Path(archive.namelist()[0] if archive.namelist() else "").suffix in USD_SUFFIXES:
                raise LyraSimError(f"{path} is a USDZ package; name it .usdz")
            # torch stores tensors as they are; what inflates is no checkpoint of theirs.
            if any(m.file_size > m.compress_size for m in archive.infolist()):
                raise LyraSimError(f"{path} holds compressed tensors, which torch does not write")
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (
        RuntimeError,
        ValueError,
        KeyError,
        OSError,
        EOFError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        first = (str(error).splitlines() or [""])[0]
        raise LyraSimError(f"{path} is not a torch file of plain tensors ({first[:100]})") from error
    candidates = list(value.values()) if isinstance(value, dict) else [value]
    tensors = [v for v in candidates if isinstance(v, torch.Tensor) and v.shape[-1:] == (CHANNELS,)]
    if len(tensors) != 1:
        raise LyraSimError(f"{path} holds {len(tensors)} tensors of 14 channels, expected one")
    return tensors[0].float().numpy()


def _read_numpy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False, mmap_mode="r")
    # The header is a Python literal, and numpy lets through whatever parsing a damaged one raises.
    except Exception as error:
        raise LyraSimError(f"{path} is a damaged numpy file ({str(error)[:80]})") from error


def _read_safetensors(path: Path) -> np.ndarray:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            names = [n for n in file.keys() if file.get_slice(n).get_shape()[-1:] == [CHANNELS]]  # noqa: SIM118
            if len(names) != 1:
                raise LyraSimError(f"{path} holds {len(names)} tensors of 14 channels, expected one")
            return file.get_tensor(names[0])
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise LyraSimError(f"{path} is no safetensors, torch or numpy file ({str(error)[:80]})") from error
