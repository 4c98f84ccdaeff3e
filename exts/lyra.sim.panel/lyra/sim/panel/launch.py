"""Reach the lyra-sim that the preferences name: on this machine or on a server. Needs no Kit."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from .jobs import (
    Capabilities,
    ChildJob,
    GenRequest,
    Message,
    RemoteJob,
    clean_environment,
    find_command,
    query_capabilities,
)
from .jobs.server_api import Server
from .preferences import Preferences


def launch(
    request: GenRequest,
    scene: Path,
    *,
    preferences: Preferences,
    device: str,
    receive: Callable[[Message], None],
) -> ChildJob | RemoteJob:
    """Start a job that makes `scene`.

    Raises:
        JobError: lyra-sim is not found, or the server's address or token file is wrong.
    """
    if preferences.server:
        return RemoteJob(
            preferences.server, asdict(request), out=scene, token=preferences.token(), on_message=receive
        )
    command = [*_command(preferences), *request.arguments(str(scene))]
    return ChildJob(command, environment=clean_environment(os.environ, device=device), on_message=receive)


def ask_capabilities(preferences: Preferences, *, stop: threading.Event) -> Capabilities:
    """Ask what can be done there; takes seconds, so call it on a worker thread.

    Raises:
        JobError: lyra-sim is not found or does not answer, or `stop` was set.
    """
    if preferences.server:
        return Server(preferences.server, token=preferences.token()).capabilities()
    environment = clean_environment(os.environ)
    return query_capabilities(_command(preferences), environment=environment, stop=stop)


def _command(preferences: Preferences) -> list[str]:
    return find_command(preferences.command, near=Path(__file__))
