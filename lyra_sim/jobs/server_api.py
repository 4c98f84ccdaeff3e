"""The HTTP calls of `lyra-sim serve`, on urllib alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from .capabilities import Capabilities
from .errors import JobError, UnreachableError
from .messages import MAX_LINE_BYTES, Message, parse_line

TIMEOUT_S = 40.0
"""Seconds without a byte until a connection counts as dead; the server sends a comment every 10 s."""

UPLOAD_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".exr": "image/x-exr",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".json": "application/json",
    ".txt": "text/plain",
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
        """Send a picture, a depth map, a video or its poses and return the upload id."""
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


def _detail(error: urllib.error.HTTPError) -> str:
    """Return the server's own sentence about a refusal."""
    try:
        detail = json.loads(error.read(MAX_LINE_BYTES))["detail"]
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        detail = error.reason
    if isinstance(detail, list):  # FastAPI's validation errors
        detail = "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in detail)
    return f"{error.code} {detail}"
