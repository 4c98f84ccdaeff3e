"""The parts of the panel that need no Kit: form, session, history, scene files, floor, pictures, preferences."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panel_scenes import ROOM_M, write_scene
from pxr import Gf, Usd, UsdGeom

EXTENSION = Path(__file__).resolve().parents[1] / "exts" / "lyra.sim.panel"


@pytest.fixture(scope="module", autouse=True)
def panel() -> Iterator[None]:
    """Make the extension importable, as Kit does, and forget it afterwards."""
    sys.path.insert(0, str(EXTENSION))
    yield
    sys.path.remove(str(EXTENSION))
    for name in [name for name in sys.modules if name.partition(".")[0] == "lyra"]:
        del sys.modules[name]


# Form


def test_the_form_becomes_a_request():
    """Only what differs from the defaults reaches the command line, and only the chosen source."""
    from lyra.sim.panel.form import Form

    assert list(Form(prompt=" a \n b ").request().arguments("s.usdz")[-1:]) == ["a b"]
    form = Form(source="picture", prompt="ignored", picture="a.png", trajectories=("up",), labels=False)
    request = form.request()
    assert (request.prompt, request.image, request.trajectories) == ("", "a.png", ("up",))
    assert dict(request.options())["--no-labels"] is None
    assert form.title == "a.png"


def test_the_form_says_what_is_wrong(tmp_path):
    """Missing files, wrong kinds of files, no trajectory and bad prim paths are named before anything starts."""
    from lyra.sim.panel.form import Form

    text = tmp_path / "a.txt"
    text.write_text("")
    cases = [
        (Form(source="picture"), "no file is not there"),
        (Form(source="picture", picture="/nowhere.png"), "/nowhere.png is not there"),
        (Form(source="video", video=str(text)), "must end in .mp4"),
        (Form(prompt="x", trajectories=()), "at least one"),
        (Form(prompt="x", prim_path="/World/a b"), "Prim path"),
        (Form(prompt="x", seed=-1), "Seed"),
        (Form(prompt=" "), "Nothing to make"),
    ]
    for form, words in cases:
        assert words in form.problem()
    assert Form(prompt="x").problem() is None


# Session


class FakeJob:
    """A job whose messages the test sends."""

    def __init__(self, receive) -> None:
        self.receive = receive
        self.calls: list[str] = []

    def cancel(self) -> None:
        self.calls.append("cancel")

    def close(self, *, timeout_s: float) -> None:
        from lyra.sim.panel.jobs import Failure

        self.calls.append("close")
        self.receive(Failure("Cancelled", cancelled=True))


@given(
    st.lists(st.sampled_from(["start", "cancel", "progress", "result", "failure", "pump", "close", "old"]))
)
@settings(max_examples=100)
def test_a_session_never_runs_two_jobs(steps):
    """After any sequence of clicks and messages: at most one job, each job ends once, and idle means startable."""
    from lyra.sim.panel.jobs import Failure, JobError, Progress, Result
    from lyra.sim.panel.session import Session

    session = Session(clock=lambda: 0.0)
    jobs: list[FakeJob] = []
    ends = 0

    def launch(receive) -> FakeJob:
        jobs.append(FakeJob(receive))
        return jobs[-1]

    for step in steps:
        if step == "start":
            before, busy = len(jobs), session.busy
            try:
                session.start(launch)
            except JobError:
                assert busy
            assert len(jobs) == before + (not busy)
        elif step == "cancel":
            session.cancel()
        elif step == "close":
            was_busy = session.busy
            session.close()
            assert not session.busy
            ends += was_busy
        elif step == "pump":
            ends += session.pump() is not None
        elif step == "old" and len(jobs) > 1:
            jobs[0].receive(Result("/old.usdz"))
        elif jobs and step in ("progress", "result", "failure"):
            message = {
                "progress": Progress("teacher", 0.5),
                "result": Result("/s.usdz"),
                "failure": Failure("no"),
            }[step]
            jobs[-1].receive(message)
        assert session.state in ("idle", "running", "cancelling")
        assert all(job.calls.count("cancel") <= 1 for job in jobs)
    assert len(jobs) - ends == session.busy


def test_a_job_that_does_not_start_leaves_the_session_idle():
    """When the launch fails, the session can start another job."""
    from lyra.sim.panel.jobs import JobError
    from lyra.sim.panel.session import Session

    session = Session()

    def launch(receive):
        raise JobError("not found")

    with pytest.raises(JobError, match="not found"):
        session.start(launch)
    assert not session.busy
    session.start(FakeJob)
    assert session.busy


def test_stages_and_times_read_well():
    """Stages show their seconds, the current one dots; times show minutes."""
    from lyra.sim.panel.jobs import Progress, Result
    from lyra.sim.panel.session import Session, describe_stages, describe_time

    now = [0.0]
    session = Session(clock=lambda: now[0])
    session.start(lambda receive: FakeJob(receive))
    for stage, seconds in (("world", 1.5), ("teacher", 61.0), ("teacher", 0.0)):
        session._inbox.append(Progress(stage, 0.1))
        session.pump()
        now[0] += seconds
    assert describe_stages(session) == "world 1.5 s, teacher ..."
    assert describe_time(session.elapsed_s, 5.0) == "1:02, about 0:05 left"
    session._inbox.append(Result("/s.usdz"))
    session.pump()
    now[0] += 100
    assert describe_stages(session) == "world 1.5 s, teacher 61.0 s"
    assert describe_time(session.elapsed_s, None) == "1:02"


# History


def test_history_round_trip_and_limit(tmp_path):
    """Entries come back newest first, only so many are kept, and the file is never half-written."""
    from lyra.sim.panel.history import MAX_ENTRIES, Entry, add_to_history, load_history

    entries = [
        Entry(f"t{i}", i, f"/{i}.usdz", None, "lyra-sim gen", float(i)) for i in range(MAX_ENTRIES + 3)
    ]
    for entry in entries:
        add_to_history(tmp_path, entry)
    assert load_history(tmp_path) == entries[: -MAX_ENTRIES - 1 : -1]
    assert [path.name for path in tmp_path.iterdir()] == ["history.json"]


@given(
    st.binary()
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda v: json.dumps(v).encode())
)
@settings(max_examples=50)
def test_a_damaged_history_is_no_history(tmp_path_factory, data):
    """Whatever the file holds, loading gives a list and never raises."""
    from lyra.sim.panel.history import load_history

    folder = tmp_path_factory.getbasetemp() / "history"
    folder.mkdir(exist_ok=True)
    (folder / "history.json").write_bytes(data)
    assert load_history(folder) == []


def test_scene_folders_are_new_and_named_for_people(tmp_path):
    """Each scene gets a folder of its own, with a name from its title, also for titles without letters."""
    from lyra.sim.panel.history import discard_scene_folder, new_scene_path

    first = new_scene_path(tmp_path, "../Warm, WIDE aisle!", 7, now=0.0)
    second = new_scene_path(tmp_path, "../Warm, WIDE aisle!", 7, now=0.0)
    assert first.parent.parent == tmp_path
    assert first.parent.name.startswith("warm-wide-aisle_7_19")
    assert first != second
    assert new_scene_path(tmp_path, "仓库", 0).parent.name.startswith("scene_0_")
    discard_scene_folder(first)
    assert not first.parent.exists()
    second.write_text("left by a failed job")
    discard_scene_folder(second)
    assert second.exists()


# Isaac


@pytest.mark.parametrize(
    ("version", "target"),
    [("107.3.1+release", "isaac-5"), ("110.1.2", "isaac-6"), ("111.0", "isaac-6"), ("?", "isaac-5")],
)
def test_the_target_follows_the_kit_version(version, target):
    """Kit 110 and newer draw particle fields, older ones NuRec volumes only."""
    from lyra.sim.panel.isaac import invisible_here, target_for

    assert target_for(version) == target
    kinds = frozenset({"particle_field"})
    assert (invisible_here(kinds, version) is None) == (target == "isaac-6")
    assert invisible_here(frozenset({"nurec"}), version) is None
    assert "no splats" in invisible_here(frozenset(), version)


# Scene files


@given(
    up=st.sampled_from("YZ"),
    stage_up=st.sampled_from("YZ"),
    unit=st.sampled_from([1.0, 0.01, 0.0254]),
    stage_unit=st.sampled_from([1.0, 0.01]),
    point=st.tuples(*[st.floats(-10, 10)] * 3),
)
@settings(max_examples=60)
def test_placement_keeps_height_and_length(up, stage_up, unit, stage_unit, point):
    """Whatever axes and units file and stage have, heights and distances in metres stay, and so does handedness."""
    from lyra.sim.panel.scene import into_stage

    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageUpAxis(stage, stage_up)
    UsdGeom.SetStageMetersPerUnit(stage, stage_unit)
    matrix = into_stage(stage, up_axis=up, meters_per_unit=unit)
    there = np.array(matrix.Transform(Gf.Vec3d(*point))) * stage_unit
    here = np.array(point) * unit
    assert there["XYZ".index(stage_up)] == pytest.approx(here["XYZ".index(up)], abs=1e-9)
    assert np.linalg.norm(there) == pytest.approx(np.linalg.norm(here), abs=1e-9)
    assert matrix.GetDeterminant3() > 0


def test_scene_facts(tmp_path):
    """Kind of splats, collider, axes, units and render settings are read from the file."""
    from lyra.sim.panel.scene import examine_scene

    facts = examine_scene(str(write_scene(tmp_path / "a.usda", up="Y", meters_per_unit=0.01, collider=False)))
    assert (facts.up_axis, facts.meters_per_unit, facts.has_collider) == ("Y", 0.01, False)
    assert facts.kinds == {"particle_field"}
    facts = examine_scene(str(write_scene(tmp_path / "b.usda", splats="nurec", render_settings={"rtx:a": 1})))
    assert (facts.kinds, facts.render_settings, facts.has_collider) == ({"nurec"}, {"rtx:a": 1}, True)


def test_scene_files_that_cannot_be_shown_are_refused(tmp_path):
    """A file without default prim, a damaged file and a missing one are one line each."""
    from lyra.sim.panel.jobs import JobError
    from lyra.sim.panel.scene import examine_scene

    with pytest.raises(JobError, match="no default prim"):
        examine_scene(str(write_scene(tmp_path / "a.usda", default_prim=False)))
    broken = tmp_path / "b.usdz"
    broken.write_bytes(b"PK\x03\x04 not a package")
    for path in (broken, tmp_path / "none.usda"):
        with pytest.raises(JobError, match="not a USD file"):
            examine_scene(str(path))


# Floor


def room(tmp_path: Path, **options) -> np.ndarray:
    """Return the collision triangles of the test room."""
    from lyra.sim.panel.floor import collision_triangles

    stage = Usd.Stage.Open(str(write_scene(tmp_path / "room.usda", **options)))
    return collision_triangles(stage.GetPrimAtPath("/World"))


def test_polygons_become_triangles(tmp_path):
    """The triangles of a room cover its walls once: their areas add up."""
    triangles = room(tmp_path, box=None)
    x, y, z = ROOM_M
    areas = (
        np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
        / 2
    )
    assert areas.sum() == pytest.approx(2 * (x * y + y * z + z * x))


def test_heights_over_the_box_and_beside_it(tmp_path):
    """A vertical line meets floor, box top and ceiling exactly where they are, at 40 random places."""
    from lyra.sim.panel.floor import Surface

    surface = Surface(room(tmp_path))
    for x, y in np.random.default_rng(0).uniform((0.01, 0.01), (5.99, 3.99), (40, 2)):
        heights = np.unique(surface.heights_at(np.array([x, y])).round(6))
        box = [1.0] if 2 < x < 4 and 1 < y < 3 else []
        assert heights.tolist() == [0.0, *box, 3.0]


def test_the_free_spot_is_beside_the_box(tmp_path):
    """The spot is on the floor, nearest to the middle, clear of the box by the ball's radius, under a free column."""
    from lyra.sim.panel.floor import free_spot

    spot = free_spot(room(tmp_path), radius=0.1, height=1.0)
    assert spot[2] == 0.0
    assert not (1.9 < spot[0] < 4.1 and 0.9 < spot[1] < 3.1)
    assert np.allclose(free_spot(room(tmp_path, box=None), radius=0.1, height=1.0), (3, 2, 0))


def test_no_spot_without_floor_or_room(tmp_path):
    """No triangles, a room filled by its box, and a ceiling lower than the drop have no spot."""
    from lyra.sim.panel.floor import free_spot

    assert free_spot(np.empty((0, 3, 3)), radius=0.1, height=1.0) is None
    assert free_spot(room(tmp_path, box=(0.05, 0.05, 5.95, 3.95)), radius=0.1, height=1.0) is None
    assert free_spot(room(tmp_path, box=None), radius=0.1, height=2.95) is None
    vertical = np.array([[(0, 0, 0), (1, 0, 0), (0, 0, 1)]], dtype=float)
    assert free_spot(vertical, radius=0.1, height=1.0) is None


# Pictures, preferences, threads


def test_pictures_are_shrunk_and_opaque(tmp_path):
    """A large picture comes back small, in its proportions, as RGBA bytes; what is no picture is an OSError."""
    from lyra.sim.panel.pictures import decode_picture
    from PIL import Image

    Image.new("L", (2000, 500), 99).save(tmp_path / "a.png")
    pixels, size = decode_picture(str(tmp_path / "a.png"))
    assert (size, len(pixels), pixels[:4]) == ([480, 120], 480 * 120 * 4, [99, 99, 99, 255])
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    for name in ("b.png", "none.png"):
        with pytest.raises(OSError, match=name):
            decode_picture(str(tmp_path / name))


def test_preferences_prefer_the_users_choice(tmp_path):
    """Persistent settings win over the extension's defaults, and the token is read from its file, never stored."""
    from lyra.sim.panel.jobs import JobError
    from lyra.sim.panel.preferences import Preferences

    values = {"/exts/lyra.sim.panel/command": "lyra-sim"}

    class Store:
        def get_as_string(self, path: str) -> str:
            return values.get(path, "")

        def set_string(self, path: str, value: str) -> None:
            values[path] = value

    store = Store()
    assert Preferences.load(store).command == "lyra-sim"
    token = tmp_path / "token"
    token.write_text("secret-secret-secret\n")
    Preferences(command="/x/lyra-sim", token_file=str(token), output_folder="~/scenes").save(store)
    loaded = Preferences.load(store)
    assert (loaded.command, loaded.token(), loaded.output) == (
        "/x/lyra-sim",
        "secret-secret-secret",
        Path.home() / "scenes",
    )
    assert "secret" not in str(values)
    with pytest.raises(JobError, match="cannot be read"):
        Preferences(token_file="/nowhere").token()
    assert Preferences().token() is None


def test_work_on_a_thread():
    """The result or the error of the work comes back, and work that outlives its loop is forgotten quietly."""
    import threading

    from lyra.sim.panel.threads import in_thread

    assert asyncio.run(in_thread(lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_thread(lambda: 1 // 0))
    release = threading.Event()

    async def give_up():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_thread(release.wait), 0.01)

    asyncio.run(give_up())
    release.set()


def test_the_command_of_the_environment_around_the_extension_is_found(tmp_path, monkeypatch):
    """Without a setting, launching uses the lyra-sim that stands beside the extension, and says so when none does."""
    from lyra.sim.panel import launch as module
    from lyra.sim.panel.jobs import GenRequest, JobError
    from lyra.sim.panel.preferences import Preferences

    monkeypatch.setattr(module, "__file__", str(tmp_path / "lib" / "lyra_sim" / "exts" / "launch.py"))
    monkeypatch.setenv("PATH", "")
    request = GenRequest(prompt="x")
    with pytest.raises(JobError, match="was not found"):
        module.launch(request, tmp_path / "s.usdz", preferences=Preferences(), device="auto", receive=print)
    program = tmp_path / "bin" / "lyra-sim"
    program.parent.mkdir()
    script = Path(__file__).parent / "fake_lyra_sim.py"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    program.chmod(0o755)
    messages: list = []
    job = module.launch(
        request, tmp_path / "s.usdz", preferences=Preferences(), device="cpu", receive=messages.append
    )
    assert job.done.wait(60)
    assert os.path.exists(messages[-1].scene)
