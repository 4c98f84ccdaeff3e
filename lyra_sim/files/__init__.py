"""Readers and writers of files that hold Gaussians, by what the file is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lyra_sim.errors import LyraSimError
from lyra_sim.files import lyra
from lyra_sim.files.ply import read_ply, write_ply
from lyra_sim.files.spz import read_spz, write_spz
from lyra_sim.gaussians import Gaussians

READERS: dict[str, Callable[[Path], Gaussians]] = {
    ".ply": read_ply,
    ".spz": read_spz,
    **dict.fromkeys(lyra.SUFFIXES, lyra.read_lyra),
}
WRITERS: dict[str, Callable[[Path, Gaussians], None]] = {
    ".ply": write_ply,
    ".spz": write_spz,
    ".safetensors": lyra.write_lyra,
}

__all__ = [
    "READERS",
    "WRITERS",
    "read_gaussians",
    "read_ply",
    "read_spz",
    "write_gaussians",
    "write_ply",
    "write_spz",
]


def read_gaussians(path: str | Path) -> Gaussians:
    """Read the Gaussians of a PLY, SPZ or Lyra tensor file in the file's own frame.

    Raises:
        LyraSimError: The file is missing, of an unknown kind or damaged.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise LyraSimError(f"{path}: unknown kind of file; known endings are {', '.join(READERS)}")
    if not path.is_file():
        raise LyraSimError(f"cannot read {path}: there is no such file")
    try:
        with open(path, "rb") as file:
            start = file.read(2)
    except OSError as error:
        raise LyraSimError(f"cannot read {path}: {error.strerror or error}") from error
    # Lyra's own program saves its tensors under a name that ends in `.ply`.
    return lyra.read_lyra(path) if start == b"PK" else reader(path)


def write_gaussians(path: str | Path, gaussians: Gaussians) -> None:
    """Write Gaussians to a PLY, SPZ or safetensors file.

    Raises:
        LyraSimError: The ending is unknown, the Gaussians are not finite, or the file cannot be written.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise LyraSimError(
            f"{path}: cannot write that kind of file; known endings are .usdz, {', '.join(WRITERS)}"
        )
    writer(path, gaussians)
