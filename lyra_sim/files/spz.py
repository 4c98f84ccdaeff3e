"""Read and write SPZ, Niantic's gzip container of quantised 3D Gaussians (versions 2 and 3).

Coordinates are kept as they are. The format says "right, up, back", but programs read and write it in the frame
of the PLY at hand, and so do we.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from pathlib import Path

import numpy as np

from lyra_sim.atomic import atomic_path
from lyra_sim.errors import LyraSimError
from lyra_sim.files.activations import exp_scale, log_scale
from lyra_sim.gaussians import Gaussians

MAGIC = 0x5053474E
HEADER = struct.Struct("<IIIBBBB")
"""Magic, version, number of Gaussians, SH degree, fractional bits of a position, flags, reserved."""

MAX_RATIO = 300
"""Most that gzip may shrink the data; quantised scenes shrink to a half, a decompression bomb 1000 times."""

_FRACTIONAL_BITS = 12
_COLOUR_SCALE = 0.15
_SH_DIMENSION = (0, 3, 8, 15)


def read_spz(path: str | Path) -> Gaussians:
    """Read the Gaussians of an SPZ file.

    Raises:
        LyraSimError: The file is no SPZ of version 2 or 3, is damaged, or inflates without end.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with gzip.open(path, "rb") as file:
            head = file.read(HEADER.size)
            if len(head) < HEADER.size:
                raise LyraSimError(f"{path} is not an SPZ file: it has no header")
            magic, version, count, degree, bits, _, _ = HEADER.unpack(head)
            if magic != MAGIC or version not in (2, 3):
                raise LyraSimError(f"{path} is not an SPZ file of version 2 or 3")
            if degree > 3 or not 0 < bits < 24:
                raise LyraSimError(
                    f"{path} has SH degree {degree} and {bits} fractional bits, which is no SPZ file"
                )
            if not count:
                raise LyraSimError(f"{path} holds no Gaussians")
            expected = count * (19 + (version == 3) + 3 * _SH_DIMENSION[degree])
            if expected > max(size, 4096) * MAX_RATIO:
                raise LyraSimError(f"{path} is cut short: {size} bytes cannot hold {count} Gaussians")
            content = file.read(expected)
    except (OSError, EOFError, zlib.error) as error:
        raise LyraSimError(f"cannot read {path}: {error}") from error
    if len(content) < expected:
        raise LyraSimError(f"{path} is cut short: its header promises {count} Gaussians")
    return _unpack(np.frombuffer(content, np.uint8), count, degree, bits, version).checked(str(path))


def write_spz(path: str | Path, gaussians: Gaussians) -> None:
    """Write Gaussians as SPZ version 3: positions to 0.1 mm, the rest to 8 bits.

    Raises:
        LyraSimError: The Gaussians are not finite or lie beyond 2 km, where 24 bits end.
    """
    content = spz_bytes(gaussians)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def spz_bytes(gaussians: Gaussians) -> bytes:
    """Return what `write_spz` writes; it raises the same errors."""
    gaussians.checked("the scene")
    if np.abs(gaussians.means).max() >= 1 << (23 - _FRACTIONAL_BITS):
        raise LyraSimError(
            f"SPZ holds centres up to {1 << (23 - _FRACTIONAL_BITS)} m; rescale or move the scene"
        )
    header = HEADER.pack(MAGIC, 3, len(gaussians), gaussians.sh_degree, _FRACTIONAL_BITS, 0, 0)
    fixed = np.rint(gaussians.means.astype(np.float64) * (1 << _FRACTIONAL_BITS)).astype("<i4")
    fixed = np.clip(fixed, -(1 << 23), (1 << 23) - 1)
    parts = [
        fixed[..., None].view(np.uint8).reshape(len(gaussians), 3, 4)[:, :, :3],
        _bytes(gaussians.opacities * 255),
        _bytes(gaussians.sh[:, 0] * (_COLOUR_SCALE * 255) + 127.5),
        _bytes((log_scale(gaussians.scales) + 10) * 16),
        _pack_quaternions(gaussians.rotations),
        _bytes(_bucket(gaussians.sh[:, 1:])),
    ]
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=6, fileobj=buffer, mtime=0) as file:
        file.write(header)
        for part in parts:
            file.write(np.ascontiguousarray(part).tobytes())
    return buffer.getvalue()


def _unpack(content: np.ndarray, count: int, degree: int, bits: int, version: int) -> Gaussians:
    sizes = [9, 1, 3, 3, 4 if version == 3 else 3, 3 * _SH_DIMENSION[degree]]
    ends = np.cumsum(sizes) * count
    positions, alphas, colours, scales, rotations, rest = (
        content[end - size * count : end].reshape(count, size) for end, size in zip(ends, sizes, strict=True)
    )
    wide = np.zeros((count, 3, 4), np.uint8)
    wide[:, :, 1:] = positions.reshape(count, 3, 3)
    # The three bytes sit at the top of the integer, so that the shift back extends the sign.
    means = (wide.view("<i4")[..., 0] >> 8) / float(1 << bits)
    sh = np.empty((count, 1 + _SH_DIMENSION[degree], 3), np.float32)
    sh[:, 0] = (colours / 255.0 - 0.5) / _COLOUR_SCALE
    sh[:, 1:] = (rest.reshape(count, -1, 3) - 128.0) / 128.0
    return Gaussians(
        means=means.astype(np.float32),
        scales=exp_scale(scales / 16.0 - 10.0),
        rotations=_unpack_quaternions(rotations) if version == 3 else _unpack_first_three(rotations),
        opacities=(alphas[:, 0] / 255.0).astype(np.float32),
        sh=sh,
    )


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _bucket(sh: np.ndarray) -> np.ndarray:
    """Return coefficients as numbers around 128, degree 1 to 5 bits and the rest to 4, as Niantic's encoder does."""
    values = np.rint(sh * 128.0) + 128.0
    step = np.where(np.arange(sh.shape[1]) < 3, 8, 16)[None, :, None]
    return np.floor((values + step / 2) / step) * step


def _pack_quaternions(wxyz: np.ndarray) -> np.ndarray:
    """Return the three smallest components in 10 bits each and the index of the largest in 2, (N, 4) bytes."""
    xyzw = wxyz[:, [1, 2, 3, 0]].astype(np.float64)
    largest = np.argmax(np.abs(xyzw), axis=1)
    xyzw *= np.where(xyzw[np.arange(len(xyzw)), largest] < 0, -1, 1)[:, None]
    packed = largest.astype(np.uint32)
    for i in range(4):
        magnitude = np.floor(511 * np.abs(xyzw[:, i]) / np.sqrt(0.5) + 0.5).astype(np.uint32)
        pushed = (
            packed << np.uint32(10)
            | np.where(xyzw[:, i] < 0, 512, 0).astype(np.uint32)
            | np.minimum(magnitude, 511)
        )
        packed = np.where(largest == i, packed, pushed).astype(np.uint32)
    return packed.astype("<u4")[:, None].view(np.uint8)


def _unpack_quaternions(packed_bytes: np.ndarray) -> np.ndarray:
    packed = np.ascontiguousarray(packed_bytes).view("<u4")[:, 0]
    largest = packed >> np.uint32(30)
    xyzw = np.zeros((len(packed), 4))
    for i in (3, 2, 1, 0):
        magnitude = (packed & np.uint32(511)) * (np.sqrt(0.5) / 511)
        value = np.where(packed & np.uint32(512), -magnitude, magnitude)
        xyzw[:, i] = np.where(largest == i, 0.0, value)
        packed = np.where(largest == i, packed, packed >> np.uint32(10)).astype(np.uint32)
    rest = np.sqrt(np.maximum(0.0, 1.0 - (xyzw**2).sum(axis=1)))
    xyzw[np.arange(len(xyzw)), largest] = rest
    return _unit(xyzw)


def _unpack_first_three(packed: np.ndarray) -> np.ndarray:
    xyz = packed / 127.5 - 1.0
    w = np.sqrt(np.maximum(0.0, 1.0 - (xyz**2).sum(axis=1, keepdims=True)))
    return _unit(np.concatenate([xyz, w], axis=1))


def _unit(xyzw: np.ndarray) -> np.ndarray:
    wxyz = xyzw[:, [3, 0, 1, 2]]
    return (wxyz / np.maximum(np.linalg.norm(wxyz, axis=1, keepdims=True), 1e-12)).astype(np.float32)
