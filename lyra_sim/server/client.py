"""The client behind `lyra-sim gen --server URL`; the panel uses the same code from `lyra_sim.jobs`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from lyra_sim import jobs
from lyra_sim.errors import LyraSimError


def generate_remote(
    url: str,
    request: Mapping[str, object],
    *,
    out: str | Path,
    token: str | None = None,
    on_message: Callable[[jobs.Message], None] = lambda message: None,
    stop: threading.Event | None = None,
) -> dict[str, object]:
    """Generate a scene on a server and download it; as `lyra_sim.jobs.generate_remote`.

    Raises:
        LyraSimError: The server cannot be reached, refuses the job, or the job fails or is cancelled.
    """
    try:
        return jobs.generate_remote(url, request, out=out, token=token, on_message=on_message, stop=stop)
    except jobs.JobError as error:
        raise LyraSimError(str(error), exit_code=1) from error
