"""Read the header of a PLY file, which says where its vertices lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lyra_sim.errors import LyraSimError

MAX_HEADER_BYTES = 1 << 16
"""A header of a 3DGS file is under 2 KB; a file without `end_header` this far in is not a PLY."""

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class Header:
    """Describe where the vertices lie in the file."""

    text: bool
    count: int
    dtype: np.dtype
    offset: int
    """Bytes before the first vertex; for a text file the first line after the header."""
    skip_lines: int
    """Lines of elements before the vertices, text files only."""


def read_header(path: Path) -> Header:
    """Return where the vertices lie and what they hold.

    Raises:
        LyraSimError: The file has no PLY header, a damaged one, or one without vertices.
    """
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


def _parse_header(path: Path, lines: list[str], *, offset: int) -> Header:
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
            return Header(text, count, dtype, offset + (0 if text else skip_bytes), skip_lines)
        skip_bytes += count * dtype.itemsize
        skip_lines += count
    raise LyraSimError(f"{path} has no vertices in its PLY header")
