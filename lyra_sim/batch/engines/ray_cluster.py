"""Tasks on a Ray cluster; scheduling, retries and lost machines are Ray's business."""

from __future__ import annotations

import logging
import os
from typing import Any

from lyra_sim.batch.engines.pool import thread_variables
from lyra_sim.batch.extras import require
from lyra_sim.batch.work import Outcome, Task, work
from lyra_sim.errors import LyraSimError

RETRIES = 3
"""How often Ray repeats a task whose worker or machine was lost."""

GPU_THREADS = 4
"""Threads of a task that has a GPU."""

_PATIENCE_S = 1.0
_QUEUED_PER_SLOT = 1
"""Tasks that wait on the cluster for each that can run, so that no machine waits for the driver."""


class RayCluster:
    """Run tasks on Ray.

    A Ray worker process is used again for later tasks, so it, too, loads the networks once.
    """

    def __init__(self, address: str, *, gpu: bool) -> None:
        """Connect, or start a cluster on this machine.

        Args:
            address: `auto`, an address such as `10.0.0.1:6379` or `ray://...`, or `local` to start one here.
            gpu: Whether a task needs a GPU; otherwise it takes one core.

        Raises:
            LyraSimError: Ray is not installed or there is no such cluster.
        """
        # Ray reports usage to its makers unless told not to; that is not ours to decide.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray = ray = require("ray")
        self._gpu = gpu
        # Beside a GPU a few threads do the rest of a scene; without one, a core each is fastest.
        environment = {"env_vars": thread_variables(GPU_THREADS if gpu else 1)}
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        where = {"include_dashboard": False} if address == "local" else {"address": address}
        try:
            ray.init(**where, **options, runtime_env=environment)
        except Exception as error:
            # Ray raises plain exceptions too, such as for a node that does not start in time.
            raise LyraSimError(
                f"--ray {address}: no Ray cluster answers ({str(error).splitlines()[0]}); "
                "start one with `ray start --head`, or use --ray local"
            ) from error
        needs: dict[str, Any] = {"num_gpus": 1} if gpu else {"num_cpus": 1}
        self._remote = ray.remote(max_retries=RETRIES, retry_exceptions=False, **needs)(work)
        self._running: dict[Any, Task] = {}

    @property
    def capacity(self) -> int:
        """Tasks that the cluster can run now, and as many that wait for them."""
        have = self._ray.cluster_resources()
        slots = have.get("GPU", 0.0) if self._gpu else have.get("CPU", 0.0)
        return max(1, int(slots)) * (1 + _QUEUED_PER_SLOT)

    def submit(self, task: Task) -> None:
        """Queue a task on the cluster."""
        self._running[self._remote.remote(task)] = task

    def wait(self) -> list[tuple[Task, Outcome]]:
        """Return tasks that ended, and those that Ray gave up."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=_PATIENCE_S)
        return [(self._running.pop(reference), self._get(reference)) for reference in ready]

    def close(self) -> None:
        """Cancel what runs and leave the cluster."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        self._ray.shutdown()

    def _get(self, reference: Any) -> Outcome:
        exceptions = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except exceptions.RayTaskError as error:
            reason = str(error.cause if error.cause is not None else error).splitlines()[-1]
            return Outcome("failed", attempts=({"seed": None, "reasons": [reason]},))
        except exceptions.RayError as error:
            reason = f"Ray lost the worker {1 + RETRIES} times ({type(error).__name__})"
            return Outcome("lost", attempts=({"seed": None, "reasons": [reason]},))
