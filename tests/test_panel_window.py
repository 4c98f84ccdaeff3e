"""The panel inside a strict recording fake of Kit: what it registers, starts, shows, loads, and leaves behind."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from panel_fake_kit import FakeKit, installed
from panel_scenes import at, write_scene
from pxr import Sdf, Usd, UsdGeom, UsdPhysics
from video_files import write_mp4

from lyra_sim.jobs.request import TRAJECTORIES
from lyra_sim.server.config import ServerConfig

FAKE = [sys.executable, str(Path(__file__).parent / "fake_lyra_sim.py")]
MENU = "Tools/Replicator/Lyra Scene Generator"
TITLE = "Lyra Scene Generator"


class Driver:
    """One extension in one application, and what a user does with it."""

    def __init__(
        self, kit: FakeKit, output: Path, *, command: list[str] = FAKE, seconds: float = 60.0
    ) -> None:
        self.kit = kit
        self.output = output
        self.seconds = seconds
        kit.settings["/exts/lyra.sim.panel/command"] = shlex.join(command)
        kit.settings["/exts/lyra.sim.panel/output_folder"] = str(output)
        from lyra.sim.panel import LyraPanelExtension

        self.extension = LyraPanelExtension()
        self.extension.on_startup("lyra.sim.panel-0.1.0")

    def open(self, *, wait: bool = True) -> Driver:
        self.kit.click_menu(MENU)
        if wait:
            self.kit.update_until(lambda: "is ready" in self.kit.texts(), seconds=self.seconds)
            self.kit.update()
        return self

    @property
    def panel(self):
        (window,) = self.kit.windows
        return window._panel

    def click(self, text: str) -> None:
        self.kit.find("Button", text=text)._click()

    def choose(self, label: str) -> None:
        for combo in self.kit.find_all("ComboBox"):
            if any(text.startswith(label) for text in combo._labels):
                combo._choose(label)
                self.kit.update()
                return
        raise AssertionError(f"nothing called {label}")

    def generate(self, prompt: str, *, wait: bool = True) -> None:
        self.panel.fields.prompt.set_value(prompt)
        self.click("Generate")
        if wait:
            self.settle()

    def settle(self) -> None:
        """Wait until nothing of the panel goes on in the background."""
        self.kit.update_until(lambda: not self.panel._tasks._running, seconds=self.seconds)
        self.kit.update()

    def until_stage(self, stage: str) -> None:
        self.kit.update_until(lambda: f"{stage} ..." in self.kit.texts())

    def jobs(self) -> list[Path]:
        return sorted(path.parent for path in self.output.glob("*/pid.json"))


@pytest.fixture
def kit() -> FakeKit:
    """An Isaac Sim 6 that is yet to start."""
    return FakeKit()


@pytest.fixture
def scene(tmp_path, monkeypatch) -> Path:
    """A scene that the fake lyra-sim hands out."""
    path = write_scene(tmp_path / "given.usda")
    crate = tmp_path / "given.usdc"
    stage = Usd.Stage.Open(str(path))
    stage.GetRootLayer().Export(str(crate))
    package = tmp_path / "given.usdz"
    with Sdf.ZipFileWriter.CreateNew(str(package)) as writer:
        writer.AddFile(str(crate), "scene.usdc")
    monkeypatch.setenv("FAKE_SCENE", str(package))
    return package


@pytest.fixture
def driver(kit, tmp_path, scene):
    """A started extension, shut down at the end, which must leave nothing behind."""
    with installed(kit):
        running = Driver(kit, tmp_path / "out")
        yield running
        running.extension.on_shutdown()
        assert kit.left_behind() == {}


def alive(folder: Path) -> bool:
    """Tell whether the fake child of a scene folder runs."""
    pid = json.loads((folder / "pid.json").read_text())
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# Start and stop


def test_start_registers_one_menu_item_and_builds_nothing(driver):
    """Starting costs one action, one menu item and one subscription; no window, no task, no child."""
    kit = driver.kit
    assert list(kit.menu) == [MENU]
    assert set(kit.left_behind()) == {"actions", "menu", "subscriptions", "show_window_fns"}


def test_start_then_stop_leaves_nothing(driver):
    """After a start, an opened window and a finished job, stopping removes all of it (checked by the fixture)."""
    driver.open().generate("warehouse")
    assert set(driver.kit.left_behind()) == {"actions", "menu", "subscriptions", "show_window_fns", "windows"}


def test_stopping_in_mid_query_ends_it(kit, tmp_path):
    """A window that is still asking lyra-sim what it can do is closed without waiting for the answer."""
    with installed(kit):
        driver = Driver(kit, tmp_path)
        kit.settings["/exts/lyra.sim.panel/command"] = shlex.join(
            [sys.executable, "-c", "import time; time.sleep(60)"]
        )
        driver.open(wait=False)
        kit.update(5)
        began = time.monotonic()
        driver.extension.on_shutdown()
        assert time.monotonic() - began < 10
        assert kit.left_behind() == {}


def test_a_start_that_fails_half_way_still_stops(kit, tmp_path):
    """When the menu helper raises, shutdown drops the subscription and says what could not be undone."""
    kit.fail_menu = True
    with installed(kit):
        from lyra.sim.panel import LyraPanelExtension

        extension = LyraPanelExtension()
        with pytest.raises(RuntimeError, match="menu is not ready"):
            extension.on_startup("lyra.sim.panel-0.1.0")
        extension.on_shutdown()
        extension.on_shutdown()
        kit.update()
        assert not list(kit.subscriptions)
        assert any("could not be removed" in line for line in kit.log)


def test_the_window_opens_closes_and_opens_again(driver):
    """The menu item toggles the window; each time it is a new one, and the old one is gone."""
    driver.open()
    first = driver.kit.windows[0]
    driver.kit.click_menu(MENU)
    driver.kit.update(3)
    assert driver.kit.windows == []
    driver.open()
    assert driver.kit.windows != [first]


def test_it_works_without_the_optional_extensions(tmp_path, scene):
    """Without notifications, file dialog, clipboard and NVIDIA's helper, all but these works, and says so."""
    optional = {
        "omni.kit.notification_manager",
        "omni.kit.window.filepicker",
        "omni.kit.clipboard",
        "isaacsim.replicator.nurec_utils.rendering_setup",
    }
    kit = FakeKit(without=frozenset(optional))
    with installed(kit):
        driver = Driver(kit, tmp_path / "out").open()
        driver.generate("warehouse")
        assert "Loaded at /World/LyraScene" in kit.texts()
        driver.click("Copy command")
        assert "no clipboard" in kit.texts()
        driver.panel.on_pick_file()
        assert "no file dialog" in kit.texts()
        driver.extension.on_shutdown()
        assert kit.left_behind() == {}


# A job


def test_one_click_starts_one_job_and_adds_one_reference(driver):
    """Generate runs one child, adds one reference in one undo step, and remembers the scene."""
    driver.open()
    driver.generate("narrow aisle")
    kit = driver.kit
    assert len(driver.jobs()) == 1
    assert [name for name, _ in kit.commands] == ["CreateReference"]
    path = kit.commands[0][1]["path_to"]
    assert (str(path), kit.commands[0][1]["instanceable"]) == ("/World/LyraScene", False)
    assert kit.stage.GetPrimAtPath(f"{path}/Gaussians").GetTypeName() == "ParticleField3DGaussianSplat"
    assert "Done" in kit.texts()
    assert "Loaded at /World/LyraScene" in kit.texts()
    assert kit.notifications == [("Scene loaded at /World/LyraScene", "info")]
    assert len(kit.nvidia_setups) == 1
    assert "narrow aisle (seed 0)" in kit.texts()
    kit.undo()
    assert not kit.stage.GetPrimAtPath("/World/LyraScene")


def test_a_double_click_does_not_start_two(driver):
    """The second click of a double click, even before a frame, starts nothing."""
    driver.open()
    button = driver.kit.find("Button", text="Generate")
    driver.panel.fields.prompt.set_value("wait")
    button._click()
    button._click()
    driver.until_stage("teacher")
    assert not button.enabled
    assert len(driver.jobs()) == 1
    driver.click("Cancel")
    driver.kit.update_until(lambda: not driver.panel._session.busy)
    assert len(driver.jobs()) == 1


def test_progress_is_shown_by_stage(driver):
    """While a job runs: bar, message, elapsed and estimated time, stages with their times, and Cancel."""
    driver.open()
    driver.generate("wait at decoder", wait=False)
    driver.until_stage("decoder")
    texts = driver.kit.texts()
    assert "decoder... (0:0" in texts
    assert ", about 0:01 left)" in texts
    assert "world 0.0 s" in texts
    assert driver.kit.find("ProgressBar")._model.as_float == 0.5
    driver.click("Cancel")
    assert "Cancelling ..." in driver.kit.texts()
    assert not driver.kit.find("Button", text="Cancel").enabled
    driver.kit.update_until(lambda: "Cancelled" in driver.kit.texts())
    assert driver.kit.find("Button", text="Generate").enabled
    assert not alive(driver.jobs()[0])


@pytest.mark.parametrize("stage", ["load", "teacher", "usd"])
def test_closing_the_window_ends_the_job(driver, stage):
    """Closing the window at any stage does not wait, and the child is gone soon after."""
    driver.open().generate(f"wait at {stage}", wait=False)
    driver.until_stage(stage)
    began = time.monotonic()
    driver.kit.windows[0].visible = False
    driver.kit.update(3)
    assert time.monotonic() - began < 10
    driver.kit.update_until(lambda: not alive(driver.jobs()[0]))
    assert driver.kit.windows == []
    driver.open()
    assert not driver.panel._session.busy
    driver.generate("again")
    assert "Loaded at" in driver.kit.texts()


@pytest.mark.parametrize("how", ["shutdown", "quit"])
def test_disabling_and_quitting_end_even_a_stubborn_job(how, driver, monkeypatch):
    """When the extension stops or the application quits, the child is gone before that returns."""
    monkeypatch.setattr(sys.modules["lyra.sim.panel.session"], "CLOSE_TIMEOUT_S", 0.2)
    driver.open().generate("stubborn", wait=False)
    driver.kit.update_until(lambda: list(driver.output.glob("*/ignoring.json")))
    if how == "quit":
        driver.kit.say_event("pre_shutdown")
    else:
        driver.extension._end_job()
    assert not alive(driver.jobs()[0])


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("crash", "ended by signal 11"),
        ("fail", "Choose size mini or the CPU as device"),
        ("quit", "Traceback: something odd"),
        ("mute", "without a result"),
    ],
)
def test_a_bad_child_is_told_with_advice(driver, prompt, words):
    """A child that crashes, fails, quits or says nothing ends in a message, and the next job can start."""
    driver.open().generate(prompt)
    assert words in driver.kit.texts()
    assert driver.kit.notifications[-1][1] == "warning"
    assert driver.kit.commands == []
    assert driver.kit.find("Button", text="Generate").enabled


@pytest.mark.parametrize("prompt", ["garbage", "flood", "chatter"])
def test_a_noisy_child_does_not_disturb(driver, prompt):
    """Garbage, a full stderr and 20,000 messages leave the panel responsive, and the scene arrives."""
    driver.open().generate(prompt)
    assert "Loaded at /World/LyraScene" in driver.kit.texts()


def test_a_live_picture_is_shown(driver):
    """The picture that a child makes on the way is decoded on a thread and shown."""
    driver.open().generate("preview")
    shown = driver.kit.find("ImageWithProvider")
    assert shown._provider._size == [48, 32]
    assert shown.height == 32


# What is offered


def test_what_lyra_sim_lacks_is_disabled_with_the_reason(driver):
    """Widgets of options that this lyra-sim does not have are disabled and say why; Generate refuses them too."""
    driver.open()
    kit = driver.kit
    switches = [(box.enabled, box.tooltip) for box in kit.find_all("CheckBox")]
    assert [enabled for enabled, _ in switches] == [False] * 6 + [True, False, False]
    assert "lyra-sim 0.1.0 has no --trajectories yet" in kit.texts()
    assert "--no-labels" in kit.texts()
    driver.choose("full")
    assert "published weights are not here" in kit.texts()
    driver.click("Generate")
    assert driver.jobs() == []
    driver.choose("Picture - not available")
    assert "lyra-sim 0.1.0 has no --image yet" in kit.texts()
    assert not kit.find("Button", text="...").enabled


def test_what_lyra_sim_has_is_enabled(driver, monkeypatch):
    """The same widgets are enabled as soon as `doctor` lists their options."""
    options = [
        "--image",
        "--video",
        "--trajectories",
        "--no-collider",
        "--no-labels",
        "--no-proxy",
        "--target",
        "--size",
    ]
    sizes = {size: {"available": True, "why": ""} for size in ("mini", "full")}
    targets = ["isaac-6", "isaac-5", "both"]
    facts = {"version": "9", "gen_options": options, "sizes": sizes, "targets": targets}
    monkeypatch.setenv("FAKE_DOCTOR", json.dumps(facts))
    driver.open()
    assert all(box.enabled for box in driver.kit.find_all("CheckBox"))
    assert "not available" not in str([combo._labels for combo in driver.kit.find_all("ComboBox")])
    driver.panel.fields.labels.set_value(False)
    driver.panel.fields.trajectories["up"].set_value(False)
    driver.choose("Isaac Sim 5")
    driver.generate("x")
    line = driver.panel.history[0].command_line
    for word in ("--no-labels", "--trajectories=left,right,zoom_out,zoom_in,clockwise", "--target=isaac-5"):
        assert word in line


def test_a_picture_is_chosen_by_dialog_and_shown(driver, monkeypatch, tmp_path):
    """The file dialog shows pictures only, its choice fills the field, and the picture is previewed."""
    facts = {"version": "9", "gen_options": ["--image"], "targets": ["isaac-6"]}
    monkeypatch.setenv("FAKE_DOCTOR", json.dumps(facts))
    driver.open()
    driver.choose("Picture")
    driver.click("...")
    (dialog,) = driver.kit.dialogs
    item = type("Item", (), {"is_folder": False, "path": "/a/b.PNG"})
    assert dialog._filter(item)
    item.path = "/a/b.txt"
    assert not dialog._filter(item)
    dialog._apply("picture.png", str(Path(__file__).parent / "data" / "panel"))
    driver.kit.update()
    assert not dialog._shown
    assert driver.kit.find("Image")._source_url.endswith("panel/picture.png")
    driver.generate("")
    assert "--image=" in driver.panel.history[0].command_line
    driver.click("...")
    assert len(driver.kit.dialogs) == 1


def test_the_dice_change_the_seed(driver):
    """The dice button sets a seed, and it reaches the command line."""
    driver.open()
    driver.click("Dice")
    seed = driver.panel.fields.seed.as_int
    driver.generate("x")
    assert f"--seed={seed}" in driver.panel.history[0].command_line


def test_isaac_5_is_told_that_splats_stay_invisible(tmp_path, scene):
    """On Kit 107 the target falls back to what lyra-sim writes, with the reason, and loading says what will show."""
    kit = FakeKit(version="107.3.1+release")
    with installed(kit):
        driver = Driver(kit, tmp_path / "out").open()
        assert "does not write isaac-5 yet, only isaac-6. Chosen instead: isaac-6" in kit.texts()
        driver.generate("x")
        assert "splats stay invisible here" in kit.texts()
        driver.extension.on_shutdown()


def test_bad_input_is_told_at_once(driver):
    """An empty prompt and a bad prim path are told without starting anything."""
    driver.open()
    driver.generate(" \n ")
    assert "Nothing to make" in driver.kit.texts()
    driver.panel.fields.prim_path.set_value("World/../x")
    driver.generate("x")
    assert "write it like /World/LyraScene" in driver.kit.texts()
    assert driver.jobs() == []


def test_a_missing_lyra_sim_is_told_with_advice(kit, tmp_path):
    """When the command is not there, the panel says how to install it, and Generate does the same."""
    with installed(kit):
        driver = Driver(kit, tmp_path)
        kit.settings["/exts/lyra.sim.panel/command"] = "/nowhere/lyra-sim"
        driver.open(wait=False)
        kit.update_until(lambda: "pip install" in kit.texts())
        driver.generate("x")
        assert "set the path" in kit.texts()
        assert list(tmp_path.iterdir()) == []
        driver.extension.on_shutdown()


def test_an_unwritable_output_folder_is_told(driver):
    """When no scene can be put into the output folder, the panel says so and starts nothing."""
    driver.kit.settings["/exts/lyra.sim.panel/output_folder"] = "/dev/null/x"
    driver.open().generate("x")
    assert "/dev/null/x: no scene can be put there" in driver.kit.texts()


def test_settings_persist(driver, tmp_path):
    """Saved settings are persistent settings of Kit, and a new window starts from them."""
    driver.open()
    driver.panel.fields.output_folder.set_value(str(tmp_path / "elsewhere"))
    driver.click("Save and check")
    assert driver.kit.settings["/persistent/exts/lyra.sim.panel/output_folder"] == str(tmp_path / "elsewhere")
    driver.kit.click_menu(MENU)
    driver.kit.update(3)
    driver.open().generate("x")
    assert len(list((tmp_path / "elsewhere").glob("x_0_*/scene.usdz"))) == 1


# The stage


@pytest.mark.parametrize(("up", "unit"), [("Z", 1.0), ("Y", 1.0), ("Z", 0.01), ("Y", 0.01)])
def test_the_scene_is_upright_and_metric_in_any_stage(driver, up, unit):
    """A point 2 m over the floor is 2 m over the floor of a stage with any up axis and unit."""
    stage = driver.kit.stage
    UsdGeom.SetStageUpAxis(stage, getattr(UsdGeom.Tokens, up.lower()))
    UsdGeom.SetStageMetersPerUnit(stage, unit)
    driver.open().generate("x")
    x, y, z = at(stage, "/World/LyraScene", (1.0, 3.0, 2.0)) * unit
    assert np.allclose((x, y, z), (1, 3, 2) if up == "Z" else (1, 2, -3))
    assert len(driver.kit.undo_stack) == 1


def test_a_new_stage_is_made_upright_and_only_without_unsaved_work(driver):
    """The choice of a new stage makes one that is Z up and metric, and refuses to throw away unsaved changes."""
    driver.open()
    driver.choose("New stage")
    old = driver.kit.stage
    driver.kit.unsaved = True
    driver.generate("x")
    assert "unsaved changes" in driver.kit.texts()
    assert driver.kit.stage is old
    driver.kit.unsaved = False
    driver.click("Load again")
    driver.kit.update_until(lambda: "Loaded at" in driver.kit.texts())
    assert driver.kit.stage is not old
    assert UsdGeom.GetStageUpAxis(driver.kit.stage) == "Z"
    assert UsdGeom.GetStageMetersPerUnit(driver.kit.stage) == 1.0


def test_payloads_and_taken_paths(driver):
    """A payload is added as one, and a second scene gets a path of its own."""
    driver.open()
    driver.choose("Payload")
    driver.generate("x")
    driver.click("Load again")
    driver.kit.update_until(lambda: "LyraScene_01" in driver.kit.texts())
    assert [name for name, _ in driver.kit.commands] == ["CreatePayload", "CreatePayload"]
    assert driver.kit.stage.GetPrimAtPath("/World/LyraScene_01").HasPayload()


def test_a_command_that_fails_is_told(driver):
    """When Kit cannot add the reference, the panel says so and keeps the scene in the history."""
    driver.kit.fail_command = "CreateReference"
    driver.open().generate("x")
    assert "could not add" in driver.kit.texts()
    assert len(driver.panel.history) == 1


def test_no_open_stage_is_told(driver):
    """Without an open stage the scene is kept, and the panel says what to do."""
    driver.kit.stage = None
    driver.open().generate("x")
    assert "No stage is open" in driver.kit.texts()


def test_render_settings_of_the_file_are_applied(driver, tmp_path):
    """What the file's layer asks for becomes Kit settings before the next frame, for NuRec with the matte settings."""
    wanted = {"rtx:post:tonemap:op": 2, "rtx:rendermode": "RaytracedLighting"}
    path = write_scene(tmp_path / "nurec.usda", splats="nurec", render_settings=wanted)
    stage = Usd.Stage.Open(str(path))
    mesh = stage.GetPrimAtPath("/World/Collider")
    UsdGeom.PrimvarsAPI(mesh).CreatePrimvar("isMatteObject", Sdf.ValueTypeNames.Bool).Set(True)
    stage.Save()
    from lyra.sim.panel import kit as adapter

    placed = driver.kit.run(
        adapter.place_scene(str(path), prim_path="/World/LyraScene", new_stage=False, payload=False)
    )
    assert placed.notes == ()
    settings = driver.kit.settings
    assert settings["/rtx/post/tonemap/op"] == 2
    assert settings["/rtx/rendermode"] == "RaytracedLighting"
    assert settings["/rtx/post/matteObject/enableShadowCatcher"] is True


def test_multi_gpu_is_warned_about(driver):
    """With multi-GPU rendering on, the panel says how to start without it, at opening and at loading."""
    driver.kit.settings["/renderer/multiGpu/enabled"] = True
    driver.open()
    assert "--/renderer/multiGpu/enabled=false" in driver.kit.texts()
    driver.generate("x")
    assert "--/renderer/multiGpu/enabled=false" in driver.kit.texts()
    assert driver.kit.nvidia_setups == []


@pytest.mark.parametrize(("up", "unit"), [("Z", 1.0), ("Y", 0.01)])
def test_the_ball_drops_over_the_free_floor(driver, up, unit):
    """The ball starts 1 m over the floor beside the box, with gravity and a collider, in one undo step."""
    stage = driver.kit.stage
    UsdGeom.SetStageUpAxis(stage, getattr(UsdGeom.Tokens, up.lower()))
    UsdGeom.SetStageMetersPerUnit(stage, unit)
    driver.open().generate("x")
    driver.click("Drop a test ball")
    driver.kit.update_until(lambda: "come to rest" in driver.kit.texts())
    centre = at(stage, "/World/TestBall", (0, 0, 0)) * unit
    x, y, z = centre if up == "Z" else (centre[0], -centre[2], centre[1])
    assert z == pytest.approx(1.0)
    assert 0.1 < x < 5.9
    assert 0.1 < y < 3.9
    assert not (1.9 < x < 4.1 and 0.9 < y < 3.1), "over the box"
    assert stage.GetPrimAtPath("/World/TestBall").HasAPI(UsdPhysics.RigidBodyAPI)
    edge = at(stage, "/World/TestBall/Ball", (0.1, 0, 0)) - at(stage, "/World/TestBall/Ball", (0, 0, 0))
    assert np.linalg.norm(edge) * unit == pytest.approx(0.1)
    assert stage.GetPrimAtPath("/World/PhysicsScene/Scene").IsA(UsdPhysics.Scene)
    assert driver.kit.playing
    driver.click("Drop a test ball")
    driver.kit.update_until(lambda: stage.GetPrimAtPath("/World/TestBall_01"))
    assert not stage.GetPrimAtPath("/World/PhysicsScene_01")
    driver.kit.undo()
    driver.kit.undo()
    assert not stage.GetPrimAtPath("/World/TestBall")
    assert not stage.GetPrimAtPath("/World/PhysicsScene")


def test_a_ball_that_cannot_drop_is_told(driver):
    """When the scene was deleted, the panel says so."""
    driver.open().generate("x")
    driver.kit.undo()
    driver.click("Drop a test ball")
    driver.kit.update_until(lambda: "no longer in the stage" in driver.kit.texts())


# History


def test_the_history_lists_loads_and_copies(driver, monkeypatch):
    """Entries survive a restart, with picture, and their buttons load, show the folder and copy the command."""
    driver.open()
    driver.generate("first one")
    driver.generate("second one")
    texts = driver.kit.texts()
    assert texts.index("second one") < texts.index("first one")
    assert len(driver.kit.find_all("Image")) == 2
    driver.kit.find_all("Button", text="Copy command")[1]._click()
    assert driver.kit.clipboard.startswith("lyra-sim gen --out")
    assert driver.kit.clipboard.endswith("-- 'first one'")
    opened = []
    monkeypatch.setenv("LD_PRELOAD", "")
    with monkeypatch.context() as patched:
        patched.setattr(
            "subprocess.Popen", lambda command, **options: opened.append((command, options["env"]))
        )
        driver.kit.find_all("Button", text="Show folder")[0]._click()
    assert opened[0][0] == ["xdg-open", str(Path(driver.panel.history[0].scene).parent)]
    assert "LD_PRELOAD" not in opened[0][1]
    os.unlink(driver.panel.history[1].scene)
    driver.kit.click_menu(MENU)
    driver.kit.update(3)
    driver.open()
    load = driver.kit.find_all("Button", text="Load again")
    assert [button.enabled for button in load] == [True, False]


# A server


def test_the_panel_is_a_client_of_the_server(driver, tmp_path):
    """With a server's address in the settings, the scene is made there, fetched, and loaded."""
    from test_server import TOKEN, served

    token = tmp_path / "token"
    token.write_text(TOKEN)
    with served(tmp_path / "data", command=tuple(FAKE), token=TOKEN) as api:
        driver.open()
        driver.panel.fields.server.set_value(api.url)
        driver.click("Save and check")
        driver.kit.update_until(lambda: "401" in driver.kit.texts())
        assert "Put the server's token in a file" in driver.kit.texts()
        driver.panel.fields.token_file.set_value(str(token))
        driver.click("Save and check")
        driver.kit.update_until(lambda: f"at {api.url} is ready" in driver.kit.texts())
        driver.kit.update()
        assert not [c for c in driver.kit.find_all("ComboBox") if "GPU 0" in c._labels]
        driver.generate("over there")
        assert "Loaded at /World/LyraScene" in driver.kit.texts()
        assert [view["state"] for view in api.json("GET", "/jobs")] == ["done"]
        driver.generate("wait", wait=False)
        driver.until_stage("teacher")
        driver.click("Cancel")
        driver.kit.update_until(lambda: "Cancelled" in driver.kit.texts())
        api.until(api.json("GET", "/jobs")[0]["id"], "cancelled")
    assert ServerConfig(data=tmp_path).token is None


# The real lyra-sim


def test_the_real_lyra_sim_makes_a_scene_for_the_panel(tmp_path):
    """Without any stand-in for lyra-sim: the panel asks it, makes a scene of one path, and adds splats and collider."""
    kit = FakeKit()
    with installed(kit):
        driver = Driver(kit, tmp_path / "out", command=[sys.executable, "-m", "lyra_sim"], seconds=300)
        driver.open()
        driver.panel.fields.seed.set_value(3)
        for name in TRAJECTORIES[1:]:
            driver.panel.fields.trajectories[name].set_value(False)
        driver.generate("small kitchen")
        assert "Loaded at /World/LyraScene" in kit.texts()
        types = {prim.GetTypeName() for prim in kit.stage.Traverse()}
        assert {"ParticleField3DGaussianSplat", "Mesh"} <= types
        assert any(prim.HasAPI(UsdPhysics.CollisionAPI) for prim in kit.stage.Traverse())
        driver.extension.on_shutdown()
        assert kit.left_behind() == {}


def test_the_real_lyra_sim_makes_a_scene_of_a_video(tmp_path):
    """Video is not greyed out with the real lyra-sim: a clip of a camera at rest is chosen and becomes a scene."""
    rows = np.linspace(20, 235, 176).astype(np.uint8)[:, None, None]
    clip = write_mp4(tmp_path / "still.mp4", np.broadcast_to(rows, (3, 176, 320, 3)))
    kit = FakeKit()
    with installed(kit):
        driver = Driver(kit, tmp_path / "out", command=[sys.executable, "-m", "lyra_sim"], seconds=300)
        driver.open()
        assert "video" not in driver.panel.reasons
        driver.choose("Video")
        driver.panel.fields.video.set_value(str(clip))
        for name in TRAJECTORIES[1:]:
            driver.panel.fields.trajectories[name].set_value(False)
        driver.generate("")
        assert "Loaded at /World/LyraScene" in kit.texts()
        assert "--video=" in driver.panel.history[0].command_line
        assert "ParticleField3DGaussianSplat" in {prim.GetTypeName() for prim in kit.stage.Traverse()}
        driver.extension.on_shutdown()
        assert kit.left_behind() == {}
