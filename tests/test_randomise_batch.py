"""The Replicator example on batches, as far as it goes without a simulator."""

from __future__ import annotations

import importlib
import math
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from pxr import Usd, UsdGeom, UsdPhysics, UsdSemantics
from test_batch_run import GOOD, run

STANDALONE = Path(__file__).resolve().parents[1] / "standalone"


@pytest.fixture(scope="module")
def script() -> Any:
    """Import the script as Isaac Sim's Python would, with its own folder on the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STANDALONE))
        found = importlib.import_module("randomise_batch")
        yield found
        for name in ("randomise_batch", "isaac"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a batch of two scenes."""
    parent = tmp_path_factory.mktemp("randomise")
    run(parent, GOOD, limit=2)
    return parent / "out"


def test_shots_stand_on_spawn_points(script: Any, folder: Path) -> None:
    """Show that cameras stand over free floor, look level or down a little, and keep away from what is dropped."""
    (scene, _) = script.read_scenes(folder, "train")
    places = {(x, y) for x, y, _ in scene.spawn_points}
    chance = random.Random(1)
    for _ in range(50):
        shot = script.choose_shot(scene, chance)
        assert shot.eye[:2] in places
        assert math.dist(shot.eye[:2], shot.target[:2]) == pytest.approx(2.0)
        assert shot.target[2] <= shot.eye[2] + 0.1
        for thing in shot.things:
            assert thing[:2] in places
            assert math.dist(thing[:2], shot.eye[:2]) > 1.0
    assert script.choose_shot(scene, random.Random(5)) == script.choose_shot(scene, random.Random(5))


def test_distractors_fall_and_have_a_class(script: Any) -> None:
    """Show that a distractor is a labelled rigid body that collides, on a real stage."""
    stage = Usd.Stage.CreateInMemory()
    studio = object.__new__(script.Studio)
    studio.stage = stage
    for index in range(2):
        prim = studio._thing(index, random.Random(index))
        assert prim.HasAPI(UsdPhysics.RigidBodyAPI)
        assert prim.HasAPI(UsdPhysics.CollisionAPI)
        assert list(UsdSemantics.LabelsAPI(prim, "class").GetLabelsAttr().Get()) == ["distractor"]
        assert prim.GetAttribute("xformOp:translate").IsDefined()


def test_the_label_pass_shows_the_proxy_instead_of_the_splats(script: Any, folder: Path) -> None:
    """Show on a generated scene that the two passes swap what is visible."""
    (scene, _) = script.read_scenes(folder, None)
    stage = Usd.Stage.CreateInMemory()
    stage.DefinePrim(script.SCENE_PATH).GetReferences().AddReference(str(scene.path))
    for shown in (True, False, True):
        script.show_proxy(stage, shown)
        states = [
            UsdGeom.Imageable(stage.GetPrimAtPath(f"{script.SCENE_PATH}/{name}")).ComputeVisibility()
            for name in ("proxy", "splats")
        ]
        assert states == (["inherited", "invisible"] if shown else ["invisible", "inherited"])


def test_a_folder_that_is_no_batch_is_refused(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that the script ends with one line when there is no manifest."""
    with pytest.raises(SystemExit):
        script.read_scenes(tmp_path, None)
    assert "name the output folder of `lyra-sim batch`" in capsys.readouterr().err
