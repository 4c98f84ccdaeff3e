"""Jobs on a `lyra-sim serve`: followed across lost connections, their results fetched."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from .errors import JobError, UnreachableError
from .messages import Failure, Message, Progress, Result, as_record
from .request import INPUTS
from .server_api import Server

RECONNECT_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Waits between attempts to reach a server that went away during a job; a restart takes a few seconds."""


def generate_remote(
    url: str,
    request: Mapping[str, object],
    *,
    out: str | Path,
    token: str | None = None,
    on_message: Callable[[Message], None] = lambda message: None,
    stop: threading.Event | None = None,
) -> dict[str, object]:
    """Generate a scene on a server and download it.

    The job is cancelled on the server when `stop` is set, and on KeyboardInterrupt.

    Args:
        url: Address of the server.
        request: Fields of the job as its OpenAPI page lists them; `image`, `depth` and `video` are local paths here.
        out: Where to put the scene; its picture goes beside it.
        token: The server's bearer token.
        on_message: Receives every message; paths in them are of this machine.
        stop: Set it from another thread to cancel.

    Returns:
        The result message as a JSON object, with paths of this machine.

    Raises:
        JobError: The server cannot be reached, refuses the job, or the job fails or is cancelled.
    """
    final = _follow(Server(url, token=token), request, Path(out), on_message, stop or threading.Event())
    on_message(final)
    if isinstance(final, Failure):
        raise JobError(final.message)
    return as_record(final)


class RemoteJob:
    """A job on a server, with the interface of `ChildJob`."""

    def __init__(
        self,
        url: str,
        request: Mapping[str, object],
        *,
        out: str | Path,
        token: str | None,
        on_message: Callable[[Message], None],
    ) -> None:
        """Start to follow a new job on a thread of this object; arguments as `generate_remote`.

        Raises:
            JobError: Not an http or https address.
        """
        self.done = threading.Event()
        self.outcome: Result | Failure | None = None
        self._stop = threading.Event()
        server = Server(url, token=token)
        threading.Thread(target=self._run, args=(server, request, Path(out), on_message), daemon=True).start()

    def cancel(self) -> None:
        """Ask the server to end the job; returns at once, safe to repeat."""
        self._stop.set()

    def close(self, *, timeout_s: float = 10.0) -> None:
        """Cancel if still running, and wait for the end."""
        self.cancel()
        self.done.wait(timeout_s)

    def _run(
        self,
        server: Server,
        request: Mapping[str, object],
        out: Path,
        on_message: Callable[[Message], None],
    ) -> None:
        try:
            self.outcome = _follow(server, request, out, on_message, self._stop)
        except JobError as error:
            self.outcome = Failure(str(error), cancelled=self._stop.is_set())
        except Exception as error:
            # The receiver waits for a last message, whatever happened here.
            self.outcome = Failure(f"Internal error of the server client: {type(error).__name__}: {error}")
        on_message(self.outcome)
        self.done.set()


def _follow(
    server: Server,
    request: Mapping[str, object],
    out: Path,
    on_message: Callable[[Message], None],
    stop: threading.Event,
) -> Result | Failure:
    """Submit a job, pass its progress on, and return its end, downloaded."""
    body = dict(request)
    for name in INPUTS:
        if body.get(name):
            body[name] = server.upload(str(body[name]))
    job = str(server.call("/jobs", method="POST", json_body=body)["id"])
    finished = threading.Event()
    watcher = threading.Thread(target=_cancel_when, args=(server, job, stop, finished), daemon=True)
    watcher.start()
    try:
        final = _until_the_end(server, job, out, on_message, stop)
    except BaseException:
        with contextlib.suppress(JobError):
            server.call(f"/jobs/{job}/cancel", method="POST")
        raise
    finally:
        finished.set()
    if isinstance(final, Failure):
        return final
    return _fetch(server, final, out)


def _cancel_when(server: Server, job: str, stop: threading.Event, finished: threading.Event) -> None:
    while not finished.is_set():
        if stop.wait(0.1):
            with contextlib.suppress(JobError):
                server.call(f"/jobs/{job}/cancel", method="POST")
            return


def _until_the_end(
    server: Server, job: str, out: Path, on_message: Callable[[Message], None], stop: threading.Event
) -> Result | Failure:
    """Follow the events, across lost connections and restarts of the server."""
    after, attempt = 0, 0
    while True:
        try:
            for number, message in server.events(job, after=after):
                after, attempt = number, 0
                if not isinstance(message, Progress):
                    return message
                on_message(_with_local_preview(server, message, out))
            lost: JobError = UnreachableError("The server ended the connection")
        except UnreachableError as error:
            lost = error
        except (OSError, http.client.HTTPException) as error:
            lost = UnreachableError(f"The connection to the server was lost ({error})")
        if stop.is_set():
            return Failure("Cancelled, but the server could not be asked whether it stopped", cancelled=True)
        if attempt == len(RECONNECT_S):
            raise lost
        stop.wait(RECONNECT_S[attempt])
        attempt += 1


def _with_local_preview(server: Server, message: Progress, out: Path) -> Progress:
    if message.preview is None:
        return message
    local = out.with_name(f"{out.stem}.preview.png")
    try:
        server.download(message.preview, local)
    except JobError:
        # A picture on the way is a courtesy; the next message may bring it.
        return replace(message, preview=None)
    return replace(message, preview=str(local))


def _fetch(server: Server, final: Result, out: Path) -> Result:
    server.download(final.scene, out)
    picture = out.with_suffix(".png")
    if final.preview is not None:
        server.download(final.preview, picture)
    out.with_name(f"{out.stem}.preview.png").unlink(missing_ok=True)
    return replace(
        final, scene=str(out.absolute()), preview=str(picture.absolute()) if final.preview else None
    )
