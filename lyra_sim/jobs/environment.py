"""The environment of a child that starts from inside Isaac Sim."""

from __future__ import annotations

from collections.abc import Mapping

SIMULATOR_VARIABLES = frozenset(
    {
        "CARB_APP_PATH",
        "EXP_PATH",
        "ISAAC_PATH",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "OLD_PYTHONPATH",
        "OPENBLAS_NUM_THREADS",
        "PXR_WORK_THREAD_LIMIT",
        "PYTHONHOME",
        "PYTHONPATH",
        "RESOURCE_NAME",
    }
)
"""Set by Isaac Sim's launchers; a foreign Python that inherits them loads Kit's libraries and crashes."""


def clean_environment(environ: Mapping[str, str], *, device: str = "auto") -> dict[str, str]:
    """Return a copy of `environ` for a child in the user's own Python.

    Args:
        environ: The environment of the simulator, not changed.
        device: `auto` leaves the choice to the child, `cpu` hides every GPU, a number shows that GPU only.
    """
    clean = {name: value for name, value in environ.items() if name not in SIMULATOR_VARIABLES}
    # Lines must arrive when they are printed, and in the encoding that we read.
    clean |= {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    if device != "auto":
        clean["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else device
    return clean
