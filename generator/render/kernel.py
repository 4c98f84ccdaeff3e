"""How every kernel of the CPU renderer is compiled: at first use, cached on disk."""

from __future__ import annotations

from typing import Any

from numba import njit

FAST = {"contract", "nsz", "arcp"}
"""Floating-point freedoms given to the compiler: fusing and reciprocals, but no new order of summation."""

_OPTIONS: dict[str, Any] = {"cache": True, "fastmath": FAST, "error_model": "numpy"}

serial = njit(**_OPTIONS)
"""Compile a function that runs on one thread."""
parallel = njit(parallel=True, **_OPTIONS)
"""Compile a function whose `prange` loops share the threads."""
inlined = njit(forceinline=True, **_OPTIONS)
"""Compile a function into every caller."""
