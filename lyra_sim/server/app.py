"""The HTTP interface of `lyra-sim serve`."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.routing import Match

from lyra_sim import __version__
from lyra_sim.jobs import Capabilities, JobError
from lyra_sim.jobs.request import INPUTS
from lyra_sim.server.config import ServerConfig
from lyra_sim.server.guard import OPEN_PATHS, Guard
from lyra_sim.server.schema import Health, JobRequest, JobView, Problem, Upload
from lyra_sim.server.store import ACTIVE, Job, JobStore, QueueFullError
from lyra_sim.server.uploads import SUFFIXES, Uploads
from lyra_sim.server.worker import Worker

POLL_S = 0.2
"""Seconds between looks at the store for a stream of events."""

KEEP_ALIVE_S = 10.0
"""Seconds of silence after which a stream sends a comment, so that clients can tell quiet from dead."""

JobId = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{32}$", description="Id of a job")]


def create_app(config: ServerConfig) -> FastAPI:
    """Return the application; its worker lives as long as the application runs.

    Raises:
        LyraSimError: The data folder is in use or cannot be written.
    """
    config.data.mkdir(parents=True, exist_ok=True)
    service = Service(config)
    app = FastAPI(
        title="lyra-sim",
        version=__version__,
        summary="A sentence, a picture or a video to a simulation-ready 3D Gaussian scene",
        lifespan=service.lifespan,
        redoc_url=None,
        responses=_problems(401, 403, 413, 421),
    )
    app.add_middleware(Guard, config=config)
    app.add_exception_handler(405, _name_the_methods)
    for method, path, endpoint, options in service.routes():
        # Declares the token for the OpenAPI page; `Guard` is what checks it.
        closed = config.token is not None and path not in OPEN_PATHS
        token = [Depends(HTTPBearer(auto_error=False))] if closed else []
        app.add_api_route(path, endpoint, methods=[method], dependencies=token, **options)
    return app


class Service:
    """The endpoints over one store, one worker and one folder of uploads."""

    def __init__(self, config: ServerConfig) -> None:
        """Open the store."""
        self._config = config
        self._store = JobStore(config.data / "jobs.sqlite")
        self._worker = Worker(config, self._store)
        self._uploads = Uploads(config.data / "uploads")

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Run the worker while the application runs."""
        self._worker.start()
        try:
            yield
        finally:
            await run_in_threadpool(self._worker.stop)
            self._store.close()

    def routes(self) -> list[tuple[str, str, Callable[..., Any], dict[str, Any]]]:
        """Return (method, path, endpoint, options) of every endpoint."""
        missing = {"responses": _problems(404)}
        return [
            ("GET", "/health", self.health, {"response_model": Health}),
            ("GET", "/capabilities", self.capabilities, {"responses": _problems(503)}),
            (
                "POST",
                "/uploads",
                self.upload,
                {
                    "response_model": Upload,
                    "status_code": 201,
                    "responses": _problems(409, 415, 503),
                    "openapi_extra": {
                        "requestBody": {
                            "required": True,
                            "content": {
                                kind: {"schema": {"type": "string", "format": "binary"}} for kind in SUFFIXES
                            },
                        }
                    },
                },
            ),
            (
                "POST",
                "/jobs",
                self.submit,
                {
                    "response_model": JobView,
                    "status_code": 202,
                    "responses": _problems(400, 404, 409, 422, 429, 503),
                },
            ),
            ("GET", "/jobs", self.jobs, {"response_model": list[JobView]}),
            ("GET", "/jobs/{job}", self.job, {"response_model": JobView, **missing}),
            ("POST", "/jobs/{job}/cancel", self.cancel, {"response_model": JobView, **missing}),
            ("DELETE", "/jobs/{job}", self.delete, {"status_code": 204, "responses": _problems(404, 409)}),
            (
                "GET",
                "/jobs/{job}/events",
                self.events,
                {
                    "response_class": StreamingResponse,
                    "responses": {200: {"content": {"text/event-stream": {}}}, **_problems(404)},
                },
            ),
            (
                "GET",
                "/jobs/{job}/files/{name}",
                self.file,
                {
                    "response_class": FileResponse,
                    "responses": {200: {"content": {"application/octet-stream": {}}}, **_problems(404)},
                },
            ),
        ]

    async def health(self) -> Health:
        """Say that the server lives, and how many jobs wait."""
        waiting = sum(job.state == "queued" for job in self._store.jobs(limit=1000))
        return Health(version=__version__, waiting=waiting)

    async def capabilities(self) -> dict[str, object]:
        """Say what this server's lyra-sim can do; the answer of `lyra-sim doctor --json`, shortened."""
        facts = (await self._ask()).as_facts()
        return {**facts, "max_upload_bytes": self._config.max_upload_bytes}

    async def upload(self, request: Request) -> Upload:
        """Take a picture, a depth map, a video or its poses as the plain body; name its id in a job within an hour."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in SUFFIXES:
            raise HTTPException(415, f"Content-Type {kind!r}: send one of {', '.join(SUFFIXES)}")
        of_video = kind.startswith(("video/", "text/")) or kind == "application/json"
        option = "--video" if of_video else "--image"
        if why := (await self._ask()).lacks_option(option):
            raise HTTPException(409, why)
        name, size = await self._uploads.save(request.stream(), suffix=SUFFIXES[kind])
        return Upload(id=name, bytes=size)

    async def submit(self, body: JobRequest) -> JobView:
        """Queue a job."""
        can = await self._ask()
        request = can.settle(body.request())
        if objections := can.objections(request):
            raise HTTPException(409, "; ".join(objections))
        return await run_in_threadpool(self._queue, asdict(request))

    def _queue(self, fields: dict[str, Any]) -> JobView:
        def with_inputs(job: str) -> dict[str, Any]:
            uploads = {name: fields[name] for name in INPUTS if fields[name] is not None}
            try:
                return fields | self._uploads.take(uploads, self._worker.folder(job))
            except LookupError as error:
                detail = f"{error.args[0]}: no such upload, or it was used, or is older than an hour"
                raise HTTPException(404, detail) from error

        try:
            job = self._store.add(with_inputs, queue_length=self._config.queue_length)
        except QueueFullError:
            detail = f"{self._config.queue_length} jobs are waiting already; try again later"
            raise HTTPException(429, detail, {"Retry-After": "60"}) from None
        self._worker.wake()
        return self._view(job)

    async def jobs(self) -> list[JobView]:
        """List the newest jobs, newest first."""
        return [self._view(job, brief=True) for job in self._store.jobs()]

    async def job(self, job: JobId) -> JobView:
        """Say where a job stands."""
        return self._view(self._require(job))

    async def cancel(self, job: JobId) -> JobView:
        """Cancel a job; repeating it, or cancelling a finished job, changes nothing."""
        found = await run_in_threadpool(self._worker.cancel, job)
        if found is None:
            raise HTTPException(404, "No such job")
        return self._view(found)

    async def delete(self, job: JobId) -> None:
        """Remove a finished job and its files."""
        if self._require(job).state in ACTIVE:
            raise HTTPException(409, "The job is not finished; cancel it first")
        self._store.delete([job])
        await run_in_threadpool(shutil.rmtree, self._worker.folder(job), ignore_errors=True)

    async def events(self, job: JobId, request: Request) -> StreamingResponse:
        """Stream the messages of a job as server-sent events, from `Last-Event-ID` on, until the last one."""
        self._require(job)
        after = request.headers.get("last-event-id", "0")
        stream = self._stream(job, int(after) if after.isdecimal() and len(after) < 10 else 0)
        return StreamingResponse(
            stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def file(self, job: JobId, name: str) -> FileResponse:
        """Download one of the files that `GET /jobs/{id}` lists."""
        self._require(job)
        # The name is looked up among the files that are there; it never becomes part of a path.
        path = self._files(job).get(name)
        if path is None:
            raise HTTPException(404, "No such file")
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)

    async def _stream(self, job: str, after: int) -> AsyncIterator[str]:
        quiet = 0.0
        while True:
            # The state is read first: a job that is finished then has all its messages stored.
            found = self._store.get(job)
            for number, record in self._store.events(job, after=after):
                after, quiet = number, 0.0
                yield f"id: {number}\ndata: {record}\n\n"
            if found is None or found.state not in ACTIVE:
                return
            if quiet >= KEEP_ALIVE_S:
                quiet = 0.0
                yield ": still here\n\n"
            await asyncio.sleep(POLL_S)
            quiet += POLL_S

    async def _ask(self) -> Capabilities:
        try:
            return await run_in_threadpool(self._worker.capabilities)
        except JobError as error:
            raise HTTPException(503, str(error)) from error

    def _require(self, job: str) -> Job:
        found = self._store.get(job)
        if found is None:
            raise HTTPException(404, "No such job")
        return found

    def _files(self, job: str) -> dict[str, Path]:
        folder = self._worker.folder(job)
        if not folder.is_dir():
            return {}
        files = (file for file in folder.iterdir() if file.is_file() and not file.is_symlink())
        return {file.name: file for file in files if not file.name.startswith((".", "input-"))}

    def _view(self, job: Job, *, brief: bool = False) -> JobView:
        return JobView.of(
            job,
            position=None if brief else self._store.position(job.id),
            last=None if brief else self._store.last_event(job.id),
            files=[] if brief else sorted(self._files(job.id)),
        )


async def _name_the_methods(request: Request, error: Exception) -> JSONResponse:
    """Answer a wrong method with all right ones; the framework names those of one route only."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    allowed = sorted({method for route in routes for method in getattr(route, "methods", ())})
    return JSONResponse({"detail": "Method Not Allowed"}, 405, {"Allow": ", ".join(allowed)})


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem} for status in statuses}
