"""Find out what this machine can do, and what to install for more."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from importlib.util import find_spec
from pathlib import Path

from lyra_sim import __version__
from lyra_sim.errors import LyraSimError
from lyra_sim.usd.layout import TARGETS

PACKAGES = (
    "torch",
    "diffusers",
    "numpy",
    "numba",
    "embreex",
    "usd-core",
    "gsplat",
    "mamba-ssm",
    "transformers",
)


def weights_folder() -> Path:
    """Return the folder of downloaded weights: `LYRA_SIM_WEIGHTS`, or the user's cache folder."""
    if folder := os.environ.get("LYRA_SIM_WEIGHTS"):
        return Path(folder)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "lyra-sim" / "weights"


def examine() -> dict[str, object]:
    """Return facts about this machine as JSON types; loads torch to ask for a GPU."""
    gpu = _gpu()
    return {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "free_disk_gib": round(shutil.disk_usage(Path.cwd()).free / 2**30, 1),
        "packages": {name: _installed(name) for name in PACKAGES},
        "torch": _installed("torch"),
        "gpu": gpu,
        "kernels": _kernels(gpu),
        "weights_folder": str(weights_folder()),
        "weights": _weights(),
        "sizes": {"mini": _mini(), "full": _full(gpu)},
        "full_memory_gb": _memory(),
        "safety_checker": _safety(),
        "targets": list(TARGETS),
    }


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _gpu() -> dict[str, object] | None:
    if find_spec("torch") is None:
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return {"name": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1)}


def _kernels(gpu: dict[str, object] | None) -> dict[str, str]:
    cuda = gpu is not None
    return {
        "splat renderer": "gsplat" if cuda and find_spec("gsplat") else "numba",
        "state-space scan": "mamba-ssm" if cuda and find_spec("mamba_ssm") else "chunked PyTorch",
        "attention": "PyTorch scaled dot product",
    }


def _mini() -> dict[str, object]:
    from generator.weights import mini

    try:
        return {"available": True, "why": mini.describe()}
    except LyraSimError as error:
        return {"available": False, "why": str(error)}


def _weights() -> list[dict[str, object]]:
    """Return what is published, whether it is here, and under which licence."""
    from generator.weights.registry import ENTRIES
    from generator.weights.store import Store

    store = Store()
    return [
        {
            "name": entry.name,
            "title": entry.title,
            "here": store.has(entry),
            "licence": entry.licence,
            "licence_page": entry.page,
            "licence_accepted": store.accepted(entry),
        }
        for entry in ENTRIES
    ]


def _memory() -> list[dict[str, object]]:
    """Return the expected peaks of GPU memory at full size, by stage and offload."""
    from generator.memory import memory_table

    return memory_table()


def _safety() -> dict[str, object]:
    """Return whether the Cosmos guardrail would check what the full size makes, and why not."""
    from generator.teachers.safety import safety_missing, safety_mode

    try:
        mode, missing = safety_mode(), safety_missing()
    except LyraSimError as error:
        return {"on": False, "why": str(error)}
    if mode == "off":
        return {"on": False, "why": "LYRA_SIM_SAFETY is off"}
    return {"on": not missing, "why": "; ".join(missing) or "package and weights are here"}


def _full(gpu: dict[str, object] | None) -> dict[str, object]:
    from generator.sizes import missing_for_full

    missing = missing_for_full(has_gpu=gpu is not None)
    return {"available": not missing, "why": "; ".join(missing) or "ready"}
