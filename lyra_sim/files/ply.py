"""Read and write 3D Gaussians in the PLY layout of the original 3DGS code.

A vertex holds the centre, the SH coefficients (`f_dc`, then `f_rest` channel by channel), the logit of the
opacity, the natural logarithm of the standard deviations and a quaternion wxyz of any length. The
activations run in float64 and round once, so reading what was written from a read file gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lyra_sim.atomic import atomic_path
from lyra_sim.errors import LyraSimError
from lyra_sim.files.activations import exp_scale, log_scale, logit, sigmoid, unit_quaternions
from lyra_sim.gaussians import Gaussians

MAX_HEADER_BYTES = 1 << 16
"""A header of a 3DGS file is under 2 KB; a file without `end_header` this far in is not a PLY."""

REST_PER_DEGREE = {0: 0, 9: 1, 24: 2, 45: 3}
"""SH degree by number of `f_rest` properties."""

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
_BASE = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity")
_SCALES = ("scale_0", "scale_1", "scale_2")
_ROTATION = ("rot_0", "rot_1", "rot_2", "rot_3")


@dataclass(frozen=True)
class _Header:
    """Describe where the vertices lie in the file."""

    text: bool
    count: int
    dtype: np.dtype
    offset: int
    """Bytes before the first vertex; for a text file the first line after the header."""
    skip_lines: int
    """Lines of elements before the vertices, text files only."""


def read_ply(path: str | Path) -> Gaussians:
    """Read the Gaussians of a 3DGS PLY file: ascii or binary, any property order, SH degree 0 to 3.

    Raises:
        LyraSimError: The file is not a 3DGS PLY, is shorter than its header says, or holds values that are
            not finite.
    """
    path = Path(path)
    header = _read_header(path)
    vertices = _read_text(path, header) if header.text else _read_binary(path, header)
    names = header.dtype.names or ()
    rest = sorted((n for n in names if n.startswith("f_rest_")), key=lambda n: int(n[7:]))
    missing = [n for n in (*_BASE, *_SCALES, *_ROTATION) if n not in names]
    if missing:
        raise LyraSimError(f"{path} is not a 3DGS PLY: its vertices lack {', '.join(missing)}")
    if len(rest) not in REST_PER_DEGREE or rest != [f"f_rest_{i}" for i in range(len(rest))]:
        raise LyraSimError(f"{path} has {len(rest)} f_rest properties; 0, 9, 24 or 45 in sequence make sense")
    columns = _Columns(vertices, header.dtype)
    sh = np.empty((header.count, 1 + len(rest) // 3, 3), np.float32)
    sh[:, 0] = columns.take(_BASE[3:6])
    if rest:
        sh[:, 1:] = columns.take(rest).reshape(header.count, 3, -1).transpose(0, 2, 1)
    return Gaussians(
        means=columns.take(_BASE[:3]),
        scales=exp_scale(columns.take(_SCALES)),
        rotations=unit_quaternions(columns.take(_ROTATION)),
        opacities=sigmoid(columns.take(("opacity",))[:, 0]),
        sh=sh,
    ).checked(str(path))


def write_ply(path: str | Path, gaussians: Gaussians) -> None:
    """Write Gaussians as a binary little-endian 3DGS PLY file, normals left out.

    Raises:
        LyraSimError: The Gaussians are empty or not finite.
        OSError: The file cannot be written; a file of that name from before is kept.
    """
    gaussians.checked("the scene")
    count, coefficients = gaussians.sh.shape[:2]
    rest = 3 * (coefficients - 1)
    names = (*_BASE[:6], *(f"f_rest_{i}" for i in range(rest)), "opacity", *_SCALES, *_ROTATION)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n"
    header += "".join(f"property float {name}\n" for name in names) + "end_header\n"
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(header.encode("ascii"))
        for start in range(0, count, _CHUNK):
            part = slice(start, start + _CHUNK)
            rows = np.empty((len(gaussians.means[part]), len(names)), "<f4")
            rows[:, :3] = gaussians.means[part]
            rows[:, 3:6] = gaussians.sh[part, 0]
            rows[:, 6 : 6 + rest] = gaussians.sh[part, 1:].transpose(0, 2, 1).reshape(len(rows), rest)
            rows[:, -8] = logit(gaussians.opacities[part])
            rows[:, -7:-4] = log_scale(gaussians.scales[part])
            rows[:, -4:] = gaussians.rotations[part]
            file.write(rows.data)


_CHUNK = 1 << 16
"""Vertices per write: small enough for the cache, large enough to hide the call."""


class _Columns:
    """Give named columns of the vertices as float32."""

    def __init__(self, vertices: np.ndarray, dtype: np.dtype) -> None:
        self._vertices = vertices
        self._names = list(dtype.names or ())
        uniform = {dtype[name] for name in self._names}
        # One float type throughout is the usual case, and then plain column slices are several times
        # faster than field by field.
        self._matrix = vertices.view(uniform.pop()).reshape(len(vertices), -1) if len(uniform) == 1 else None

    def take(self, names: tuple[str, ...] | list[str]) -> np.ndarray:
        if self._matrix is not None:
            index = [self._names.index(name) for name in names]
            first = index[0]
            if index == list(range(first, first + len(index))):
                return self._matrix[:, first : first + len(index)].astype(np.float32)
            return self._matrix[:, index].astype(np.float32)
        return np.stack([self._vertices[name].astype(np.float32) for name in names], axis=1)


def _read_header(path: Path) -> _Header:
    try:
        with open(path, "rb") as file:
            head = file.read(MAX_HEADER_BYTES)
    except OSError as error:
        raise LyraSimError(f"cannot read {path}: {error.strerror or error}") from error
    for marker in (b"end_header\n", b"end_header\r\n"):
        end = head.find(marker)
        if head.startswith(b"ply") and end >= 0:
            lines = head[:end].decode("latin-1").splitlines()
            return _parse_header(path, lines, offset=end + len(marker))
    raise LyraSimError(f"{path} is not a PLY file: it has no PLY header")


def _parse_header(path: Path, lines: list[str], *, offset: int) -> _Header:
    order = ""
    elements: list[tuple[str, int, list[list[str]]]] = []
    for line in lines[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) == 3:
            order = words[1]
        elif words[0] == "element" and len(words) == 3 and words[2].isascii() and words[2].isdigit():
            elements.append((words[1], int(words[2]), []))
        elif words[0] == "property" and elements and len(words) in (3, 5):
            elements[-1][2].append(words[1:])
        else:
            raise LyraSimError(f"{path} has a damaged PLY header: {line[:60]!r}")
    if order not in _ORDERS:
        raise LyraSimError(f"{path} has PLY format {order[:40]!r}; known are {', '.join(_ORDERS)}")
    skip_bytes = skip_lines = 0
    for name, count, properties in elements:
        # Lists have no fixed size; after the vertices they do not matter.
        if any(len(p) != 2 or p[0] not in _TYPES for p in properties):
            raise LyraSimError(f"{path} has a property before or in its vertices that is not a scalar")
        names = [p[1] for p in properties]
        if len(set(names)) != len(names):
            raise LyraSimError(f"{path} names a property of element {name!r} twice")
        dtype = np.dtype([(n, _ORDERS[order] + _TYPES[p[0]]) for n, p in zip(names, properties, strict=True)])
        if name == "vertex":
            if not count or not names:
                raise LyraSimError(f"{path} holds no Gaussians")
            text = order == "ascii"
            return _Header(text, count, dtype, offset + (0 if text else skip_bytes), skip_lines)
        skip_bytes += count * dtype.itemsize
        skip_lines += count
    raise LyraSimError(f"{path} has no vertices in its PLY header")


def _read_binary(path: Path, header: _Header) -> np.ndarray:
    held = (path.stat().st_size - header.offset) // header.dtype.itemsize
    if held < header.count:
        raise LyraSimError(
            f"{path} is cut short: its header promises {header.count} Gaussians, it holds {max(held, 0)}"
        )
    return np.fromfile(path, header.dtype, header.count, offset=header.offset)


def _read_text(path: Path, header: _Header) -> np.ndarray:
    names = header.dtype.names or ()
    # The shortest line is one digit and one separator per number, which bounds what a header can claim.
    if (path.stat().st_size - header.offset) < header.count * len(names) * 2 - 1:
        raise LyraSimError(f"{path} is cut short: its header promises {header.count} Gaussians")
    with open(path, "rb") as file:
        file.seek(header.offset)
        for _ in range(header.skip_lines):
            file.readline()
        try:
            values = np.loadtxt(file, np.float64, max_rows=header.count, ndmin=2, comments=None)
        except (ValueError, UnicodeDecodeError) as error:
            raise LyraSimError(f"{path} has a damaged line of numbers: {str(error)[:80]}") from error
    if values.shape != (header.count, len(names)):
        raise LyraSimError(f"{path} is cut short: {values.shape} numbers, {header.count} Gaussians promised")
    vertices = np.empty(header.count, np.dtype([(name, "f4") for name in names]))
    for i, name in enumerate(names):
        vertices[name] = values[:, i]
    return vertices
