"""Read a depth map as depth cameras and other tools write it."""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from generator.pictures.photograph import MAX_PIXELS
from lyra_sim.errors import LyraSimError

UNITS = {"mm": 1e-3, "m": 1.0}
"""Metres per unit."""
RANGE = (0.02, 500.0)
"""Median depths [m] that are believed."""
_EXR_CHANNELS = ("Z", "depth.Z", "Depth.Z", "depth", "Y", "V", "R")
"""Names of depth channels, in order of preference."""


@dataclass(frozen=True)
class DepthMap:
    """Hold a depth map as measured."""

    depth: np.ndarray
    """z-depth [m], (H, W) float32; 0 where nothing was measured."""
    unit: str
    """Unit that the file was read in: `mm` or `m`."""
    sha256: str
    """Hash of the file."""


def read_depth(path: Path, *, unit: str | None = None) -> DepthMap:
    """Read a 16-bit PNG or TIFF, an EXR, an NPY or an NPZ file.

    Zero, negative, not finite and saturated values mean that nothing was measured.

    Args:
        path: The file; its suffix says what it is.
        unit: `mm` or `m`; None takes millimetres for whole numbers and metres for floating-point ones.

    Raises:
        LyraSimError: The file is missing, damaged or no depth map, or its depth is implausible.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LyraSimError(f"--depth {path}: cannot be read ({error.strerror or error})") from error
    kind = path.suffix.lower()
    if kind in (".png", ".tif", ".tiff"):
        values = _read_image(path, data)
    elif kind == ".exr":
        values = _read_exr(path)
    elif kind in (".npy", ".npz"):
        values = _read_numpy(path, data)
    else:
        raise LyraSimError(f"--depth {path}: use a 16-bit PNG or TIFF, an EXR, an NPY or an NPZ file")
    values = values.squeeze() if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]) else values
    if values.ndim != 2 or values.dtype.kind not in "uif":
        raise LyraSimError(
            f"--depth {path}: must be one channel of numbers, not {values.dtype} {values.shape}"
        )
    unit = unit or ("m" if values.dtype.kind == "f" else "mm")
    if unit not in UNITS:
        raise LyraSimError(f"--depth-unit {unit}: must be mm or m")
    depth = in_metres(values, unit)
    _require_plausible(path, depth[depth > 0], unit)
    return DepthMap(depth, unit, hashlib.sha256(data).hexdigest())


def in_metres(values: np.ndarray, unit: str) -> np.ndarray:
    """Return stored values as z-depth [m] float32; 0 for zero, negative, not finite and saturated ones."""
    depth = values.astype(np.float32) * np.float32(UNITS[unit])
    measured = np.isfinite(depth) & (depth > 0)
    if values.dtype == np.uint16:
        measured &= values != 65535
    return np.where(measured, depth, 0).astype(np.float32)


def _require_plausible(path: Path, measured: np.ndarray, unit: str) -> None:
    if not len(measured):
        raise LyraSimError(f"--depth {path}: has no measured pixel; all are zero, negative or not finite")
    median = float(np.median(measured))
    if not RANGE[0] <= median <= RANGE[1]:
        other = "m" if unit == "mm" else "mm"
        raise LyraSimError(
            f"--depth {path}: median depth is {median:.3g} m when read in {unit}; try --depth-unit {other}"
        )


def _read_image(path: Path, data: bytes) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("PNG", "TIFF")) as image:
                _require_size(path, image.height, image.width)
                if not (image.mode.startswith("I") or image.mode == "F"):
                    raise LyraSimError(
                        f"--depth {path}: has mode {image.mode}; depth needs one channel of 16 bits"
                    )
                values = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise LyraSimError(f"--depth {path}: is no picture that can be read ({error})") from error
    # Pillow widens some 16-bit pictures to 32 bits.
    if values.dtype == np.int32 and values.min() >= 0 and values.max() <= 65535:
        values = values.astype(np.uint16)
    return values


def _read_exr(path: Path) -> np.ndarray:
    try:
        import OpenEXR
    except ImportError as error:
        raise LyraSimError(
            f"--depth {path}: reading EXR needs `pip install 'lyra-sim[exr]'`; or save the depth as NPY"
        ) from error
    try:
        low, high = OpenEXR.File(str(path), header_only=True).header()["dataWindow"]
        columns, rows = (int(n) for n in np.asarray(high, np.int64) - low + 1)
        _require_size(path, rows, columns)
        channels = OpenEXR.File(str(path), separate_channels=True).channels()
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise LyraSimError(f"--depth {path}: is no EXR file that can be read ({error})") from error
    names = [name for name in _EXR_CHANNELS if name in channels]
    if not names and len(channels) != 1:
        raise LyraSimError(f"--depth {path}: no channel Z among {', '.join(sorted(channels)) or 'none'}")
    return np.asarray(channels[names[0] if names else next(iter(channels))].pixels)


def _read_numpy(path: Path, data: bytes) -> np.ndarray:
    """Read one array; its header is checked before anything is unpacked, and pickles are refused."""
    try:
        if path.suffix.lower() == ".npy":
            return _read_array(path, io.BytesIO(data))
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            name = "depth.npy" if "depth.npy" in names else names[0] if len(names) == 1 else None
            if name is None:
                raise LyraSimError(f"--depth {path}: must hold one array, or one named depth")
            with archive.open(name) as member:
                return _read_array(path, member)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise LyraSimError(f"--depth {path}: is no array that can be read ({error})") from error


def _read_array(path: Path, file: IO[bytes]) -> np.ndarray:
    major, _ = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.hasobject or dtype.kind not in "uif" or len(shape) not in (2, 3):
        raise LyraSimError(f"--depth {path}: must be a two-dimensional array of numbers, not {dtype} {shape}")
    count = int(np.prod(shape, dtype=np.int64))
    _require_size(path, count, 1)
    content = file.read(count * dtype.itemsize)
    if len(content) != count * dtype.itemsize:
        raise LyraSimError(f"--depth {path}: the array is cut off")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _require_size(path: Path, rows: int, columns: int) -> None:
    if not 0 < rows * columns <= MAX_PIXELS:
        raise LyraSimError(f"--depth {path}: has {rows * columns:,} pixels; at most {MAX_PIXELS:,} are read")
