"""The job protocol client: messages, command lines, and child processes that behave and misbehave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lyra_sim.jobs import (
    TRAJECTORIES,
    Capabilities,
    ChildJob,
    Failure,
    GenRequest,
    JobError,
    Progress,
    Result,
    advice,
    as_record,
    clean_environment,
    find_command,
    parse_line,
    query_capabilities,
)

FAKE = [sys.executable, str(Path(__file__).parent / "fake_lyra_sim.py")]
FEW = settings(max_examples=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def start(prompt: str, tmp_path: Path, **options) -> tuple[ChildJob, list]:
    """Start the fake child and return it with the list that its messages go to."""
    messages: list = []
    request = GenRequest(prompt=prompt, seed=3)
    command = [*FAKE, *request.arguments(str(tmp_path / "scene.usdz"))]
    environment = options.pop("environment", os.environ)
    return ChildJob(command, environment=environment, on_message=messages.append, **options), messages


def fact(tmp_path: Path, name: str) -> object:
    """Wait for a fact that the fake child leaves, and return it."""
    path = tmp_path / f"{name}.json"
    until(path.exists)
    return json.loads(path.read_text())


def until(condition, seconds: float = 60.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


MESSAGES = st.one_of(
    st.builds(
        Progress,
        stage=st.sampled_from(["teacher", "usd"]),
        fraction=st.floats(0, 1),
        message=st.text("abc é", max_size=9).map(lambda text: " ".join(text.split())),
        elapsed_s=st.none() | st.floats(0, 1e6),
        eta_s=st.none() | st.floats(0, 1e6),
        preview=st.none() | st.just("/a/b.png"),
    ),
    st.builds(Result, scene=st.just("/s.usdz"), report=st.dictionaries(st.text(max_size=3), st.integers())),
    st.builds(
        Failure,
        message=st.just("no"),
        stage=st.just("usd"),
        fraction=st.floats(0, 1),
        cancelled=st.booleans(),
    ),
)


@FEW
@given(MESSAGES)
def test_message_round_trip(message):
    """Writing a message as JSON and reading it back gives the same message."""
    assert parse_line(json.dumps(as_record(message))) == message


@FEW
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_read_or_ignored(line):
    """No line, JSON or not, raises."""
    assert parse_line(line) is None or isinstance(parse_line(line), Progress | Result | Failure)


@FEW
@given(JSON, JSON, JSON)
def test_progress_of_any_values_is_sane(stage, fraction, eta):
    """A progress line with values of any type gives a fraction in 0..1 and finite times."""
    line = json.dumps({"type": "progress", "stage": stage, "fraction": fraction, "eta_s": eta})
    message = parse_line(line)
    assert isinstance(message, Progress)
    assert 0 <= message.fraction <= 1
    assert message.eta_s is None or 0 <= message.eta_s < 1e15


def test_the_real_command_speaks_this_protocol(capsys):
    """What `lyra_sim.progress` prints is read as the messages it means."""
    from lyra_sim.progress import Progress as Printer

    printer = Printer("json", {"world": 1.0, "usd": 1.0})
    printer.update("usd", 0.5, "writing", preview="/p.png")
    printer.error("disk is full")
    printer.result("made", scene="/s.usdz", preview="/s.png", report={"gaussians": 2})
    progress, failure, result = map(parse_line, capsys.readouterr().out.splitlines())
    assert (progress.stage, progress.fraction, progress.preview) == ("usd", 0.75, "/p.png")
    assert (failure.message, failure.stage) == ("disk is full", "usd")
    assert (result.scene, result.report) == ("/s.usdz", {"gaussians": 2})


def test_the_real_command_accepts_our_arguments():
    """Every option that a request can put on the command line and that `gen` has is parsed to the same value."""
    from lyra_sim.cli import build_parser

    request = GenRequest(
        prompt="--out of paper", seed=7, size="mini", collider=False, preview=False, strict=True
    )
    args = build_parser().parse_args(request.arguments("/tmp/scene.usdz"))
    assert (args.prompt, args.seed, args.size) == ("--out of paper", 7, "mini")
    assert (args.no_collider, args.no_preview, args.strict, args.progress) == (True, True, True, "json")
    assert str(args.out) == "/tmp/scene.usdz"
    picture = GenRequest(
        image="-a.png",
        depth="d.png",
        depth_unit="mm",
        intrinsics="1,2,3,4",
        squeeze=True,
        camera_height=1.5,
        teacher="warp",
        movement=0.5,
    )
    args = build_parser().parse_args(picture.arguments("/tmp/scene.usdz"))
    assert (str(args.image), str(args.depth), args.depth_unit) == ("-a.png", "d.png", "mm")
    assert (args.intrinsics, args.squeeze, args.height_of_camera) == ("1,2,3,4", True, 1.5)
    assert (args.teacher, args.movement, args.prompt) == ("warp", 0.5, "")
    video = GenRequest(
        video="a.mp4", depth_video="d.npz", video_cameras="t.txt", video_frames="0:120", time=60.0
    )
    args = build_parser().parse_args(video.arguments("/tmp/scene.usdz"))
    assert (str(args.video), str(args.depth_video), str(args.video_cameras)) == ("a.mp4", "d.npz", "t.txt")
    assert (args.video_frames, args.time) == ((0, 120), (60.0,))


def test_trajectories_are_those_of_the_generator():
    """The camera paths offered to people are the decoder's, in its order."""
    from generator.trajectories import SDG_TRAJECTORIES

    assert tuple(path.name for path in SDG_TRAJECTORIES) == TRAJECTORIES


@FEW
@given(st.text(min_size=1))
def test_command_line_survives_the_shell(prompt):
    """The copied command line, split by a shell, is the argument list again."""
    import shlex

    request = GenRequest(prompt=prompt.replace("\0", " "), seed=1, trajectories=("left", "up"))
    assert shlex.split(request.command_line("/a b.usdz"))[1:] == request.arguments("/a b.usdz", progress=None)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (GenRequest(), "Nothing to make"),
        (GenRequest(prompt=" \n"), "Nothing to make"),
        (GenRequest(image="a", video="b"), "both given"),
        (GenRequest(prompt="x", depth="d.png"), "belongs to a picture"),
        (GenRequest(video="a", depth="d.png"), "belongs to a picture"),
        (GenRequest(prompt="x", intrinsics="1,2,3,4"), "belong to a picture or a video"),
        (GenRequest(image="a", video_cameras="t.txt"), "no video"),
        (GenRequest(image="a", time=0.0), "no video"),
        (GenRequest(video="a", video_frames="0-9"), "Frames '0-9'"),
        (GenRequest(video="a", depth_video="d.npz", depth_unit="mm", intrinsics="1,2,3,4"), None),
        (GenRequest(image="a", depth_unit="mm"), "no depth"),
        (GenRequest(image="a", movement=0.0), "Movement 0.0"),
        (GenRequest(image="a", depth="d.png", intrinsics="1,2,3,4"), None),
        (GenRequest(prompt="x", seed=-1), "Seed -1"),
        (GenRequest(prompt="x", trajectories=("loop",)), "'loop'"),
        (GenRequest(prompt="x"), None),
    ],
)
def test_requests_are_checked(request_, words):
    """A request that makes no sense is refused with the reason."""
    problem = request_.problem()
    assert problem is None if words is None else words in problem


def test_a_good_child_gives_progress_and_one_result(tmp_path):
    """All stages arrive in order, then the result, and the scene is there."""
    job, messages = start("warehouse", tmp_path)
    assert job.done.wait(60)
    assert [m.stage for m in messages[:-1]] == [
        "load", "world", "teacher", "tokenizer", "cache", "decoder", "scene", "collider", "usd", "preview"
    ]  # fmt: skip
    assert messages[-1] is job.outcome
    assert job.outcome.report["gaussians"] == 5
    assert Path(job.outcome.scene).is_file()


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("crash at decoder", "signal 11"),
        ("fail", "CUDA out of memory"),
        ("quit", "status 3 without a result: Traceback: something odd"),
        ("mute", "status 0 without a result"),
    ],
)
def test_a_bad_child_gives_one_failure(prompt, words, tmp_path):
    """A child that crashes, fails, quits or ends without a word is reported once, with the reason and the stage."""
    job, messages = start(prompt, tmp_path)
    assert job.done.wait(60)
    assert [m for m in messages if not isinstance(m, Progress)] == [job.outcome]
    assert words in job.outcome.message
    assert job.outcome.stage == ("decoder" if "decoder" in prompt else "teacher")


@pytest.mark.parametrize("mood", ["garbage", "flood", "chatter", "late"])
def test_noise_does_not_hide_the_result(mood, tmp_path):
    """Garbage on stdout, a full stderr, 20,000 messages and a crash after the result still end in the result."""
    job, messages = start(mood, tmp_path)
    assert job.done.wait(60)
    assert isinstance(messages[-1], Result)
    assert sum(map(len, job.log)) < 300_000


@pytest.mark.parametrize("stage", ["load", "world", "teacher", "decoder", "usd", "preview"])
def test_cancel_at_every_stage(stage, tmp_path):
    """A cancelled child is gone at once, wherever it was, and its end is called a cancellation."""
    job, messages = start(f"wait at {stage}", tmp_path)
    until(lambda: messages and messages[-1].stage == stage)
    job.cancel()
    job.cancel()
    assert job.done.wait(60)
    assert (job.outcome.cancelled, job.outcome.stage) == (True, stage)
    assert not alive(job.pid)


def test_cancel_lets_the_child_tidy_up(tmp_path):
    """The child is asked before it is killed, so that it can remove its temporary files."""
    job, _ = start("tidy", tmp_path)
    fact(tmp_path, "ready")
    job.close()
    assert (tmp_path / "tidied.json").exists()


def test_a_stubborn_child_is_killed(tmp_path):
    """A child that ignores the request is killed after the grace."""
    job, _ = start("stubborn", tmp_path, grace_s=0.2)
    fact(tmp_path, "ignoring")
    job.cancel()
    assert job.done.wait(60)
    assert not alive(job.pid)


@pytest.mark.parametrize("mood", ["tree", "tree-and-quit"])
def test_the_whole_tree_ends(mood, tmp_path):
    """Processes that the child started end with it, cancelled or not, and do not hold up its end."""
    job, _ = start(mood, tmp_path)
    grandchild = fact(tmp_path, "grandchild")
    if mood == "tree":
        assert alive(grandchild)
        job.cancel()
    assert job.done.wait(60)
    until(lambda: not alive(grandchild))
    assert isinstance(job.outcome, Failure if mood == "tree" else Result)


def test_a_failing_receiver_does_not_stop_the_child(tmp_path, caplog):
    """An error in the receiver of messages is logged, and the job goes on to its end."""

    def receiver(message):
        raise ValueError("broken receiver")

    command = [*FAKE, *GenRequest(prompt="x").arguments(str(tmp_path / "s.usdz"))]
    job = ChildJob(command, environment=os.environ, on_message=receiver)
    assert job.done.wait(60)
    assert isinstance(job.outcome, Result)
    assert "broken receiver" in caplog.text


def test_a_missing_program_is_an_error_with_advice():
    """A command that is not there gives one line and the advice to install it."""
    with pytest.raises(JobError, match="was not found") as error:
        ChildJob(["/nowhere/lyra-sim"], environment={}, on_message=print)
    assert "pip install" in advice(str(error.value))


def test_the_environment_is_cleaned(tmp_path):
    """The child sees none of the simulator's variables, even those that would break its Python."""
    poisoned = {
        **os.environ,
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": "/nowhere",
        "LD_PRELOAD": "/nowhere/libcarb.so",
        "CARB_APP_PATH": "/isaac/kit",
    }
    job, _ = start("environment", tmp_path, environment=clean_environment(poisoned, device="cpu"))
    assert job.done.wait(60)
    assert isinstance(job.outcome, Result)
    seen = fact(tmp_path, "environment")
    assert not {"PYTHONHOME", "PYTHONPATH", "LD_PRELOAD", "CARB_APP_PATH"} & set(seen)
    assert seen["CUDA_VISIBLE_DEVICES"] == ""
    assert seen["PATH"] == os.environ["PATH"]
    assert "CUDA_VISIBLE_DEVICES" not in clean_environment({})


def test_the_command_is_found(tmp_path):
    """A name on PATH, a path, a whole command, and the environment around the extension are found; else advice."""
    program = tmp_path / "venv" / "bin" / "lyra-sim"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    near = tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "lyra_sim" / "exts" / "panel.py"
    assert find_command("lyra-sim", search_path=str(program.parent)) == [str(program)]
    assert find_command(f"'{program}' --flag") == [str(program), "--flag"]
    assert find_command("", near=near, search_path="") == [str(program)]
    with pytest.raises(JobError, match="was not found"):
        find_command("lyra-sim", search_path="")
    with pytest.raises(JobError, match="was not found"):
        find_command("/nowhere/lyra-sim", near=near)


def test_capabilities_drive_objections():
    """Options, sizes and targets that an installation lacks are named with the reason; the rest passes."""
    can = query_capabilities(FAKE, environment=os.environ)
    assert can == Capabilities.from_json(json.dumps(can.as_facts()))
    assert can.objections(GenRequest(prompt="x", seed=1, size="mini", collider=False)) == []
    reasons = can.objections(GenRequest(image="a.png", size="full", labels=False, target="isaac-5"))
    for word in ("--image", "no CUDA GPU", "--no-labels", "--target", "isaac-5"):
        assert any(word in reason for reason in reasons), word
    assert can.settle(GenRequest(prompt="x", target="isaac-6")).target is None


@pytest.mark.parametrize(
    "answer", ["", "[]", '{"version": 1}', "Segmentation fault", '{"sizes": []}', "[" * 99999]
)
def test_a_doctor_that_babbles_is_an_error(answer):
    """An answer that is not the agreed object is one clear error."""
    with pytest.raises(JobError, match="doctor"):
        Capabilities.from_json(answer)


def test_a_doctor_that_fails_is_an_error():
    """A command that is not lyra-sim, or not there, is one clear error."""
    with pytest.raises(JobError, match="doctor failed: "):
        query_capabilities([sys.executable, "-c", "import sys; sys.exit('bad')"], environment=os.environ)
    with pytest.raises(JobError, match="was not found"):
        query_capabilities(["/nowhere/lyra-sim"], environment={})


def test_the_real_doctor_is_understood():
    """The capabilities that this version's doctor prints are read, and plain requests pass."""
    from lyra_sim.commands.doctor import capabilities

    facts = {"version": "0", "sizes": {"mini": {"available": True, "why": ""}}, **capabilities()}
    can = Capabilities.from_json(json.dumps(facts))
    assert can.objections(GenRequest(prompt="x", size="mini", seed=2, collider=False, strict=True)) == []


def test_the_job_modules_need_only_the_standard_library():
    """The folder loads under another name in a Python without site-packages, as the panel does it."""
    folder = Path(__file__).parents[1] / "lyra_sim" / "jobs"
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('other', {str(folder / '__init__.py')!r},"
        f" submodule_search_locations=[{str(folder)!r}])\n"
        "module = sys.modules['other'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "assert 'lyra_sim' not in sys.modules\n"
        "print(module.GenRequest(prompt='a b').command_line('s.usdz'))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "lyra-sim gen --out s.usdz -- 'a b'", done.stderr
