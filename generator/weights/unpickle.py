"""Reading tensors out of published files without running anything that they contain."""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from lyra_sim.errors import LyraSimError


class Inert:
    """Stand in for any object of a checkpoint that is no tensor: takes every argument and does nothing."""

    def __init__(self, *arguments: object, **options: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_tensors(path: Path, *, remedy: str) -> Mapping[str, Any]:
    """Read a `.safetensors` file or a PyTorch checkpoint; tensors are mapped from the file where it allows that.

    PyTorch's `weights_only` reader does the work. It refuses a file that names any class or function but
    tensors and plain containers, as training checkpoints do beside their weights; each of those names is
    bound to `Inert` for a second try, so that the file's tensors can be had and its code is never looked up.

    Args:
        path: The file.
        remedy: What to tell the user to do about a damaged file.

    Raises:
        LyraSimError: The file is missing, cut off, of another format, or cannot be read without running code.
    """
    _refuse_other_formats(path, remedy)
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _load(path)
    except OSError as error:
        raise LyraSimError(f"cannot read {path} ({error.strerror or error})") from None
    except MemoryError:
        raise
    except Exception as error:
        # A damaged pickle can make the reader fail in any way, and every one of them means the same here.
        raise LyraSimError(
            f"{path}: expected a checkpoint of tensors, but it is cut off, damaged or holds what cannot be read "
            f"without running code ({_first_sentence(error)}); {remedy}"
        ) from None
    if not isinstance(content, Mapping):
        raise LyraSimError(f"{path}: expected named tensors, found {type(content).__name__}; {remedy}")
    return content


def read_pair(path: Path, *, remedy: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Read a file that holds two tensors, as `mean_std.pt` does; raises LyraSimError when it does not."""
    _refuse_other_formats(path, remedy)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise LyraSimError(f"{path}: expected two tensors ({_first_sentence(error)}); {remedy}") from None
    pair = isinstance(content, list | tuple | torch.Tensor) and len(content) == 2
    if not pair or not all(isinstance(part, torch.Tensor) for part in content):
        raise LyraSimError(f"{path}: expected two tensors, mean and standard deviation; {remedy}")
    return content[0], content[1]


def _load(path: Path) -> Any:
    """Load with `weights_only`; files from before PyTorch 1.6 are no zip archives and cannot be mapped."""
    archive = zipfile.is_zipfile(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError:
        if not archive:
            raise
    names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    stand_ins = {name: Inert for name in names} | {"collections.defaultdict": _mapping}
    with torch.serialization.safe_globals([(stand_in, name) for name, stand_in in stand_ins.items()]):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _mapping(*arguments: object) -> OrderedDict:
    """Make what takes the place of a defaultdict, whose items the reader sets only in a type that it knows."""
    return OrderedDict()


def _refuse_other_formats(path: Path, remedy: str) -> None:
    """Name the two things that are commonly saved in the place of a checkpoint."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise LyraSimError(f"cannot read {path} ({error.strerror}); {remedy}") from None
    if not start:
        raise LyraSimError(f"{path}: the file is empty; {remedy}")
    if start.startswith(b"version https://git-lfs"):
        raise LyraSimError(f"{path}: is a Git LFS pointer, not the file itself; {remedy}")
    if start.lstrip()[:1] == b"<":
        raise LyraSimError(f"{path}: is a web page, not a checkpoint; {remedy}")


def _first_sentence(error: Exception) -> str:
    """Return the reason that an error of PyTorch's reader gives, without the advice around it."""
    text = str(error).split("WeightsUnpickler error: ")[-1].strip()
    return text.split(". ")[0].splitlines()[0][:160] if text else type(error).__name__
