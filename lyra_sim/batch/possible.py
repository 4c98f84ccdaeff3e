"""Refuse what no scene of a batch could do, with its place in the spec, before any scene is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lyra_sim.batch.make import frame_size
from lyra_sim.batch.positions import Document, Place
from lyra_sim.errors import LyraSimError

if TYPE_CHECKING:
    from generator.sizes import Size
    from lyra_sim.batch.expand import Plan
    from lyra_sim.batch.spec import BatchSpec

_OF_COLLIDERS = ("max_collider_gap_cm", "max_floor_flatness_cm", "min_free_floor_m2", "min_spawn_points")
"""Limits on what only a scene with a collider has."""


def require_possible(spec: BatchSpec, document: Document, plan: Plan) -> None:
    """Check what models of a spec cannot know: the teachers, estimators and words of the generator, and the pictures.

    Raises:
        LyraSimError: No scene, or none of one entry, could be made as asked; with line and column.
    """
    _check_limits(spec, document)
    _check_collider(spec, document)
    _check_pictures(document, plan)
    _check_networks(spec, document, plan)
    if spec.make.strict:
        _check_words(document, plan)


def _check_limits(spec: BatchSpec, document: Document) -> None:
    for name in _OF_COLLIDERS if spec.make.collider == "none" else ():
        if getattr(spec.quality, name) is not None:
            raise document.error(("quality", name), "needs a collider, but make.collider is none")
    fewest = spec.quality.min_spawn_points
    if fewest is not None and fewest > spec.maps.spawn_points:
        raise document.error(
            ("quality", "min_spawn_points"),
            f"{fewest} is more than the {spec.maps.spawn_points} that maps.spawn_points asks for",
        )


def _check_collider(spec: BatchSpec, document: Document) -> None:
    make = spec.make
    if make.collider_approximation == "none":
        return
    from lyra_sim.convert import APPROXIMATIONS

    place: Place = ("make", "collider_approximation")
    if make.collider_approximation not in APPROXIMATIONS:
        known = ", ".join(APPROXIMATIONS)
        raise document.error(place, f"{make.collider_approximation!r} is not known; choose from {known}")
    if make.collider == "none":
        raise document.error(place, "needs a collider, but make.collider is none")


def _check_pictures(document: Document, plan: Plan) -> None:
    """Read the header of every picture; whether the rest is whole shows when its scene is made."""
    places = {scene.picture: scene.place for scene in plan.scenes if scene.picture}
    if not places:
        return
    from PIL import Image, UnidentifiedImageError

    for picture, place in places.items():
        try:
            with Image.open(picture):
                pass
        except UnidentifiedImageError as error:
            raise document.error(place, f"matches {Path(picture).name}, which is no picture") from error
        except OSError as error:
            raise document.error(place, f"cannot read {picture}: {error.strerror or error}") from error


def _check_networks(spec: BatchSpec, document: Document, plan: Plan) -> None:
    make = spec.make
    if all(x is None for x in (make.teacher, make.estimator, make.resolution)) and make.collider != "world":
        # Nothing to check, so nothing heavy is loaded.
        return
    from generator.depth.estimator import BACKENDS
    from generator.sizes import resolve
    from generator.teachers.registry import TEACHERS

    size = resolve(str(plan.recipe["make"]["size"]))  # type: ignore[index]
    try:
        resolve(size.name, frame_size(make.resolution))
    except LyraSimError as error:
        raise document.error(("make", "resolution"), str(error)) from error
    starts = {entry.name: entry.start for entry in TEACHERS if size.name in entry.sizes}
    if make.teacher is not None and make.teacher not in starts:
        known = ", ".join(starts)
        raise document.error(
            ("make", "teacher"), f"{make.teacher!r} is no teacher of size {size.name}; choose from {known}"
        )
    if make.estimator is not None and make.estimator not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise document.error(("make", "estimator"), f"{make.estimator!r} is not known; choose from {known}")
    pictured = next((scene.place for scene in plan.scenes if scene.picture), None)
    if pictured is not None and make.teacher is not None and starts[make.teacher] == "world":
        raise document.error(
            pictured, f"make.teacher {make.teacher} films worlds of its own and takes no pictures"
        )
    if make.collider == "world" and (pictured is not None or not _films_worlds(make.teacher, starts, size)):
        raise document.error(
            ("make", "collider"), "only procedural worlds have an exact mesh, not pictures; use fused"
        )


def _films_worlds(teacher: str | None, starts: Mapping[str, str], size: Size) -> bool:
    """Say whether prompts become procedural worlds that are filmed as they are."""
    return size.text_to_image is None if teacher is None else starts[teacher] == "world"


def _check_words(document: Document, plan: Plan) -> None:
    """Find the first prompt that names no known place, where prompts become procedural worlds."""
    from generator.sizes import resolve
    from generator.worlds import parse_prompt

    if resolve(str(plan.recipe["make"]["size"])).text_to_image is not None:  # type: ignore[index]
        return
    places: dict[str, Place] = {}
    for scene in plan.scenes:
        if scene.picture is None:
            places.setdefault(scene.prompt, scene.place)
    for prompt, place in places.items():
        try:
            parse_prompt(prompt, strict=True)
        except LyraSimError as error:
            raise document.error(place, str(error)) from error
