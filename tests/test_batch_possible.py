"""What no scene of a batch could do is refused before any is made, with its place in the spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import generator.generate as chain
from generator.request import Request
from lyra_sim.batch.expand import expand
from lyra_sim.batch.make import generate_scene
from lyra_sim.batch.spec import load_spec
from lyra_sim.batch.work import Task
from lyra_sim.cli import main

KITCHEN = "scenes:\n - prompts: [kitchen]\n"
PICTURES = 'scenes:\n - pictures: "*.png"\n'

MISTAKES = {
    "teacher": (
        "make: {size: mini, teacher: gen4c}\n" + KITCHEN,
        "2:29: make.teacher: 'gen4c' is no teacher",
    ),
    "teacher of the other size": (
        "make: {size: mini, teacher: gen3c}\n" + KITCHEN,
        "choose from procedural, warp, mini",
    ),
    "pictures for worlds": (
        "make: {size: mini, teacher: procedural}\n" + PICTURES,
        "4:14: scenes[0].pictures: make.teacher procedural films worlds of its own",
    ),
    "estimator": (
        "make: {size: mini, estimator: eye}\n" + PICTURES,
        "2:31: make.estimator: 'eye' is not known",
    ),
    "exact mesh of a picture": (
        "make: {size: mini, collider: world}\n" + PICTURES,
        "2:30: make.collider: only procedural worlds",
    ),
    "exact mesh of a warp": (
        "make: {size: mini, collider: world, teacher: warp}\n" + KITCHEN,
        "2:30: make.collider: only procedural worlds",
    ),
    "resolution": ("make: {size: mini, resolution: 641x352}\n" + KITCHEN, "2:32: make.resolution: "),
    "approximation": (
        "make: {size: mini, collider_approximation: ball}\n" + KITCHEN,
        "2:44: make.collider_approximation: 'ball' is not known",
    ),
    "approximation of nothing": (
        "make: {size: mini, collider: none, collider_approximation: pieces}\n" + KITCHEN,
        "needs a collider",
    ),
    "limit on nothing": (
        "make: {size: mini, collider: none}\nquality: {min_free_floor_m2: 3}\n" + KITCHEN,
        "3:30: quality.min_free_floor_m2: needs a collider",
    ),
    "more spawn points than are looked for": (
        "make: {size: mini}\nquality: {min_spawn_points: 17}\n" + KITCHEN,
        "3:29: quality.min_spawn_points: 17 is more than the 16",
    ),
    "no picture": (
        'make: {size: mini}\nscenes:\n - pictures: "*.txt"\n',
        "4:14: scenes[0].pictures: matches a.txt",
    ),
    "unknown place": (
        "make: {size: mini, strict: true}\nscenes:\n - prompts: [kitchen, zzzqqq]\n",
        "4:23: scenes[0].prompts[1]: the prompt 'zzzqqq' names no known kind",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a picture and a text."""
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("no picture")
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_is_one_line_with_its_position(
    mistake: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that each ends the batch with status 2 and a line that starts with file, line and column."""
    text, expected = MISTAKES[mistake]
    (folder / "spec.yaml").write_text("version: 1\n" + text)
    options = ["--out", str(folder / "out"), "--progress", "none"]
    assert main(["batch", str(folder / "spec.yaml"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"lyra-sim: error: {folder}/spec.yaml:")
    assert expected in line
    assert not (folder / "out").exists()


def test_options_reach_the_generator(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Show that a spec's options arrive in the generator's request, and the estimator for pictures alone."""
    asked: list[Request] = []

    def generate(request: Request, *_: Any, **__: Any) -> dict[str, Any]:
        asked.append(request)
        return {"report": {"stages": {"all": {"seconds": 1.0, "peak_mib": 1.0}}}}

    monkeypatch.setattr(chain, "generate", generate)
    text = (
        "version: 1\nmake: {size: mini, teacher: warp, estimator: mini, fit: squeeze, resolution: 640x352, refine: 20, "
        "collider_faces: 500, collider_approximation: pieces, trajectories: [left], movement: 0.5, preview: false}\n"
        "scenes:\n - pictures: a.png\n   camera_height: 1.5\n - prompts: [kitchen]\n"
    )
    (folder / "spec.yaml").write_text(text)
    plan = expand(*load_spec(folder / "spec.yaml"), resolve_size=str)
    for scene in plan.scenes:
        generate_scene(Task(scene, plan.recipe, str(folder)), 7, folder)
    of_picture, of_prompt = asked
    assert (of_picture.fit, of_picture.resolution, of_picture.refine) == ("squeeze", (352, 640), 20)
    assert (of_picture.collider_faces, of_picture.collider_approximation) == (500, "pieces")
    assert (of_picture.seed, of_picture.camera_height, of_picture.movement) == (7, 1.5, 0.5)
    assert (of_picture.image, of_picture.estimator) == (folder / "a.png", "mini")
    assert (of_prompt.prompt, of_prompt.estimator, of_prompt.trajectories) == ("kitchen", None, ("left",))
