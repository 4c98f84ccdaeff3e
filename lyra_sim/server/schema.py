"""The JSON bodies of the server, as its OpenAPI page shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from lyra_sim.jobs import GenRequest
from lyra_sim.server.store import Job, JobState

UploadId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
_NUMBER = r"[0-9]{1,8}(\.[0-9]{0,12})?"
Intrinsics = Annotated[str, StringConstraints(pattern=rf"^({_NUMBER},){{3}}{_NUMBER}$")]
Span = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}:[0-9]{1,9}$")]
Trajectory = Literal["left", "right", "up", "zoom_out", "zoom_in", "clockwise"]


MAX_SEED = 2**53 - 1
"""Larger integers do not survive every JSON reader."""

_NO_CONTROL = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*$"


def _one_input(schema: dict[str, Any]) -> None:
    """Say in the schema what `GenRequest.problem` checks: a prompt or one uploaded input, and what belongs to it."""
    given: dict[str, Any] = {name: {"properties": {name: {"type": "string"}}} for name in ("image", "video")}
    wanted = [{"required": [name], **rule} for name, rule in given.items()]
    schema["anyOf"] = [{"required": ["prompt"], "properties": {"prompt": {"pattern": r"\S"}}}, *wanted]
    schema["not"] = {"allOf": wanted}
    for name, others in (
        ("depth", ("image",)),
        ("intrinsics", ("image", "video")),
        ("camera_height", ("image", "video")),
        ("depth_video", ("video",)),
        ("video_cameras", ("video",)),
        ("video_frames", ("video",)),
        ("time", ("video",)),
        ("depth_unit", ("depth", "depth_video")),
    ):
        there = {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
        needed = [{"required": [other], "properties": {other: {"type": "string"}}} for other in others]
        schema.setdefault("allOf", []).append({"if": there, "then": {"anyOf": needed}})
    schema["examples"] = [{"prompt": "warehouse aisle", "seed": 7, "size": "mini"}]


class JobRequest(BaseModel):
    """What to generate; the options of `lyra-sim gen`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_one_input)

    prompt: str = Field(default="", max_length=10_000, pattern=_NO_CONTROL, description="What to make")
    image: UploadId | None = Field(default=None, description="Id of an uploaded picture")
    video: UploadId | None = Field(default=None, description="Id of an uploaded video")
    depth: UploadId | None = Field(default=None, description="Id of the picture's uploaded depth map")
    depth_video: UploadId | None = Field(default=None, description="Id of the video's uploaded depth")
    video_cameras: UploadId | None = Field(default=None, description="Id of the video's uploaded poses")
    video_frames: Span | None = Field(default=None, description="Part of the video to take, FIRST:LAST")
    time: float | None = Field(
        default=None, ge=0, le=10**6, description="Frame of the video to make a scene of"
    )
    depth_unit: Literal["mm", "m"] | None = Field(default=None, description="Unit of the depth")
    intrinsics: Intrinsics | None = Field(
        default=None, description="fx,fy,cx,cy [px] of the picture or the video"
    )
    squeeze: bool = Field(
        default=False, description="Squeeze the picture into the frames instead of cropping"
    )
    camera_height: float | None = Field(
        default=None, gt=0, lt=1000, description="Of the picture's camera [m]"
    )
    teacher: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")] | None = None
    movement: float = Field(default=1.0, gt=0, lt=1000, description="Factor on the movement of the cameras")
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="Same input and seed, same scene")
    size: Literal["mini", "full", "auto"] = "auto"
    trajectories: list[Trajectory] = Field(default=[], max_length=6, description="Empty: lyra-sim's choice")
    target: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")] | None = None
    collider: bool = True
    labels: bool = True
    proxy: bool = True
    preview: bool = True
    strict: bool = False

    @model_validator(mode="after")
    def _whole(self) -> JobRequest:
        if problem := self.request().problem():
            raise ValueError(problem)
        return self

    def request(self) -> GenRequest:
        """Return the request that the command line is made from."""
        return GenRequest(**{**self.model_dump(), "trajectories": tuple(self.trajectories)})


class JobView(BaseModel):
    """Where a job stands."""

    id: str
    state: JobState
    created: float = Field(description="Seconds since 1970")
    started: float | None = None
    finished: float | None = None
    position: int | None = Field(default=None, description="Waiting jobs before this one")
    request: dict[str, object]
    last: dict[str, object] | None = Field(default=None, description="The newest message")
    files: list[str] = Field(default=[], description="Names under /jobs/{id}/files/")

    @classmethod
    def of(
        cls, job: Job, *, position: int | None, last: dict[str, object] | None, files: list[str]
    ) -> JobView:
        """Return the view of a stored job."""
        return cls(
            id=job.id,
            state=job.state,
            created=job.created,
            started=job.started,
            finished=job.finished,
            position=position,
            request=dict(job.request),
            last=last,
            files=files,
        )


class Upload(BaseModel):
    """An uploaded input."""

    id: str
    bytes: int


class Health(BaseModel):
    """That the server lives."""

    version: str
    waiting: int


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str | list[object]
