"""From a spec to its scenes: fill in templates, find pictures, leave out what is dropped, split."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import itertools
import math
import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lyra_sim.batch.positions import Document, Place, dotted
from lyra_sim.batch.scenes import PlannedScene, chance, scene_id
from lyra_sim.batch.spec import (
    BatchSpec,
    Pictures,
    Prompts,
    Range,
    SeedRange,
    Seeds,
    Slot,
    Template,
)
from lyra_sim.batch.splits import assign_splits

MAX_SCENES = 1_000_000
"""Most scenes of one batch."""


@dataclass(frozen=True)
class Plan:
    """Hold every scene of a batch and how scenes are made."""

    scenes: tuple[PlannedScene, ...]
    """In the order of the spec."""
    recipe: Mapping[str, object]
    """What all scenes share: how they are made, measured and mapped (JSON types)."""
    dropped: int
    """Scenes that the spec's `drop` left out."""
    spec: str
    """Text of the spec, which the output folder keeps."""


@dataclass(frozen=True)
class _Draft:
    """A scene before it has an id."""

    prompt: str
    seed: int
    place: Place
    slots: Mapping[str, str]
    picture: Path | None = None
    camera_height: float | None = None


def expand(spec: BatchSpec, document: Document, *, resolve_size: Callable[[str], str]) -> Plan:
    """List the scenes of a spec.

    Args:
        spec: The spec.
        document: Its file, for positions in errors and the folder that globs start from.
        resolve_size: Turns `auto` into the size that it means here, since the id must say which.

    Raises:
        LyraSimError: A template lacks a slot, a glob matches nothing, there are too many scenes or none, two are
            the same, or the splits cannot be made; with line and column.
    """
    size = resolve_size(spec.make.size)
    recipe = _recipe(spec, size, defaults=True)
    # Settings at their defaults stay out of the ids, so that settings of later versions leave them alone.
    identity = _recipe(spec, size, defaults=False)
    _check_total(spec, document)
    drafts = [d for i, group in enumerate(spec.scenes) for d in _drafts(group, ("scenes", i), document)]
    kept = _without_dropped(drafts, spec, document)
    pictures = _Hashes(document)
    scenes = _without_doubles((_planned(d, identity, pictures) for d in kept), document)
    splits = assign_splits(scenes, spec.splits, document)
    scenes = [replace(scene, split=split) for scene, split in zip(scenes, splits, strict=True)]
    return Plan(tuple(scenes), recipe, len(drafts) - len(kept), document.text)


def _recipe(spec: BatchSpec, size: str, *, defaults: bool) -> dict[str, dict[str, object]]:
    """Return what all scenes share, with or without the settings that are at their defaults."""
    parts = {"make": spec.make, "quality": spec.quality, "maps": spec.maps}
    recipe = {k: part.model_dump(mode="json", exclude_defaults=not defaults) for k, part in parts.items()}
    recipe["make"]["size"] = size
    return recipe


def _check_total(spec: BatchSpec, document: Document) -> None:
    """Count scenes before any is listed."""
    total = 0
    for index, group in enumerate(spec.scenes):
        place: Place = ("scenes", index)
        seeds = len(_seeds(group.seeds))
        count = 1
        if isinstance(group, Prompts):
            count = len(group.prompts)
        elif isinstance(group, Template):
            place = (*place, "template")
            _check_slots(group, place, document)
            combinations = math.prod(_slot_length(group.slots[name]) for name in group.names)
            count = combinations if group.count is None else group.count
        if count * seeds > MAX_SCENES:
            advice = "give `count` to draw some" if isinstance(group, Template) else "ask for fewer"
            raise document.error(
                place,
                f"{count:,} combinations with {seeds:,} seeds each: at most {MAX_SCENES:,} scenes; {advice}",
            )
        total += count * seeds
    if total > MAX_SCENES:
        raise document.error(("scenes",), f"{total:,} scenes; at most {MAX_SCENES:,}: make several batches")


def _check_slots(group: Template, place: Place, document: Document) -> None:
    """Raise LyraSimError unless the template and its slots go together."""
    try:
        fields = [f for f in string.Formatter().parse(group.template) if f[1] is not None]
    except ValueError as error:
        raise document.error(
            place, f"{group.template!r}: {error}; write {{{{ and }}}} for braces that are no slot"
        ) from error
    for _, name, form, conversion in fields:
        if form or conversion or not name or not name.isidentifier():
            raise document.error(
                place, f"{group.template!r}: a slot is a name in braces, such as {{kind}}, got {{{name}}}"
            )
        if name not in group.slots:
            raise document.error(
                place, f"the template names the slot {name!r}, but slots gives no values for it"
            )
    if not fields:
        raise document.error(place, f"{group.template!r} has no slot; list it under prompts instead")
    for name in group.slots:
        if name not in group.names:
            raise document.key_error(
                (*place[:-1], "slots", name), f"the template has no slot {name!r}; remove it or name it there"
            )


def _drafts(group: Prompts | Template | Pictures, place: Place, document: Document) -> Iterator[_Draft]:
    seeds = _seeds(group.seeds)
    if isinstance(group, Prompts):
        for index, prompt in enumerate(group.prompts):
            for seed in seeds:
                yield _Draft(prompt, seed, (*place, "prompts", index), {})
    elif isinstance(group, Pictures):
        for path in _find_pictures(group, (*place, "pictures"), document):
            for seed in seeds:
                yield _Draft(
                    group.prompt,
                    seed,
                    (*place, "pictures"),
                    {},
                    picture=path,
                    camera_height=group.camera_height,
                )
    else:
        yield from _from_template(group, (*place, "template"), seeds)


def _from_template(group: Template, place: Place, seeds: Sequence[int]) -> Iterator[_Draft]:
    names = group.names
    values = [group.slots[name] for name in names]
    if group.count is None:
        choices: Iterator[tuple[int, ...]] = itertools.product(*(range(_slot_length(v)) for v in values))
    else:
        choices = (
            tuple(
                _draw(value, f"{group.draw}:{number}:{name}")
                for name, value in zip(names, values, strict=True)
            )
            for number in range(group.count)
        )
    times: Counter[tuple[int, ...]] = Counter()
    for choice in choices:
        slots = {n: _slot_text(v, i) for n, v, i in zip(names, values, choice, strict=True)}
        for index in range(len(seeds)):
            seed = _later_seed(seeds, index, times[choice])
            yield _Draft(group.template.format(**slots), seed, place, slots)
        times[choice] += 1


def _draw(value: Slot, key: str) -> int:
    """Choose a value by its weight; the same key chooses the same."""
    share = chance(key)
    if not isinstance(value, dict):
        return min(int(share * _slot_length(value)), _slot_length(value) - 1)
    ends = list(itertools.accumulate(value.values()))
    return next((i for i, end in enumerate(ends) if share * ends[-1] < end), len(ends) - 1)


def _slot_length(value: Slot) -> int:
    return value.count if isinstance(value, Range) else len(value)


def _slot_text(value: Slot, index: int) -> str:
    if isinstance(value, Range):
        return value.text(index)
    return value[index] if isinstance(value, list) else list(value)[index]


def _seeds(value: Seeds) -> Sequence[int]:
    if isinstance(value, SeedRange):
        return range(value.first, value.first + value.count)
    return range(value) if isinstance(value, int) else value


def _later_seed(seeds: Sequence[int], index: int, times: int) -> int:
    """Return a seed of a combination that was drawn `times` times before: past all that it had."""
    return seeds[index] if times == 0 else max(seeds) + 1 + (times - 1) * len(seeds) + index


def _find_pictures(group: Pictures, place: Place, document: Document) -> list[Path]:
    folder = document.path.absolute().parent
    found = (folder / name for name in glob.glob(group.pictures, root_dir=folder, recursive=True))
    files = sorted(path for path in found if path.is_file())
    if not files:
        raise document.error(place, f"{group.pictures!r} matches no file in {folder}")
    return files


class _Hashes:
    """Hash every picture once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._known: dict[Path, str] = {}

    def of(self, path: Path, place: Place) -> str:
        if path not in self._known:
            try:
                with open(path, "rb") as file:
                    self._known[path] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise self._document.error(place, f"cannot read {path}: {error.strerror}") from error
        return self._known[path]


def _planned(draft: _Draft, identity: Mapping[str, object], hashes: _Hashes) -> PlannedScene:
    sha256 = hashes.of(draft.picture, draft.place) if draft.picture else None
    content = {
        "prompt": draft.prompt,
        "picture_sha256": sha256,
        "camera_height": draft.camera_height,
        "seed": draft.seed,
    }
    return PlannedScene(
        id=scene_id(identity, content),
        prompt=draft.prompt,
        seed=draft.seed,
        slots=draft.slots,
        picture=str(draft.picture) if draft.picture else None,
        picture_sha256=sha256,
        camera_height=draft.camera_height,
        place=draft.place,
    )


def _without_doubles(scenes: Iterator[PlannedScene], document: Document) -> list[PlannedScene]:
    """Raise LyraSimError when two scenes are the same."""
    found: dict[str, PlannedScene] = {}
    for scene in scenes:
        first = found.setdefault(scene.id, scene)
        if first is not scene:
            line = document.marks[first.place][0]
            other = f", as in {first.picture!r}" if first.picture != scene.picture else ""
            raise document.error(
                scene.place,
                f"the same scene as {dotted(first.place)} in line {line} (id {scene.id}: {scene.name}{other})",
            )
    return list(found.values())


def _without_dropped(drafts: list[_Draft], spec: BatchSpec, document: Document) -> list[_Draft]:
    known = {"prompt", "picture"} | {n for g in spec.scenes if isinstance(g, Template) for n in g.names}
    for index, rule in enumerate(spec.drop):
        for name in rule:
            if name not in known:
                raise document.key_error(
                    ("drop", index, name), f"{name!r} is no slot; known are {', '.join(sorted(known))}"
                )
    kept = [d for d in drafts if not any(_matches(d, rule) for rule in spec.drop)]
    if not kept:
        raise document.error(("drop",), f"this leaves none of {len(drafts)} scenes")
    return kept


def _matches(draft: _Draft, rule: Mapping[str, str | list[str]]) -> bool:
    have = {"prompt": draft.prompt, "picture": draft.picture.name if draft.picture else ""} | dict(
        draft.slots
    )
    return all(
        name in have
        and any(
            fnmatch.fnmatchcase(have[name].casefold(), pattern.casefold())
            for pattern in ([wanted] if isinstance(wanted, str) else wanted)
        )
        for name, wanted in rule.items()
    )
