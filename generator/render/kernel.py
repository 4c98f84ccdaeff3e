"""How every kernel of the CPU renderer is compiled: at first use, cached on disk.

Kernels inline functions and constants of other files, and numba's cache looks at a kernel's own file only.
So the names of cached files carry a digest of all files that kernels take code or constants from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import IndexDataCacheFile

KERNEL_SOURCES = ("cpu*.py", "kernel.py", "request.py", "simd.py")
"""Files of this folder that compiled code depends on."""


def _digest() -> str:
    folder = Path(__file__).parent
    sources = sorted(path for pattern in KERNEL_SOURCES for path in folder.glob(pattern))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


_DIGEST = _digest()


def _compiler(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator; products and sums may fuse and divisions become reciprocals, but sums keep their order."""

    def decorate(function: Callable[..., Any]) -> Any:
        kernel = njit(cache=True, fastmath={"contract", "nsz", "arcp"}, error_model="numpy", **options)(
            function
        )
        cache = kernel._cache
        cache._cache_file = IndexDataCacheFile(
            cache.cache_path, f"{cache._impl.filename_base}-{_DIGEST}", _DIGEST
        )
        return kernel

    return decorate


serial = _compiler()
"""Compile a function that runs on one thread."""
parallel = _compiler(parallel=True)
"""Compile a function whose `prange` loops share the threads."""
inlined = _compiler(forceinline=True)
"""Compile a function into every caller."""
