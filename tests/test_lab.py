"""Batches as Isaac Lab configurations, against strict stand-ins for both of its generations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import lab_fake
import pytest
from pxr import Usd, UsdGeom, UsdPhysics
from test_batch_run import run

from lyra_sim.cli import main
from lyra_sim.errors import LyraSimError
from lyra_sim.lab import SceneCfgs, scene_cfgs, write_module

SPEC = """
version: 1
scenes:
  - prompts: [kitchen, laboratory, "say \\"no\\" \\\\ to ''' {braces}"]
splits: {ratios: {train: 2, test: 1}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make three scenes."""
    parent = tmp_path_factory.mktemp("lab")
    assert run(parent, SPEC)["done"] == 3
    return parent / "out"


@pytest.fixture(params=[2, 3])
def generation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Install the stand-ins of one generation."""
    lab_fake.install(monkeypatch, request.param)
    return request.param


def module(folder: Path) -> dict[str, Any]:
    """Run the module that `lab-cfg` prints and return its names."""
    names: dict[str, Any] = {"__name__": "scenes_cfg"}
    sys.modules["scenes_cfg"] = type(sys)("scenes_cfg")
    try:
        exec(compile(write_module(scene_cfgs(folder)), "scenes_cfg.py", "exec"), names)
    finally:
        del sys.modules["scenes_cfg"]
    return names


@pytest.fixture(params=["library", "module"])
def scenes(request: pytest.FixtureRequest, folder: Path) -> Any:
    """Return the scenes by the library, and by the printed module."""
    return scene_cfgs(folder) if request.param == "library" else module(folder)["scene_cfgs"]()


def test_one_scene_for_all_environments(generation: int, scenes: Any) -> None:
    """Show that the shared scene lies outside the environments, collides with all, and is the default."""
    cfg = scenes.one_for_all(1)
    assert cfg.prim_path == "/World/Scene"
    assert cfg.collision_group == -1
    assert cfg.spawn.usd_path == scenes[1].usd_path
    assert Path(cfg.spawn.usd_path).is_file()
    assert cfg.spawn.semantic_tags == [("class", "environment")]


def test_one_scene_per_environment(generation: int, scenes: Any) -> None:
    """Show the list of files, the namespace, and the options that the interactive scene needs."""
    from isaaclab.scene import InteractiveSceneCfg

    cfg = scenes.one_per_environment(random_choice=True)
    assert cfg.prim_path == "{ENV_REGEX_NS}/Scene"
    assert cfg.spawn.usd_path == [scene.usd_path for scene in scenes]
    assert cfg.spawn.random_choice is True
    options = scenes.environment_options(random_choice=True)
    interactive = InteractiveSceneCfg(num_envs=8, **options)
    assert interactive.replicate_physics is False
    assert interactive.env_spacing == pytest.approx(3.8 + 2.0)
    assert ("random_heterogeneous_cloning" in options) is (generation == 3)


def test_the_terrain_is_one_mesh_that_collides(generation: int, scenes: Any) -> None:
    """Show that the terrain's file has the collider as its only mesh, under the default prim, and no splats."""
    cfg = scenes.terrain(0)
    assert (cfg.terrain_type, cfg.prim_path) == ("usd", "/World/ground")
    stage = Usd.Stage.Open(cfg.usd_path)
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    (mesh,) = (prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Gprim))
    assert mesh.GetPath().HasPrefix(stage.GetDefaultPrim().GetPath())
    assert UsdPhysics.CollisionAPI(mesh).GetCollisionEnabledAttr().Get()
    assert UsdGeom.Imageable(mesh).ComputeVisibility() == "inherited"


def test_library_and_module_say_the_same(folder: Path) -> None:
    """Show that the printed module holds equal scenes, whatever characters the prompts have."""
    names = module(folder)
    assert [vars(s) for s in names["SCENES"]] == [vars(s) for s in scene_cfgs(folder)]
    assert [s.id for s in names["scene_cfgs"]("test")] == [s.id for s in scene_cfgs(folder, split="test")]


def test_splits_and_slices(folder: Path) -> None:
    """Show that splits part the scenes and that a slice is again something to spawn."""
    train, test = (scene_cfgs(folder, split=split) for split in ("train", "test"))
    assert (len(train), len(test)) == (2, 1)
    assert isinstance(train[:1], SceneCfgs)
    assert len(train[0].spawn_points) == 16
    with pytest.raises(LyraSimError, match="no scene of split validation"):
        scene_cfgs(folder, split="validation")


def test_a_scene_without_collider_is_no_terrain(generation: int, tmp_path: Path) -> None:
    """Show that asking for the terrain of a scene without collider says what is missing."""
    from dataclasses import replace

    from lyra_sim.lab import LabScene

    bare = LabScene("a", "train", "p", "a.usdz", None, (), (0, 0, 0), (1, 1, 1))
    with pytest.raises(ValueError, match="scene a has no collider"):
        SceneCfgs([bare]).terrain()
    assert SceneCfgs([replace(bare, collider_path="c")]).terrain().usd_path == "c"


def test_lab_cfg_prints_the_module(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Show that the command prints the module, and that a Python without lyra-sim can import it."""
    assert main(["lab-cfg", str(folder), "--split", "train"]) == 0
    (tmp_path / "scenes_cfg.py").write_text(capsys.readouterr().out)
    code = "import sys, scenes_cfg; print(len(scenes_cfg.SCENES), 'lyra_sim' in sys.modules, 'isaaclab' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.append({str(tmp_path)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output.split() == ["2", "False", "False"]
    assert main(["lab-cfg", str(tmp_path)]) == 2
    assert "name the output folder of `lyra-sim batch`" in capsys.readouterr().err
