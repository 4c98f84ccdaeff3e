"""What every request must pass before anything of it is read: address, token, size."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lyra_sim.server.config import ServerConfig, is_loopback

OPEN_PATHS = frozenset({"/health", "/docs", "/openapi.json"})
"""Paths that need no token; they tell nothing about jobs."""

MAX_BODY_BYTES = 64 << 10
"""Largest body of anything but an upload."""


class Guard:
    """ASGI middleware that refuses a request by its headers alone, and stops a body that grows too long."""

    def __init__(self, app: ASGIApp, *, config: ServerConfig) -> None:
        """Wrap an application."""
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._config.max_upload_bytes if scope["path"] == "/uploads" else MAX_BODY_BYTES
        refusal = self._refusal(scope["path"], headers, limit)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, _limited(receive, limit), send)

    def _refusal(self, path: str, headers: Headers, limit: int) -> JSONResponse | None:
        if self._config.token is None and not is_loopback(_host(headers.get("host", ""))):
            # A web page can point a name of its own at 127.0.0.1 (DNS rebinding).
            return _refuse(421, "This server answers to loopback names only")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return _refuse(403, "Requests from other web pages are not answered")
        if path not in OPEN_PATHS and not self._knows(headers.get("authorization", "")):
            return _refuse(
                401, "Send the server's token as `Authorization: Bearer ...`", {"WWW-Authenticate": "Bearer"}
            )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > limit:
            return _refuse(413, f"The body has {length} bytes; at most {limit} are accepted")
        return None

    def _knows(self, authorization: str) -> bool:
        if self._config.token is None:
            return True
        scheme, _, token = authorization.partition(" ")
        expected = self._config.token.encode()
        return scheme.lower() == "bearer" and secrets.compare_digest(token.strip().encode(), expected)


def _host(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _refuse(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    # The body is not read, so the connection cannot be used again.
    return JSONResponse({"detail": detail}, status, {"Connection": "close", **(headers or {})})


def _limited(receive: Receive, limit: int) -> Receive:
    """Count a body as it arrives; a body without a Content-Length shows its size only so."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413, f"The body is longer than {limit} bytes", {"Connection": "close"})
        return message

    return counted
