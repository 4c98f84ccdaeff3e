"""Read the files of the published layout one by one: latents, poses, intrinsics, and depth.

Latents are `.safetensors`, or `.pkl` files that torch wrote around one numpy array; nothing else in a pickle
is admitted.
"""

from __future__ import annotations

import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from generator.decoder import validate
from generator.pictures.depth_file import read_depth
from lyra_sim.errors import LyraSimError

MOST_EXR_BYTES = 256 << 20
"""Size of one depth picture beyond which an archive is taken to be damaged."""


@dataclass(frozen=True)
class StoredLatent:
    """Hold a latent as its file has it."""

    values: Tensor
    """The array, as stored, float32."""
    space: str
    """What the file says about itself: `raw` or `raw SHA256` for raw latents of the tokenizer weights of that
    hash, nothing for the diffusion space of the published files."""

    @property
    def is_raw(self) -> bool:
        """Whether these are raw tokenizer latents."""
        return self.space.split(" ")[0] == "raw"

    @property
    def tokenizer(self) -> str | None:
        """SHA-256 of the tokenizer weights that made the latent, where the file tells."""
        return self.space.partition(" ")[2] or None


def read_latent(path: Path) -> StoredLatent:
    """Read a latent file; raises LyraSimError when it is missing, damaged or holds anything but one array."""
    if path.suffix == ".pkl":
        return StoredLatent(_read_pickle(path), "")
    return _read_safetensors(path)


def _read_safetensors(path: Path) -> StoredLatent:
    """Return the only tensor of a file, float32, and its space."""
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            if len(names) != 1:
                raise LyraSimError(f"{path}: holds {len(names)} tensors, expected one latent")
            return StoredLatent(file.get_tensor(names[0]).float(), (file.metadata() or {}).get("space", ""))
    except (SafetensorError, OSError) as error:
        raise LyraSimError(f"{path}: cannot be read as safetensors ({error})") from error


def _read_pickle(path: Path) -> Tensor:
    """Return the numpy array or tensor of a torch-written pickle, admitting nothing else."""
    # numpy moved this function between its versions, and pickles hold either name.
    reconstruct = np.zeros(0).__reduce__()[0]
    array_types: list[Any] = [
        np.ndarray,
        np.dtype,
        type(np.dtype(np.float32)),
        type(np.dtype(np.float16)),
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        (reconstruct, "numpy._core.multiarray._reconstruct"),
    ]
    try:
        # torch warns about pickle protocols other than its own before it refuses or reads the file.
        with torch.serialization.safe_globals(array_types), warnings.catch_warnings(action="ignore"):
            value = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).split("\n")[0][:120]
        raise LyraSimError(f"{path}: cannot be read as one array written by torch.save ({reason})") from error
    if not isinstance(value, np.ndarray | Tensor):
        raise LyraSimError(f"{path}: holds a {type(value).__name__}, expected one array")
    return torch.as_tensor(value).float()


def read_npz(path: Path) -> Tensor:
    """Return `data` of an archive, rows sorted by `inds` where those are given, float64."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise LyraSimError(f"{path} is missing") from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise LyraSimError(f"{path}: cannot be read as npz ({error})") from error
    validate.check_arrays(arrays, ["data"], source=str(path))
    data, inds = arrays["data"], arrays.get("inds")
    if data.dtype.kind not in "fiu":
        raise LyraSimError(f"{path}: data has type {data.dtype}, expected numbers")
    if inds is not None:
        if inds.shape != data.shape[:1]:
            raise LyraSimError(f"{path}: {len(data)} rows but indices of shape {inds.shape}")
        data = data[np.argsort(inds, kind="stable")]
    return torch.from_numpy(np.ascontiguousarray(data, dtype=np.float64))


def read_first_exr(path: Path) -> np.ndarray:
    """Return the z-depth (H, W) float32 of the first frame of a zip of EXR pictures, 0 where unknown.

    Raises:
        LyraSimError: The file is missing, damaged or holds no EXR picture.
    """
    # The name keeps the unpacked picture alive while it is read.
    pictures = exr_pictures(path)
    return read_depth(next(pictures), unit="m").depth


def exr_pictures(path: Path) -> Iterator[Path]:
    """Unpack the pictures of a zip of EXR files in the order of their names, each until the next is asked for.

    Raises:
        LyraSimError: The file is missing, damaged or holds no EXR picture.
    """
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            names = sorted(name for name in archive.namelist() if name.endswith(".exr"))
            if not names:
                raise LyraSimError(f"{path}: holds no EXR picture; expected 00000.exr and so on")
            picture = Path(folder) / "frame.exr"
            for name in names:
                if archive.getinfo(name).file_size > MOST_EXR_BYTES:
                    raise LyraSimError(f"{path}: {name} is far too large for a depth picture; make it again")
                picture.write_bytes(archive.read(name))
                yield picture
    except FileNotFoundError:
        raise LyraSimError(f"{path} is missing") from None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise LyraSimError(f"{path}: cannot be read as a zip of EXR pictures ({error})") from error
