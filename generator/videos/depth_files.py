"""Depth of the frames of a video: a folder of pictures, an array, or a zip of EXR pictures."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from generator.decoder.latent_files import exr_pictures
from generator.pictures.depth_file import in_metres, read_depth
from lyra_sim.errors import LyraSimError

SUFFIXES = (".png", ".tif", ".tiff", ".exr", ".npy", ".npz")
"""Kinds of files that a folder of depth pictures may hold."""
MOST_BYTES = 8 << 30
"""Size of one array of depth beyond which a file is refused before it is unpacked."""


def read_depths(
    path: Path, picked: np.ndarray, *, total: int, unit: str | None
) -> tuple[list[np.ndarray], list[Path]]:
    """Return z-depth [m] of frames of a video, each (H, W) float32 with 0 where unknown, and the files that were read.

    Args:
        path: A folder with a depth picture per frame in the order of their names, an NPY file or an NPZ file with
            `depth` (F, H, W), or a zip of EXR pictures (ViPE's).
        picked: Frames wanted, rising.
        total: Frames of the video; there must be as many depths.
        unit: `mm` or `m`; None takes millimetres for whole numbers and metres for floating-point ones.

    Raises:
        LyraSimError: The files are missing, damaged, no depth, or not as many as the frames.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        _require_count(path, len(files), total)
        return _each(picked, lambda number: read_depth(files[number], unit=unit).depth), files
    if path.suffix.lower() == ".zip":
        return _from_zip(path, picked, total, unit), [path]
    if path.suffix.lower() in (".npy", ".npz"):
        array = _array(path)
        _require_count(path, len(array), total)
        unit = unit or ("m" if array.dtype.kind == "f" else "mm")
        return _each(picked, lambda number: in_metres(np.asarray(array[number]), unit)), [path]
    raise LyraSimError(
        f"--depth-video {path}: must be a folder of depth pictures, an NPY or NPZ file, or a zip of EXR pictures"
    )


def _each(picked: np.ndarray, read: Callable[[int], np.ndarray]) -> list[np.ndarray]:
    """Read every picked frame once, though it may be picked several times."""
    found = {number: read(number) for number in dict.fromkeys(picked.tolist())}
    return [found[number] for number in picked.tolist()]


def _from_zip(path: Path, picked: np.ndarray, total: int, unit: str | None) -> list[np.ndarray]:
    wanted, found, count = set(picked.tolist()), {}, 0
    for number, picture in enumerate(exr_pictures(path)):
        count += 1
        if number in wanted:
            found[number] = read_depth(picture, unit=unit or "m").depth
    _require_count(path, count, total)
    return [found[number] for number in picked.tolist()]


def _array(path: Path) -> np.ndarray:
    """Return the depths (F, H, W) of an NPY or NPZ file, unread as far as possible."""
    try:
        if path.suffix.lower() == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with zipfile.ZipFile(path) as archive:
                if max((info.file_size for info in archive.infolist()), default=0) > MOST_BYTES:
                    raise LyraSimError(f"--depth-video {path}: is too large; cut the video first")
            with np.load(path, allow_pickle=False) as arrays:
                name = "depth" if "depth" in arrays.files else (arrays.files or [""])[0]
                array = arrays[name]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise LyraSimError(f"--depth-video {path}: cannot be read ({error})") from error
    if array.ndim != 3 or array.dtype.kind not in "uif":
        raise LyraSimError(
            f"--depth-video {path}: must hold numbers (frames, rows, columns), not {array.dtype} {array.shape}"
        )
    return array


def _require_count(path: Path, count: int, total: int) -> None:
    if count != total:
        raise LyraSimError(
            f"--depth-video {path}: has {count} depth maps, the video {total} frames; give one for each"
        )
