"""The extension as a package: its manifest, what it imports, its Kit tests, its copy, and the standalone scripts."""

from __future__ import annotations

import argparse
import csv
import inspect
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest
from panel_fake_kit import EXTENSION, REPOSITORY, FakeKit, installed
from panel_scenes import at, write_scene
from PIL import Image
from pxr import Gf, Usd, UsdGeom, UsdPhysics

from lyra_sim.commands import ext_path
from lyra_sim.errors import LyraSimError

MANIFEST = EXTENSION / "config" / "extension.toml"
PACKAGE = EXTENSION / "lyra" / "sim" / "panel"
STANDALONE = REPOSITORY / "standalone"

SECTIONS = ["core", "package", "deprecation", "dependencies", "python.module", "native.library", "python.pipapi",
            "native.plugin", "settings", "trigger", "fswatcher", "test", "documentation"]  # fmt: skip
PACKAGE_KEYS = ["version", "category", "title", "description", "authors", "repository", "keywords", "changelog",
                "readme", "preview_image", "icon", "writeTarget.kit"]  # fmt: skip


@pytest.fixture(scope="module")
def manifest() -> dict:
    """The manifest, parsed."""
    return tomllib.loads(MANIFEST.read_text())


# The manifest


def test_sections_and_keys_are_in_the_order_that_isaac_sims_validator_wants(manifest):
    """Sections and package keys stand in order, dependencies alphabetically, one blank line before each section."""
    text = MANIFEST.read_text()
    found = [name for name in re.findall(r"^\[+([\w.]+)\]+$", text, re.MULTILINE)]
    positions = [SECTIONS.index(name) for name in found]
    assert positions == sorted(positions)
    keys = [PACKAGE_KEYS.index(key) for key in manifest["package"]]
    assert keys == sorted(keys)
    assert list(manifest["dependencies"]) == sorted(manifest["dependencies"])
    assert "\n\n\n" not in text
    for match in re.finditer(r"^\[", text, re.MULTILINE):
        assert match.start() == 0 or text[: match.start()].endswith("\n\n")


def test_the_manifest_tells_the_truth(manifest):
    """Version equals the newest changelog entry, named files exist, pictures are pictures, the icon is square."""
    package = manifest["package"]
    versions = re.findall(r"^## \[(.+?)\]", (EXTENSION / package["changelog"]).read_text(), re.MULTILINE)
    assert versions[0] == package["version"]
    for page in [package["readme"], *manifest["documentation"]["pages"]]:
        assert (EXTENSION / page).read_text().startswith("# ")
    with (
        Image.open(EXTENSION / package["icon"]) as icon,
        Image.open(EXTENSION / package["preview_image"]) as preview,
    ):
        assert (icon.format, icon.size) == ("PNG", (256, 256))
        assert preview.format == "PNG"
        assert np.asarray(preview.convert("L")).std() > 5
    assert package["category"] in ("Simulation", "SyntheticData", "Utility")
    assert EXTENSION.name == "lyra.sim.panel"


def test_modules_settings_and_tests_follow_the_rules(manifest):
    """Modules are importable by path, namespaces hold no __init__, each setting is explained, `startup` is first."""
    for module in manifest["python"]["module"]:
        assert (EXTENSION / Path(*module["name"].split(".")) / "__init__.py").is_file()
    assert not (EXTENSION / "lyra" / "__init__.py").exists()
    assert not (EXTENSION / "lyra" / "sim" / "__init__.py").exists()
    lines = MANIFEST.read_text().splitlines()
    keys = [index for index, line in enumerate(lines) if line.startswith("exts.")]
    assert len(keys) == len(manifest["settings"]["exts"]["lyra.sim.panel"]) == 4
    assert all(lines[index - 1].startswith("# ") for index in keys)
    names = [test.get("name") for test in manifest["test"]]
    assert names[0] == "startup"
    assert names.count(None) <= 1
    assert names[-1] is None
    assert all("NumPy module was reloaded" in str(test["stdoutFailPatterns"]) for test in manifest["test"])


def test_only_what_both_isaac_generations_have_is_required(manifest):
    """A required extension that Isaac Sim 5 lacks would keep the panel from loading there."""
    in_both = {"omni.kit.commands", "omni.kit.menu.utils", "omni.kit.pip_archive", "omni.kit.uiapp", "omni.timeline",
               "omni.usd"}  # fmt: skip
    required = {name for name, options in manifest["dependencies"].items() if not options.get("optional")}
    assert required == in_both


# Imports


def test_the_logic_imports_without_kit_torch_or_lyra_sim(tmp_path):
    """In a bare Python the public API imports, and neither Kit nor torch nor lyra_sim nor pxr gets loaded."""
    code = (
        f"import sys; sys.path.insert(0, {str(EXTENSION)!r})\n"
        "import lyra.sim.panel as panel, lyra.sim.panel.launch, lyra.sim.panel.scene, lyra.sim.panel.history\n"
        "assert panel.__all__ == ['Form', 'Session'] and not hasattr(panel, 'LyraPanelExtension')\n"
        "bad = {'omni.ui', 'omni.ext', 'carb', 'torch', 'lyra_sim', 'pxr', 'numpy'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_with_kit_the_entry_point_is_there_but_not_public():
    """Kit finds the extension class in the module; `from lyra.sim.panel import *` does not bring it."""
    with installed(FakeKit()) as kit:
        import lyra.sim.panel as panel

        assert "LyraPanelExtension" not in panel.__all__
        assert issubclass(panel.LyraPanelExtension, kit.modules["omni.ext"].IExt)


def test_no_file_of_the_extension_imports_torch_or_lyra_sim():
    """The sources name neither, except for type checkers."""
    for path in EXTENSION.rglob("*.py"):
        imports = re.findall(r"^( *)(?:from|import) (torch|lyra_sim)\b", path.read_text(), re.MULTILINE)
        assert imports in ([], [("    ", "lyra_sim")]), path


def test_a_kit_without_windows_still_gets_the_logic():
    """In a headless Kit without the menu helper, as standalone scripts start it, the package imports."""
    with installed(FakeKit(without=frozenset({"omni.kit.menu.utils"}))):
        import lyra.sim.panel

        assert not hasattr(lyra.sim.panel, "LyraPanelExtension")


# Kit's own tests, against the stand-in


def test_the_kit_tests_hold_in_the_stand_in(tmp_path):
    """The tests shipped for Kit are collected by it, and those that need no physics pass against the fake."""
    kit = FakeKit()
    kit.settings["/persistent/exts/lyra.sim.panel/command"] = "/nowhere"
    kit.settings["/persistent/exts/lyra.sim.panel/output_folder"] = str(tmp_path)
    with installed(kit):
        import lyra.sim.panel.tests as package
        from lyra.sim.panel import LyraPanelExtension
        from lyra.sim.panel.tests import test_panel, test_physics

        assert package.scan_for_test_modules is True
        assert inspect.iscoroutinefunction(test_physics.TestBall.test_the_ball_comes_to_rest_on_the_floor)
        extension = LyraPanelExtension()
        extension.on_startup("lyra.sim.panel-0.1.0")
        names = [name for name in vars(test_panel.TestPanel) if name.startswith("test_")]
        assert len(names) == 2
        for name in names:
            case = test_panel.TestPanel()
            kit.run(case.setUp())
            kit.run(getattr(case, name)())
            kit.run(case.tearDown())
        extension.on_shutdown()


# ext-path


def arguments(*words: str) -> argparse.Namespace:
    """Parse an `ext-path` command line."""
    parser = argparse.ArgumentParser()
    ext_path.add_parser(parser.add_subparsers())
    return parser.parse_args(["ext-path", *words])


def test_ext_path_prints_the_folder_for_isaac_sim(capsys):
    """The printed folder holds the extension's folder."""
    args = arguments()
    assert args.run(args) == 0
    assert (Path(capsys.readouterr().out.strip()) / "lyra.sim.panel" / "config" / "extension.toml").is_file()


def test_a_copy_needs_nothing_beside_it(tmp_path, capsys):
    """The copy made by --copy imports alone, with the same job modules, and is not overwritten."""
    args = arguments("--copy", str(tmp_path / "exts"))
    assert args.run(args) == 0
    copied = Path(capsys.readouterr().out.strip()) / "lyra.sim.panel"
    code = (
        f"import sys; sys.path.insert(0, {str(copied)!r})\n"
        "from lyra.sim.panel.jobs import child; print(child.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith(str(copied)), done.stderr
    with pytest.raises(LyraSimError, match="there already"):
        args.run(args)


def test_a_copy_that_cannot_be_written_leaves_nothing(tmp_path):
    """A target that is a file is one clear line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LyraSimError, match="--copy"):
        ext_path.copy_extension(tmp_path / "file")


def test_an_extension_away_from_lyra_sim_says_what_to_do(tmp_path):
    """A folder copied by hand names the command that makes a proper copy."""
    import shutil

    shutil.copytree(EXTENSION, tmp_path / "a" / "b" / EXTENSION.name)
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'a' / 'b' / EXTENSION.name)!r}); import lyra.sim.panel"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert "ext-path --copy" in done.stderr


# Standalone scripts


def run_script(name: str, *words: str) -> subprocess.CompletedProcess:
    """Run a script as a user would who forgot python.sh."""
    command = [sys.executable, str(STANDALONE / name), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["load_scene.py", "drive_robot.py"])
def test_scripts_explain_themselves_and_fail_clearly_outside_isaac(name, tmp_path):
    """Help works without Isaac Sim, bad arguments are told before it is looked for, and its absence is one line."""
    scene = write_scene(tmp_path / "scene.usda")
    out = str(tmp_path / ("view.png" if name == "load_scene.py" else "path.csv"))
    helped = run_script(name, "--help")
    assert (helped.returncode, "scene" in helped.stdout) == (0, True)
    for words, expected in (
        (["/nowhere.usdz", "--out", out], "no such file"),
        ([str(EXTENSION / "premake5.lua"), "--out", out], "not a USD file"),
        ([str(scene), "--out", "/nowhere/a" + Path(out).suffix], "missing or read-only"),
        ([str(scene), "--out", str(tmp_path / "a.txt")], "must end in"),
    ):
        done = run_script(name, *words)
        assert (done.returncode, expected in done.stderr) == (2, True), done.stderr
    done = run_script(name, str(scene), "--out", out)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "./python.sh" in done.stderr


class FakeApp:
    """Stands in for SimulationApp."""

    def __init__(self, config: dict) -> None:
        self.config, self.updates, self.closed = config, 0, False

    def update(self) -> None:
        self.updates += 1

    def is_running(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def isaac(monkeypatch):
    """A strict stand-in for what the scripts use of Isaac Sim, with a renderer that gives a gradient."""
    kit = FakeKit()
    apps: list[FakeApp] = []
    picture = np.dstack(
        [np.tile(np.arange(64, dtype=np.uint8) * 4, (36, 1))] * 3 + [np.full((36, 64), 255, np.uint8)]
    )
    state = types.SimpleNamespace(
        kit=kit, apps=apps, picture=picture, subframes=0, fall=0.0, position=[0.0, 0.0, 0.05]
    )

    def simulation_app(config: dict) -> FakeApp:
        apps.append(FakeApp(config))
        return apps[-1]

    def step(*, rt_subframes: int) -> None:
        state.subframes = rt_subframes

    annotator = types.SimpleNamespace(attach=lambda products: None, get_data=lambda: state.picture)
    replicator = types.ModuleType("omni.replicator.core")
    replicator.create = types.SimpleNamespace(render_product=lambda camera, size: (camera, size))
    replicator.AnnotatorRegistry = types.SimpleNamespace(get_annotator=lambda name: {"rgb": annotator}[name])
    replicator.orchestrator = types.SimpleNamespace(step=step)
    physx = types.ModuleType("omni.physx")

    def transformation(path: str) -> dict:
        assert path == "/World/Robot/chassis"
        state.position[0] += 0.02
        state.position[2] -= state.fall
        return {"ret_val": True, "position": tuple(state.position), "rotation": (0, 0, 0, 1)}

    physx.get_physx_interface = lambda: types.SimpleNamespace(get_rigidbody_transformation=transformation)
    storage = types.ModuleType("isaacsim.storage.native")
    storage.get_assets_root_path = lambda: state.assets
    storage_package = types.ModuleType("isaacsim.storage")
    storage_package.__path__ = []
    replicator_package = types.ModuleType("omni.replicator")
    replicator_package.__path__ = []
    kit.modules["isaacsim"].SimulationApp = simulation_app
    kit.modules |= {
        "omni.replicator": replicator_package,
        "omni.replicator.core": replicator,
        "omni.physx": physx,
    }
    kit.modules |= {"isaacsim.storage": storage_package, "isaacsim.storage.native": storage}
    kit.modules["omni"].replicator = replicator_package
    replicator_package.core = replicator
    monkeypatch.syspath_prepend(str(STANDALONE))
    with installed(kit):
        yield state
        for name in ("isaac", "load_scene", "drive_robot"):
            sys.modules.pop(name, None)


def run_main(name: str, monkeypatch, *words: str) -> int:
    """Run a script's main inside the stand-in."""
    monkeypatch.setattr(sys, "argv", [name, *words])
    return __import__(name).main()


def test_load_scene_saves_what_the_camera_sees(isaac, tmp_path, monkeypatch):
    """The script starts single-GPU, places the scene upright, looks level from eye height over the floor, and saves."""
    scene = write_scene(tmp_path / "scene.usda", up="Y", render_settings={"rtx:post:tonemap:op": 2})
    out = tmp_path / "view.png"
    assert run_main("load_scene", monkeypatch, str(scene), "--out", str(out), "--size", "64x36") == 0
    (app,) = isaac.apps
    assert app.config["multi_gpu"] is False
    assert isinstance(app.config["extra_args"], list)
    assert app.closed
    assert isaac.subframes == 64
    assert isaac.kit.settings["/rtx/post/tonemap/op"] == 2
    stage = isaac.kit.stage
    assert np.allclose(at(stage, "/World/Scene", (0, 2, 0)), (0, 0, 2))
    eye = at(stage, "/World/Camera", (0, 0, 0))
    ahead = at(stage, "/World/Camera", (0, 0, -1)) - eye
    assert eye[2] == pytest.approx(1.5)
    assert ahead[2] == pytest.approx(0)
    assert np.linalg.norm(ahead) == pytest.approx(1)
    assert np.array_equal(np.asarray(Image.open(out)), isaac.picture[..., :3])


def test_an_empty_picture_is_an_error(isaac, tmp_path, monkeypatch, capsys):
    """A renderer that gives nothing is told, and Isaac Sim is closed."""
    scene = write_scene(tmp_path / "scene.usda")
    isaac.picture = np.zeros((36, 64, 4), np.uint8)
    with pytest.raises(SystemExit):
        run_main(
            "load_scene", monkeypatch, str(scene), "--out", str(tmp_path / "a.png"), "--eye", "1", "1", "1"
        )
    assert "empty picture" in capsys.readouterr().err
    assert isaac.apps[0].closed


def write_robot(root: Path) -> None:
    """Write a robot under an asset root, where the script looks for the Jetbot."""
    path = root / "Isaac" / "Robots" / "NVIDIA" / "Jetbot" / "jetbot.usd"
    path.parent.mkdir(parents=True)
    stage = Usd.Stage.CreateNew(str(path))
    robot = UsdGeom.Xform.Define(stage, "/jetbot")
    stage.SetDefaultPrim(robot.GetPrim())
    chassis = UsdGeom.Xform.Define(stage, "/jetbot/chassis")
    UsdPhysics.RigidBodyAPI.Apply(chassis.GetPrim())
    for side in ("left", "right"):
        UsdPhysics.RevoluteJoint.Define(stage, f"/jetbot/chassis/{side}_wheel_joint")
    stage.Save()


@pytest.mark.parametrize(("sink", "code"), [(0.05, 0), (3.0, 3)])
def test_drive_robot_drives_and_judges(isaac, tmp_path, monkeypatch, capsys, sink, code):
    """The robot stands on the free floor, its wheels turn at the asked speed, and falling through is told."""
    write_robot(tmp_path)
    isaac.assets = str(tmp_path)
    scene = write_scene(tmp_path / "scene.usda")
    out = tmp_path / "path.csv"
    isaac.fall = sink / 10
    words = (str(scene), "--speed", "0.13", "--seconds", "1", "--out", str(out))
    assert run_main("drive_robot", monkeypatch, *words) == code
    stage = isaac.kit.stage
    assert at(stage, "/World/Robot", (0, 0, 0))[2] == pytest.approx(0.05)
    joint = stage.GetPrimAtPath("/World/Robot/chassis/left_wheel_joint")
    drive = UsdPhysics.DriveAPI(joint, "angular")
    assert drive.GetTargetVelocityAttr().Get() == pytest.approx(np.degrees(0.13 / 0.0325))
    assert drive.GetStiffnessAttr().Get() == 0
    assert drive.GetDampingAttr().Get() > 0
    assert any(prim.IsA(UsdPhysics.Scene) for prim in stage.Traverse())
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == 11
    assert float(rows[-1]["t"]) == 1.0
    assert ("carries" if code == 0 else "fell through") in capsys.readouterr().out


def test_the_robot_faces_along_the_scene(isaac):
    """A turn to any level direction keeps the robot upright."""
    for along in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)):
        turn = Gf.Rotation(Gf.Vec3d(1, 0, 0), Gf.Vec3d(*along))
        assert np.allclose(turn.TransformDir(Gf.Vec3d(1, 0, 0)), along, atol=1e-9)
        assert np.allclose(turn.TransformDir(Gf.Vec3d(0, 0, 1)), (0, 0, 1), atol=1e-9), along
