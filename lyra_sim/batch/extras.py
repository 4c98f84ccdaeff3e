"""Load the libraries of the `batch` extra, or say how to install them."""

from __future__ import annotations

import importlib
from typing import Any

from lyra_sim.errors import LyraSimError


def require(module: str) -> Any:
    """Import a library of the `batch` extra.

    Raises:
        LyraSimError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"yaml": "pyyaml"}.get(module.partition(".")[0], module.partition(".")[0])
        raise LyraSimError(
            f"lyra-sim batch needs {package}, which is not installed: pip install 'lyra-sim[batch]'"
        ) from error
