"""What a batch is: the models of a spec file, and their JSON Schema for editors."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from lyra_sim.batch.positions import Document, Place, read_yaml
from lyra_sim.errors import LyraSimError
from lyra_sim.usd.layout import Target

SCHEMA_FILE = "spec.schema.json"
VERSION = 1
MAX_SEED = 2**63 - 1

Text = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S")]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Factor = Annotated[float, Field(gt=0, lt=1000, allow_inf_nan=False)]
"""What `lyra-sim gen` takes for a movement or a height of a camera."""
Trajectory = Literal["left", "right", "up", "zoom_out", "zoom_in", "clockwise"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Range(_Model):
    """Numbers from `from` to `to`, both included, in steps."""

    first: float = Field(alias="from", allow_inf_nan=False)
    """The first number."""
    last: float = Field(alias="to", allow_inf_nan=False)
    """The last number, or a bound for it."""
    step: Positive = 1.0
    """Distance between numbers."""

    @model_validator(mode="after")
    def _upwards(self) -> Range:
        if self.last < self.first:
            raise ValueError(f"the range from {self.first:g} to {self.last:g} is empty")
        return self

    @property
    def count(self) -> int:
        """How many numbers there are."""
        # A little more than a whole number of steps, because 0.1 is not exact; no more than a float can count.
        return int(min((self.last - self.first) / self.step + 1e-9, 1e15)) + 1

    def text(self, index: int) -> str:
        """Return one number as it goes into a prompt."""
        return f"{self.first + index * self.step:.9g}"


def _slot_kind(value: Any) -> str:
    """Name the member of the union; the colon keeps it apart from keys of a spec in the places of errors."""
    if isinstance(value, Range) or (isinstance(value, Mapping) and {"from", "to"} <= set(value)):
        return ":range"
    return ":weights" if isinstance(value, Mapping) else ":list"


def _once_each(values: list[Any]) -> list[Any]:
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{value!r} is here twice")
        seen.add(value)
    return values


SlotText = Annotated[Text, WithJsonSchema({"type": ["string", "number", "boolean"]})]
Slot = Annotated[
    Annotated[Annotated[list[SlotText], Field(min_length=1), AfterValidator(_once_each)], Tag(":list")]
    | Annotated[Annotated[dict[Text, Weight], Field(min_length=1)], Tag(":weights")]
    | Annotated[Range, Tag(":range")],
    Discriminator(_slot_kind),
]
"""Values of a slot: a list, values with weights, or a range of numbers."""


class SeedRange(_Model):
    """Consecutive seeds."""

    first: Seed = 0
    """The first seed."""
    count: Annotated[int, Field(ge=1)] = 1
    """How many."""

    @model_validator(mode="after")
    def _representable(self) -> SeedRange:
        if self.first + self.count - 1 > MAX_SEED:
            raise ValueError(f"seeds end at {MAX_SEED}")
        return self


def _seeds_kind(value: Any) -> str:
    if isinstance(value, (SeedRange, Mapping)):
        return ":range"
    return ":list" if isinstance(value, (list, tuple)) else ":count"


Seeds = Annotated[
    Annotated[Annotated[list[Seed], Field(min_length=1), AfterValidator(_once_each)], Tag(":list")]
    | Annotated[SeedRange, Tag(":range")]
    | Annotated[Annotated[int, Field(ge=1)], Tag(":count")],
    Discriminator(_seeds_kind),
]
"""Seeds of every prompt: a list, how many from 0, or how many from where."""


class Prompts(_Model):
    """Prompts written out."""

    prompts: Annotated[list[Text], Field(min_length=1)]
    """What to make, one scene per prompt and seed."""
    seeds: Seeds = 1
    """Seeds of every prompt: a count, a list, or {first, count}."""


class Template(_Model):
    """A prompt with slots, and what may stand in them."""

    template: Text
    """The prompt, with slots in braces: "{light} {kind} with {clutter}"."""
    slots: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Slot]
    """Values of each slot: a list, a mapping from value to weight, or {from, to, step}."""
    count: Annotated[int, Field(ge=1)] | None = None
    """How many prompts to draw, by the weights; without it every combination is made once."""
    draw: Seed = 0
    """Chooses what is drawn; a larger count keeps the earlier draws."""
    seeds: Seeds = 1
    """Seeds of every combination; one drawn again takes the seeds that follow."""

    @property
    def names(self) -> list[str]:
        """Names of the slots in the order of the template."""
        return list(dict.fromkeys(n for _, n, _, _ in string.Formatter().parse(self.template) if n))


class Pictures(_Model):
    """Pictures to start from."""

    pictures: Text
    """A glob such as `photos/**/*.jpg`, relative to the spec."""
    prompt: str = ""
    """Words to go with every picture; may be empty."""
    camera_height: Factor | None = None
    """True height of the pictures' cameras above the floor [m], which sets the scale."""
    seeds: Seeds = 1
    """Seeds of every picture."""


def _group_kind(value: Any) -> str | None:
    for model in (Prompts, Template, Pictures):
        if isinstance(value, model):
            return f":{model.__name__.lower()}"
    found = [k for k in ("prompts", "template", "pictures") if isinstance(value, Mapping) and k in value]
    return f":{found[0]}" if len(found) == 1 else None


Group = Annotated[
    Annotated[Prompts, Tag(":prompts")]
    | Annotated[Template, Tag(":template")]
    | Annotated[Pictures, Tag(":pictures")],
    Discriminator(
        _group_kind,
        custom_error_type="group",
        custom_error_message="give exactly one of prompts, template and pictures",
    ),
]


class Make(_Model):
    """How every scene is made; the options of `lyra-sim gen`."""

    size: Literal["mini", "full", "auto"] = "auto"
    """`mini`, `full`, or `auto`: full where it can run."""
    teacher: str | None = None
    """Name of the teacher; without it the one for the size and the start."""
    strict: bool = False
    """Whether a prompt that names no known kind of place is refused."""
    target: Target = "isaac-6"
    """Form of the splats."""
    trajectories: Annotated[list[Trajectory], Field(min_length=1)] = Field(default=list(get_args(Trajectory)))
    """Camera paths to film; fewer are faster and see less."""
    movement: Factor = 1.0
    """Factor on the distance that the cameras move."""
    estimator: str | None = None
    """Depth estimator for pictures; without it that of the size."""
    fit: Literal["crop", "squeeze"] = "crop"
    """How pictures are brought to the shape of the frames."""
    resolution: Annotated[str, Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$")] | None = None
    """Width and height of the frames [px], such as `640x352`; without it those of the size."""
    refine: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Steps of optimisation against the teacher's frames after decoding."""
    collider: Literal["fused", "world", "none"] = "fused"
    """Collision mesh: from the splats' depth, the procedural world's own, or none."""
    collider_faces: Annotated[int, Field(ge=100)] = 50_000
    """Most faces of a fused collider."""
    collider_approximation: str = "none"
    """Token of `physics:approximation`, or `pieces` for convex pieces."""
    labels: bool = True
    """Whether the proxy mesh carries class labels."""
    proxy: bool = True
    """Whether there is a matte proxy mesh."""
    preview: bool = True
    """Whether a picture is made of every scene."""


class RobotSpec(_Model):
    """The robot that maps and spawn points are for."""

    radius: Positive = 0.3
    """Radius of its footprint [m]."""
    height: Positive = 1.0
    """Its height [m]."""
    step: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.05
    """Height up to which it drives over things [m]."""

    @model_validator(mode="after")
    def _higher_than_its_step(self) -> RobotSpec:
        if self.height <= self.step:
            raise ValueError(f"height {self.height:g} must be more than step {self.step:g}")
        return self


class Maps(_Model):
    """Occupancy grid and spawn points of every scene; needs a collider."""

    resolution: Annotated[float, Field(ge=0.005, le=1.0)] = 0.05
    """Side of a cell of the occupancy grid [m]."""
    spawn_points: Annotated[int, Field(ge=0, le=10_000)] = 16
    """Most collision-free poses per scene."""
    robot: RobotSpec = RobotSpec()
    """The robot that they are for."""


class Quality(_Model):
    """What a scene must reach; a limit left out is not checked."""

    min_psnr_db: float | None = None
    """Least PSNR at held-out cameras [dB]; applies where the teacher has such cameras."""
    max_collider_gap_cm: Positive | None = None
    """Largest median distance between collider and splats [cm]."""
    max_floor_flatness_cm: Positive | None = None
    """Largest median distance of the splats' floor from its plane [cm]."""
    min_free_floor_m2: Positive | None = None
    """Least free floor in one piece for the robot [m2]."""
    min_spawn_points: Annotated[int, Field(ge=1)] | None = None
    """Fewest spawn points."""
    min_gaussians: Annotated[int, Field(ge=1)] | None = None
    """Fewest Gaussians."""
    max_gaussians: Annotated[int, Field(ge=1)] | None = None
    """Most Gaussians."""
    max_megabytes: Positive | None = None
    """Largest scene file [MB]."""
    retries: Annotated[int, Field(ge=0, le=100)] = 0
    """How often a rejected scene is made again, each time with the next seed of its own."""

    @model_validator(mode="after")
    def _some_count_fits(self) -> Quality:
        least, most = self.min_gaussians, self.max_gaussians
        if least is not None and most is not None and least > most:
            raise ValueError(f"min_gaussians {least} is more than max_gaussians {most}")
        return self


class Splits(_Model):
    """Which scenes are for training, validation and test."""

    ratios: Annotated[
        dict[Literal["train", "validation", "test"], Annotated[float, Field(ge=0)]], Field(min_length=1)
    ] = Field(default={"train": 1.0})
    """Share of each split; any numbers, their sum counts as one."""
    disjoint: list[Text] = []
    """Slots of which no value may be in two splits; `prompt` and `picture` count as slots."""
    seed: Seed = 0
    """Chooses which scene goes where."""

    @field_validator("ratios")
    @classmethod
    def _something(cls, value: dict[str, float]) -> dict[str, float]:
        if not 0 < sum(value.values()) < float("inf"):
            raise ValueError("the ratios add up to nothing usable")
        return value


class BatchSpec(_Model):
    """A batch of scenes. docs/batch.md explains it with examples."""

    model_config = ConfigDict(title="lyra-sim batch spec")

    version: int = Field(json_schema_extra={"enum": [1]})
    """Version of this format: 1."""
    scenes: Annotated[list[Group], Field(min_length=1)]
    """What to make: prompts, templates and pictures."""
    make: Make = Make()
    """How to make it."""
    drop: list[Annotated[dict[Text, Text | list[Text]], Field(min_length=1)]] = []
    """Scenes to leave out: those that match all pairs of an entry; texts may hold * and ?."""
    splits: Splits = Splits()
    """Which scenes are for what."""
    quality: Quality = Quality()
    """What a scene must reach."""
    maps: Maps = Maps()
    """Occupancy grids and spawn points."""

    @field_validator("version")
    @classmethod
    def _known(cls, value: int) -> int:
        if value != VERSION:
            raise ValueError(f"this lyra-sim reads specs of version {VERSION}")
        return value


def load_spec(path: Path) -> tuple[BatchSpec, Document]:
    """Read a spec and the positions of its values.

    Raises:
        LyraSimError: It is not a valid spec; with line and column.
    """
    document = read_yaml(path)
    if not isinstance(document.data, dict):
        raise document.error((), "a spec is a mapping with the keys version and scenes")
    try:
        return BatchSpec.model_validate(document.data), document
    except ValidationError as error:
        raise _first_error(error, document) from error


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a spec, as shipped in `spec.schema.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **BatchSpec.model_json_schema()}


def schema_text() -> str:
    """Return the shipped JSON Schema."""
    return (files("lyra_sim.batch") / SCHEMA_FILE).read_text()


def write_schema() -> str:
    """Return what the shipped file must hold."""
    return json.dumps(json_schema(), indent=1) + "\n"


def _first_error(error: ValidationError, document: Document) -> LyraSimError:
    """Turn the first error, in the order of the file, into one line."""
    found = []
    for item in error.errors(include_url=False):
        place = _place(item["loc"], document.data)
        mark = document.marks.get(place, (0, 0))
        found.append((mark, place, item))
    found.sort(key=lambda row: row[0])
    _, place, item = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    message = _message(item, place)
    if item["type"] == "extra_forbidden" or item["loc"][-1] == "[key]":
        return document.key_error(place, f"{message}{more}")
    return document.error(place, f"{message}{more}")


def _message(item: Any, place: Place) -> str:
    kind, value = item["type"], item.get("input")
    shown = repr(value) if isinstance(value, (str, int, float)) else ""
    if kind == "extra_forbidden":
        return f"the key {place[-1]!r} is not known here"
    if kind == "missing":
        return f"the key {item['loc'][-1]!r} is missing"
    if kind in ("too_short", "string_too_short") or (
        kind == "string_pattern_mismatch" and value in ("", None)
    ):
        return "is empty"
    if kind == "group":
        return str(item["msg"])
    text = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return f"{shown[:80]}{': ' if shown else ''}{text[:1].lower()}{text[1:]}"


def _place(location: tuple[str | int, ...], data: Any) -> Place:
    """Return the place in the file of a location in the models, which names unions' members as well."""
    place: list[str | int] = []
    for part in location:
        holds = isinstance(data, dict) and part in data
        holds = holds or (isinstance(data, list) and isinstance(part, int) and part < len(data))
        if holds:
            data = data[part]
            place.append(part)
    return tuple(place)
