"""Which check serves which golden file.

A check is a function of a path that yields comparisons. `golden` registers it for a file-name pattern:

    @golden("mamba_block*.safetensors")
    def mamba_block(path): ...
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from generator.parity.comparison import Comparison, failure
from lyra_sim.errors import LyraSimError

Check = Callable[[Path], Iterable[Comparison]]

_CHECKS: list[tuple[str, tuple[str, ...], Check]] = []


def golden(pattern: str, *, also: tuple[str, ...] = ()) -> Callable[[Check], Check]:
    """Register a check for files whose name fits `pattern`.

    Args:
        pattern: Shell pattern such as `deconv*.safetensors`.
        also: Patterns of files that the check reads besides.
    """

    def register(check: Check) -> Check:
        _CHECKS.append((pattern, also, check))
        return check

    return register


@dataclass(frozen=True)
class FolderResult:
    """Hold what the checks found in one folder."""

    comparisons: list[tuple[str, Comparison]]
    """File name and comparison, in the order checked."""
    unknown: list[str]
    """Files that no check reads."""

    @property
    def passed(self) -> bool:
        """Whether something was compared and everything was within its gate."""
        return bool(self.comparisons) and all(comparison.passed for _, comparison in self.comparisons)


def check_folder(folder: Path) -> FolderResult:
    """Run every check that fits a file of the folder; raises LyraSimError when the folder cannot be read."""
    if not folder.is_dir():
        raise LyraSimError(f"{folder} is not a folder; give a folder of golden vectors")
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != "README.md")
    comparisons: list[tuple[str, Comparison]] = []
    read: set[str] = set()
    for path in files:
        for pattern, also, check in _CHECKS:
            if fnmatch.fnmatch(path.name, pattern):
                read |= {
                    other.name for other in files for p in (pattern, *also) if fnmatch.fnmatch(other.name, p)
                }
                comparisons += [(path.name, comparison) for comparison in _run(check, path)]
    return FolderResult(comparisons, [path.name for path in files if path.name not in read])


def _run(check: Check, path: Path) -> Iterator[Comparison]:
    """Run one check; a golden file that lacks something is a failed comparison, not a crash."""
    try:
        yield from check(path)
    except KeyError as error:
        yield failure(str(error.args[0]), "the golden file has no such tensor or entry")
    except (LyraSimError, RuntimeError, ValueError, IndexError, TypeError) as error:
        yield failure("-", " ".join(str(error).split())[:200])


def load(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; raises LyraSimError when it is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise LyraSimError(f"{path.name} is missing") from error
    except (SafetensorError, OSError) as error:
        raise LyraSimError(f"{path.name} cannot be read as safetensors ({error})") from error


def load_weights(module: torch.nn.Module, tensors: dict[str, Tensor], prefix: str = "w.") -> torch.nn.Module:
    """Load the tensors under a prefix into a module, strictly."""
    module.load_state_dict({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
    return module.eval()
