"""How every kernel of the CPU renderer is compiled: at first use, cached on disk."""

from __future__ import annotations

from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {"cache": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}
"""Products and sums may fuse and divisions become reciprocals, but sums keep their order."""

serial: Any = njit(**_OPTIONS)
"""Compile a function that runs on one thread."""
parallel: Any = njit(parallel=True, **_OPTIONS)
"""Compile a function whose `prange` loops share the threads."""
inlined: Any = njit(forceinline=True, **_OPTIONS)
"""Compile a function into every caller."""
