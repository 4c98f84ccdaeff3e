"""Ask a lyra-sim what it can do, before offering it to a person."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .errors import JobError
from .process import signal_group, start_process
from .request import GenRequest

QUERY_TIMEOUT_S = 180.0
"""Seconds until an unanswered query is given up; the first import of torch from a cold disk is slow."""


@dataclass(frozen=True)
class Capabilities:
    """What one installation of lyra-sim offers; from `lyra-sim doctor --json`."""

    version: str
    """Version of lyra-sim."""
    gen_options: frozenset[str]
    """Long options of `lyra-sim gen`."""
    sizes: Mapping[str, tuple[bool, str]] = field(default_factory=dict)
    """Size to (available, why)."""
    targets: tuple[str, ...] = ()
    """Target forms it writes, its default first."""

    @classmethod
    def from_json(cls, text: str | bytes) -> Capabilities:
        """Read the answer of `doctor --json`.

        Raises:
            JobError: The text is not such an answer.
        """
        try:
            facts = json.loads(text)
            return cls(
                version=str(facts["version"]),
                gen_options=frozenset(map(str, facts["gen_options"])),
                sizes={
                    str(name): (bool(state["available"]), str(state["why"]))
                    for name, state in facts.get("sizes", {}).items()
                },
                targets=tuple(map(str, facts.get("targets", ()))),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise JobError(
                f"`lyra-sim doctor --json` gave no usable answer ({error!r}): update lyra-sim"
            ) from error

    def as_facts(self) -> dict[str, object]:
        """Return the JSON object that `from_json` reads."""
        return {
            "version": self.version,
            "gen_options": sorted(self.gen_options),
            "sizes": {name: {"available": ok, "why": why} for name, (ok, why) in self.sizes.items()},
            "targets": list(self.targets),
        }

    def lacks_option(self, option: str) -> str | None:
        """Say why a long option of `gen` cannot be offered, or None when it can."""
        return None if option in self.gen_options else f"lyra-sim {self.version} has no {option} yet"

    def lacks_size(self, size: str) -> str | None:
        """Say why a size cannot be offered, or None when it can."""
        if size == "auto":
            return None
        available, why = self.sizes.get(size, (False, f"lyra-sim {self.version} has no size {size}"))
        return None if available else why

    def lacks_target(self, target: str | None) -> str | None:
        """Say why a target form cannot be offered, or None when it can."""
        if target is None or target in self.targets:
            return None
        return f"lyra-sim {self.version} does not write {target} yet, only {', '.join(self.targets) or 'its default'}"

    def objections(self, request: GenRequest) -> list[str]:
        """List why this installation cannot do `request`; empty when it can."""
        reasons = [self.lacks_option(option) for option, _ in request.options()]
        reasons += [self.lacks_size(request.size), self.lacks_target(request.target)]
        return [reason for reason in reasons if reason]

    def settle(self, request: GenRequest) -> GenRequest:
        """Return `request` without a target that is the default anyway, which needs no option."""
        default = self.targets[0] if self.targets else None
        return replace(request, target=None) if request.target == default else request


def query_capabilities(
    command: Sequence[str], *, environment: Mapping[str, str], stop: threading.Event | None = None
) -> Capabilities:
    """Run `lyra-sim doctor --json`; takes seconds, so call it on a worker thread.

    Args:
        command: The words that start lyra-sim.
        environment: The whole environment of the child.
        stop: Set it from another thread to end the query.

    Raises:
        JobError: The command does not start, does not end, is stopped, or answers something else.
    """
    stop = stop or threading.Event()
    process = start_process([*command, "doctor", "--json"], environment)
    deadline = time.monotonic() + QUERY_TIMEOUT_S
    while True:
        try:
            out, err = process.communicate(timeout=0.1)
            break
        except subprocess.TimeoutExpired:
            if stop.is_set() or time.monotonic() > deadline:
                signal_group(process.pid, kill=True)
                process.communicate()
                why = "was stopped" if stop.is_set() else f"did not answer within {QUERY_TIMEOUT_S:.0f} s"
                raise JobError(f"{command[0]} doctor {why}") from None
    # `doctor` ends with 1 when not even mini can run, and its answer says why: the status is not looked at.
    if not out.strip():
        said = err.decode(errors="replace").strip().splitlines()
        raise JobError(f"{command[0]} doctor failed: {said[-1] if said else f'status {process.returncode}'}")
    return Capabilities.from_json(out)
