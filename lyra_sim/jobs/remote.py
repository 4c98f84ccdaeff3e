"""A client of `lyra-sim serve`, on urllib alone so that the panel can use it too."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from .capabilities import Capabilities
from .errors import JobError, UnreachableError
from .messages import MAX_LINE_BYTES, Failure, Message, Progress, Result, as_record, parse_line

TIMEOUT_S = 40.0
"""Seconds without a byte until a connection counts as dead; the server sends a comment every 10 s."""

RECONNECT_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Waits between attempts to reach a server that went away during a job; a restart takes a few seconds."""

UPLOAD_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}
"""Suffixes of inputs that a server takes, and their media types."""

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """urllib would follow a redirect to another host and send the token along."""

    def redirect_request(self, *args: object) -> None:
        return None


class Server:
    """The HTTP calls of one server."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        """Take the address of a server, such as `http://127.0.0.1:8765`.

        Raises:
            JobError: Not an http or https address.
        """
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise JobError(f"Server address {url!r}: write it like http://127.0.0.1:8765")
        self._base = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A proxy of the environment cannot reach this machine's loopback.
        proxies = urllib.request.ProxyHandler({} if parts.hostname in _LOOPBACK else None)
        self._opener = urllib.request.build_opener(_NoRedirects, proxies)

    def open(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """Make one request and return the open answer.

        Raises:
            JobError: The server says no; UnreachableError when it does not answer.
        """
        request = urllib.request.Request(
            self._base + path, data=body, method=method, headers={**self._headers, **(headers or {})}
        )
        try:
            return self._opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            with error:
                raise JobError(f"Server {self._base}: {_detail(error)}") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise UnreachableError(f"Server {self._base} cannot be reached ({reason})") from error

    def call(self, path: str, *, method: str = "GET", json_body: object = None) -> dict[str, object]:
        """Make one request with JSON on both sides.

        Raises:
            JobError: As `open`, or the answer is not a JSON object.
        """
        body = None if json_body is None else json.dumps(json_body).encode()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        with self.open(path, method=method, body=body, headers=headers) as answer:
            try:
                decoded = json.loads(answer.read(MAX_LINE_BYTES))
            except ValueError as error:
                raise JobError(f"Server {self._base} answered something else than JSON") from error
        if not isinstance(decoded, dict):
            raise JobError(f"Server {self._base} answered something else than a JSON object")
        return decoded

    def capabilities(self) -> Capabilities:
        """Ask what the server's lyra-sim can do."""
        return Capabilities.from_json(json.dumps(self.call("/capabilities")))

    def upload(self, path: str) -> str:
        """Send a picture or a video and return its upload id."""
        kind = UPLOAD_TYPES.get(Path(path).suffix.lower())
        if kind is None:
            raise JobError(f"{path}: not a kind of file that a server takes ({', '.join(UPLOAD_TYPES)})")
        try:
            file = open(path, "rb")  # noqa: SIM115 - closed below; the message is about opening only.
        except OSError as error:
            raise JobError(f"{path}: cannot be read ({error.strerror})") from error
        with file:
            size = os.fstat(file.fileno()).st_size
            limit = self.call("/capabilities").get("max_upload_bytes")
            # A server that refuses a body closes the connection, and the refusal may get lost under the sending.
            if isinstance(limit, int) and size > limit:
                raise JobError(f"{path} has {size} bytes; the server takes at most {limit} bytes")
            headers = {"Content-Type": kind, "Content-Length": str(size)}
            with self.open("/uploads", method="POST", body=file, headers=headers) as answer:
                return str(json.loads(answer.read(MAX_LINE_BYTES))["id"])

    def events(self, job: str, *, after: int) -> Iterator[tuple[int, Message]]:
        """Yield (number, message) of a job from its event stream until the connection ends."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with self.open(f"/jobs/{job}/events", headers=headers) as answer:
            number = after
            while line := answer.readline(MAX_LINE_BYTES):
                key, _, value = line.partition(b":")
                if key == b"id" and value.strip().isdigit():
                    number = int(value)
                elif key == b"data" and (message := parse_line(value)):
                    yield number, message

    def download(self, path: str, target: Path) -> None:
        """Fetch one result file; `target` appears whole or not at all."""
        with self.open(path) as answer:
            expected = answer.headers.get("Content-Length")
            handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=".part", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    shutil.copyfileobj(answer, file, 1 << 20)
                    written = file.tell()
                if expected is not None and written != int(expected):
                    raise JobError(f"Download of {target.name} broke off at {written} of {expected} bytes")
                os.chmod(name, 0o644)
                os.replace(name, target)
            except (OSError, http.client.HTTPException) as error:
                raise JobError(f"{target}: cannot be downloaded ({error})") from error
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)


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
        request: Fields of the job as its OpenAPI page lists them; `image` and `video` are local paths here.
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
    for name in ("image", "video"):
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


def _detail(error: urllib.error.HTTPError) -> str:
    """Return the server's own sentence about a refusal."""
    try:
        detail = json.loads(error.read(MAX_LINE_BYTES))["detail"]
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        detail = error.reason
    if isinstance(detail, list):  # FastAPI's validation errors
        detail = "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in detail)
    return f"{error.code} {detail}"
