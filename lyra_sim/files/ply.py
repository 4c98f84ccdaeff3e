"""Read and write 3D Gaussians in the PLY layout of the original 3DGS code.

A vertex holds the centre, the SH coefficients (`f_dc`, then `f_rest` channel by channel), the logit of the
opacity, the natural logarithm of the standard deviations and a quaternion wxyz of any length. The
activations run in float64 and round once, so reading what was written from a read file gives the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import numpy as np

from lyra_sim.atomic import atomic_path
from lyra_sim.errors import LyraSimError
from lyra_sim.files.activations import (
    copy_columns,
    exp_scale,
    log_scale,
    logit,
    sigmoid,
    unit_quaternions,
)
from lyra_sim.files.ply_header import Header, read_header
from lyra_sim.gaussians import Gaussians

REST_COUNTS = (0, 9, 24, 45)
"""Number of `f_rest` properties for SH degree 0 to 3."""

_BASE = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity")
_SCALES = ("scale_0", "scale_1", "scale_2")
_ROTATION = ("rot_0", "rot_1", "rot_2", "rot_3")

_T = TypeVar("_T")

_STEP_BYTES = 1 << 21
"""Vertices per step [bytes]: small enough for the cache, large enough that threads rarely wait for the interpreter."""


def read_ply(path: str | Path) -> Gaussians:
    """Read the Gaussians of a 3DGS PLY file: ascii or binary, any property order, SH degree 0 to 3.

    Raises:
        LyraSimError: The file is not a 3DGS PLY, is shorter than its header says, or holds values that are
            not finite.
    """
    path = Path(path)
    header = read_header(path)
    rest = _rest_names(path, header)
    count = header.count
    _check_size(path, header)
    gaussians = Gaussians(
        means=np.empty((count, 3), np.float32),
        scales=np.empty((count, 3), np.float32),
        rotations=np.empty((count, 4), np.float32),
        opacities=np.empty(count, np.float32),
        sh=np.empty((count, 1 + len(rest) // 3, 3), np.float32),
    )
    if header.text:
        _convert(_read_text(path, header), rest, gaussians, slice(0, count))
        return gaussians.checked(str(path))
    with open(path, "rb") as file:

        def convert(parts: list[slice]) -> bool:
            buffer, good = np.empty(_length(parts), header.dtype), True
            for part in parts:
                rows = buffer[: part.stop - part.start]
                offset = header.offset + part.start * header.dtype.itemsize
                if os.preadv(file.fileno(), [rows.view(np.uint8).data], offset) < rows.nbytes:
                    raise LyraSimError(f"{path} is cut short while it is read")
                good &= _convert(rows, rest, gaussians, part)
            return good

        good = all(_share(convert, count, header.dtype.itemsize))
    return gaussians if good else _checked(gaussians, str(path))


def write_ply(path: str | Path, gaussians: Gaussians) -> None:
    """Write Gaussians as a binary little-endian 3DGS PLY file, normals left out.

    Raises:
        LyraSimError: The Gaussians are empty or not finite, or the file cannot be written; a file of that name
            from before is then kept.
    """
    _require_alike(gaussians, "the scene")
    count, coefficients = gaussians.sh.shape[:2]
    rest = 3 * (coefficients - 1)
    names = (*_BASE[:6], *(f"f_rest_{i}" for i in range(rest)), "opacity", *_SCALES, *_ROTATION)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n"
    header += "".join(f"property float {name}\n" for name in names) + "end_header\n"
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(header.encode("ascii"))
        file.flush()

        def convert(parts: list[slice]) -> None:
            buffer = np.empty((_length(parts), len(names)), "<f4")
            for part in parts:
                rows = buffer[: part.stop - part.start]
                # Checked here, where the numbers are about to be used, they come from memory once.
                gaussians.select(part).checked("the scene")
                _fill(rows, gaussians, part)
                _write_at(file.fileno(), rows, len(header) + part.start * 4 * len(names))

        with _counted_in_all(gaussians, "the scene"):
            _share(convert, count, 4 * len(names))


def _fill(rows: np.ndarray, gaussians: Gaussians, part: slice) -> None:
    """Put some Gaussians into `rows` as the file holds them, (n, width)."""
    sh = gaussians.sh[part]
    copy_columns(gaussians.means[part], rows[:, :3])
    copy_columns(sh[:, 0], rows[:, 3:6])
    if sh.shape[1] > 1:
        rows[:, 6:-8].reshape(len(sh), 3, -1)[:] = sh[:, 1:].transpose(0, 2, 1)
    logit(gaussians.opacities[part], out=rows[:, -8])
    log_scale(gaussians.scales[part], out=rows[:, -7:-4])
    copy_columns(gaussians.rotations[part], rows[:, -4:])


def _write_at(descriptor: int, rows: np.ndarray, offset: int) -> None:
    data = rows.reshape(-1).view(np.uint8).data
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _share(work: Callable[[list[slice]], _T], count: int, size: int) -> list[_T]:
    """Let a few threads do all parts of `count` vertices of `size` bytes; numpy computes without the interpreter."""
    step = _STEP_BYTES // size + 1
    parts = [slice(i, min(i + step, count)) for i in range(0, count, step)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(4, cores, len(parts))
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, [parts[i::workers] for i in range(workers)]))


def _length(parts: list[slice]) -> int:
    return max((part.stop - part.start for part in parts), default=0)


def _checked(gaussians: Gaussians, source: str) -> Gaussians:
    """Return the Gaussians after the check of `Gaussians.checked`, which is faster in parts that fit the cache."""
    _require_alike(gaussians, source)

    def check(parts: list[slice]) -> None:
        for part in parts:
            gaussians.select(part).checked(source)

    with _counted_in_all(gaussians, source):
        _share(check, len(gaussians), 4 * (11 + gaussians.sh[0].size))
    return gaussians


def _require_alike(gaussians: Gaussians, source: str) -> None:
    """Raise unless there are Gaussians and all arrays have as many, so that parts of them can be checked alone."""
    lengths = {len(getattr(gaussians, f.name)) for f in fields(gaussians)}
    if lengths == {0} or len(lengths) > 1:
        gaussians.checked(source)


@contextmanager
def _counted_in_all(gaussians: Gaussians, source: str) -> Iterator[None]:
    """Let the message about a part of the Gaussians be the one about all of them, which counts what is wrong."""
    try:
        yield
    except LyraSimError:
        gaussians.checked(source)
        raise


def _convert(rows: np.ndarray, rest: list[str], gaussians: Gaussians, part: slice) -> bool:
    """Activate the vertices `rows` into the Gaussians of `part`, in place, and return whether they surely are good."""
    columns = _Columns(rows)
    copy_columns(columns.take(_BASE[:3]), gaussians.means[part])
    copy_columns(columns.take(_BASE[3:6]), gaussians.sh[part, 0])
    per_channel = len(rest) // 3
    for channel in range(3 if rest else 0):
        names = rest[channel * per_channel : (channel + 1) * per_channel]
        gaussians.sh[part, 1:, channel] = columns.take(names)
    exp_scale(columns.take(_SCALES), out=gaussians.scales[part])
    unit_quaternions(columns.take(_ROTATION), out=gaussians.rotations[part])
    sigmoid(columns.take(("opacity",))[:, 0], out=gaussians.opacities[part])
    # Activated, finite numbers are within their ranges, but for scales that leave float32.
    return columns.finite() and bool(np.isfinite(gaussians.scales[part].max()))


class _Columns:
    """Give named columns of vertices."""

    def __init__(self, vertices: np.ndarray) -> None:
        self._vertices = vertices
        self._names = list(vertices.dtype.names or ())
        kinds = {vertices.dtype[name] for name in self._names}
        # One float type throughout is the usual case, and then plain column slices are several times
        # faster than field by field.
        self._matrix = vertices.view(kinds.pop()).reshape(len(vertices), -1) if len(kinds) == 1 else None

    def finite(self) -> bool:
        """Return whether all numbers, and their squares, surely are finite."""
        if self._matrix is None or self._matrix.dtype != np.float32:
            return False
        with np.errstate(invalid="ignore", over="ignore"):
            return bool(np.isfinite(np.vdot(self._matrix, self._matrix)))

    def take(self, names: tuple[str, ...] | list[str]) -> np.ndarray:
        if self._matrix is not None:
            index = [self._names.index(name) for name in names]
            first = index[0]
            if index == list(range(first, first + len(index))):
                return self._matrix[:, first : first + len(index)]
            return self._matrix[:, index]
        return np.stack([self._vertices[name].astype(np.float32) for name in names], axis=1)


def _rest_names(path: Path, header: Header) -> list[str]:
    """Return the names of the `f_rest` properties in order after checking that nothing is missing."""
    names = header.dtype.names or ()
    missing = [n for n in (*_BASE, *_SCALES, *_ROTATION) if n not in names]
    if missing:
        raise LyraSimError(f"{path} is not a 3DGS PLY: its vertices lack {', '.join(missing)}")
    count = sum(name.startswith("f_rest_") for name in names)
    rest = [f"f_rest_{i}" for i in range(count)]
    if count not in REST_COUNTS or not set(rest) <= set(names):
        raise LyraSimError(f"{path} has {count} f_rest properties; 0, 9, 24 or 45 in sequence make sense")
    return rest


def _check_size(path: Path, header: Header) -> None:
    """Raise unless the file is long enough for what its header promises, before memory is taken for it."""
    size = path.stat().st_size - header.offset
    if header.text:
        # The shortest line is one digit and one separator per number.
        if size < header.count * len(header.dtype.names or ()) * 2 - 1:
            raise LyraSimError(f"{path} is cut short: its header promises {header.count} Gaussians")
        return
    held = max(size // header.dtype.itemsize, 0)
    if held < header.count:
        raise LyraSimError(
            f"{path} is cut short: its header promises {header.count} Gaussians, it holds {held}"
        )


def _read_text(path: Path, header: Header) -> np.ndarray:
    names = header.dtype.names or ()
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
