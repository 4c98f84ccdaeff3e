"""`lyra-sim serve` over real HTTP: who may call it, what it accepts, and how jobs live, end and survive."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lyra_sim.commands import serve
from lyra_sim.errors import LyraSimError
from lyra_sim.jobs import Failure, Progress, RemoteJob, Result
from lyra_sim.server.app import create_app
from lyra_sim.server.client import generate_remote
from lyra_sim.server.config import ServerConfig
from lyra_sim.server.uploads import Uploads

FAKE = (sys.executable, str(Path(__file__).parent / "fake_lyra_sim.py"))
PICTURE = Path(__file__).parent / "data" / "panel" / "picture.png"
TOKEN = "a-token-of-enough-length"
WITH_IMAGE = json.dumps(
    {
        "version": "9",
        "gen_options": ["--image", "--depth", "--depth-unit", "--intrinsics", "--teacher", "--movement"],
        "sizes": {"mini": {"available": True, "why": ""}},
        "targets": [],
    }
)


class Api:
    """One running server and a plain client for it."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, body=None, headers=None) -> tuple[int, dict, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            if not isinstance(body, bytes | None):
                body = json.dumps(body).encode()
                headers = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()

    def json(self, method: str, path: str, body=None, *, status: int = 200):
        got, _, data = self(method, path, body)
        assert got == status, data
        return json.loads(data)

    def submit(self, prompt: str) -> str:
        return self.json("POST", "/jobs", {"prompt": prompt}, status=202)["id"]

    def until(self, job: str, *states: str, seconds: float = 60.0) -> dict:
        deadline = time.monotonic() + seconds
        while (view := self.json("GET", f"/jobs/{job}"))["state"] not in states:
            assert time.monotonic() < deadline, view
            time.sleep(0.02)
        return view

    def until_stage(self, job: str, stage: str) -> None:
        deadline = time.monotonic() + 60
        while ((self.json("GET", f"/jobs/{job}")["last"]) or {}).get("stage") != stage:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@contextlib.contextmanager
def served(data: Path, **options) -> Iterator[Api]:
    """Run a server on a thread."""
    config = ServerConfig(data=data, port=0, **{"command": FAKE, **options})
    listener = serve.bind(config.host, config.port)
    settings = uvicorn.Config(create_app(config), log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        yield Api(listener.getsockname()[1], config.token)
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()


@pytest.fixture(scope="module")
def api(tmp_path_factory) -> Iterator[Api]:
    """A server for this machine only, without a token; tests leave no job unfinished."""
    with served(tmp_path_factory.mktemp("open")) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[Api]:
    """A server that wants a token; for tests that leave no job running."""
    with served(tmp_path_factory.mktemp("guarded"), token=TOKEN) as running:
        yield running


# Who may call it


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_an_open_address_needs_a_token(host, tmp_path):
    """A server that others can reach refuses to start without a token, and with a short one."""
    with pytest.raises(LyraSimError, match="a token is needed"):
        ServerConfig(data=tmp_path, host=host)
    with pytest.raises(LyraSimError, match="at least 16"):
        ServerConfig(data=tmp_path, host=host, token="short")
    assert ServerConfig(data=tmp_path, host=host, token=TOKEN).token not in repr(ServerConfig(data=tmp_path))


def test_every_path_but_three_wants_the_token(guarded):
    """Each operation of the OpenAPI page answers 401 without the token or with a wrong one."""
    paths = guarded.json("GET", "/openapi.json")["paths"]
    assert len(paths) == 8
    wrong = [
        {},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer"},
    ]
    stranger = Api(guarded.port)
    for path, operations in paths.items():
        for method in operations:
            for headers in wrong:
                url = path.replace("{job}", "0" * 32).replace("{name}", "scene.usdz")
                status, answer, _ = stranger(method.upper(), url, headers=headers)
                assert status == (200 if path == "/health" else 401), (method, path)
                assert status == 200 or answer["www-authenticate"] == "Bearer"
    assert guarded("GET", "/jobs")[0] == 200


def test_a_stranger_with_a_large_or_broken_body_still_gets_401(guarded):
    """Nothing of a request is read before its token is known to be right."""
    stranger = Api(guarded.port)
    assert stranger("POST", "/jobs", b"{broken", {"Content-Type": "application/json"})[0] == 401
    assert stranger("POST", "/uploads", b"x" * 100, {"Content-Length": str(2**31)})[0] == 401


def test_other_web_pages_are_refused(api):
    """A page from elsewhere can neither use the browser nor a name of its own to reach a server without token."""
    assert api("GET", "/jobs", headers={"Host": "evil.example"})[0] == 421
    assert api("GET", "/jobs", headers={"Host": "[::1"})[0] == 421
    assert api("POST", "/jobs", {"prompt": "x"}, {"Origin": "https://evil.example"})[0] == 403
    assert api("GET", "/jobs", headers={"Origin": api.url})[0] == 200


def test_the_openapi_page_is_there(guarded):
    """The page and its description need no token, and the description names the token scheme."""
    assert b"swagger" in guarded("GET", "/docs")[2].lower()
    description = guarded.json("GET", "/openapi.json")
    assert description["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"


# A job


def test_a_job_from_submission_to_download(api):
    """The stream carries the child's messages in order, the result downloads, and no path of the server shows."""
    job = api.submit("warehouse aisle")
    status, headers, stream = api("GET", f"/jobs/{job}/events")
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    events = [
        dict(line.split(": ", 1) for line in event.splitlines())
        for event in stream.decode().split("\n\n")
        if event
    ]
    assert [int(event["id"]) for event in events] == list(range(1, len(events) + 1))
    messages = [json.loads(event["data"]) for event in events]
    assert [m["stage"] for m in messages][-3:] == ["usd", "preview", "done"]
    assert messages[-1]["type"] == "result"
    view = api.json("GET", f"/jobs/{job}")
    assert (view["state"], view["last"]) == ("done", messages[-1])
    assert view["files"] == ["pid.json", "scene.png", "scene.usdz"]
    assert b"warehouse aisle" in api("GET", messages[-1]["scene"])[2]
    assert api("GET", messages[-1]["preview"])[2] == PICTURE.read_bytes()
    assert "/tmp" not in stream.decode() + json.dumps(view)
    resumed = api("GET", f"/jobs/{job}/events", headers={"Last-Event-ID": str(len(events) - 1)})[2]
    assert resumed.decode().startswith(f"id: {len(events)}\n")


@pytest.mark.parametrize(
    ("prompt", "words"), [("crash", "signal 11"), ("fail", "CUDA out of memory"), ("mute", "without")]
)
def test_a_failed_job_says_why(api, prompt, words):
    """However the child ends, the job ends with one error message, and the next job runs."""
    job = api.submit(prompt)
    following = api.submit("warehouse")
    view = api.until(job, "failed")
    assert words in view["last"]["message"]
    assert api.until(following, "done")["files"]


def test_one_job_at_a_time_and_a_bounded_queue(tmp_path):
    """A second job waits for the first; when the queue is full the next is refused until a place is free."""
    with served(tmp_path, queue_length=2) as api:
        first = api.submit("wait")
        api.until(first, "running")
        second, third = api.submit("b"), api.submit("c")
        assert [api.json("GET", f"/jobs/{job}")["position"] for job in (first, second, third)] == [None, 0, 1]
        status, headers, body = api("POST", "/jobs", {"prompt": "d"})
        assert (status, headers["retry-after"]) == (429, "60")
        assert b"2 jobs are waiting" in body
        assert api.json("POST", f"/jobs/{second}/cancel")["state"] == "cancelled"
        fourth = api.submit("d")
        assert api.json("GET", f"/jobs/{first}")["state"] == "running"
        api.json("POST", f"/jobs/{first}/cancel")
        started = [api.until(job, "done")["started"] for job in (third, fourth)]
        assert started == sorted(started)
        assert [job["id"] for job in api.json("GET", "/jobs")] == [fourth, third, second, first]


def test_two_clients_cancel_the_same_job(api):
    """Both are told yes, the job ends once as cancelled, and cancelling it again changes nothing."""
    job = api.submit("stubborn")
    api.until_stage(job, "teacher")
    answers: list[str] = []
    clients = [
        threading.Thread(target=lambda: answers.append(api.json("POST", f"/jobs/{job}/cancel")["state"]))
        for _ in range(2)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert set(answers) <= {"cancelling", "cancelled"}
    assert len(answers) == 2
    pid = json.loads(api("GET", f"/jobs/{job}/files/pid.json")[2])
    os.killpg(pid, signal.SIGKILL)  # Saves the grace that a stubborn child gets.
    assert api.until(job, "cancelled")["last"]["cancelled"] is True
    assert api.json("POST", f"/jobs/{job}/cancel")["state"] == "cancelled"
    stream = api("GET", f"/jobs/{job}/events")[2]
    assert stream.count(b'"cancelled": true') == 1


def test_finished_jobs_can_be_deleted_and_old_ones_go(tmp_path):
    """A running job cannot be deleted, a finished one can with its files, and only so many are kept."""
    with served(tmp_path, keep_jobs=2) as api:
        running = api.submit("wait")
        api.until(running, "running")
        assert api("DELETE", f"/jobs/{running}")[0] == 409
        api.json("POST", f"/jobs/{running}/cancel")
        api.until(running, "cancelled")
        assert api("DELETE", f"/jobs/{running}")[0] == 204
        assert api("GET", f"/jobs/{running}")[0] == 404
        jobs = [api.submit(f"number {count}") for count in range(4)]
        api.until(jobs[-1], "done")
        deadline = time.monotonic() + 60
        while sorted(path.name for path in (tmp_path / "jobs").iterdir()) != sorted(jobs[-2:]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert api("GET", f"/jobs/{jobs[0]}/files/scene.usdz")[0] == 404


# Inputs


def test_a_2_gb_upload_is_refused_before_it_is_sent(api):
    """The refusal comes after the headers alone, and the connection is closed."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as connection:
        began = time.monotonic()
        head = (
            "POST /uploads HTTP/1.1",
            "Host: 127.0.0.1",
            "Content-Type: image/png",
            f"Content-Length: {2 << 30}",
        )
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
        assert time.monotonic() - began < 20
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"2147483648 bytes; at most 536870912" in answer


def test_an_upload_without_a_length_is_stopped_at_the_limit(tmp_path, monkeypatch):
    """A chunked body that grows past the limit is refused, and nothing of it stays."""
    monkeypatch.setenv("FAKE_DOCTOR", WITH_IMAGE)
    with served(tmp_path, max_upload_bytes=100_000) as api:
        api.json("GET", "/capabilities")
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=60)
        with contextlib.closing(connection), contextlib.suppress(BrokenPipeError, ConnectionResetError):
            chunks = (b"x" * 50_000 for _ in range(3))
            connection.request("POST", "/uploads", chunks, {"Content-Type": "image/png"}, encode_chunked=True)
            assert connection.getresponse().status == 413
        deadline = time.monotonic() + 60
        while list((tmp_path / "uploads").iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        status, _, _ = api("POST", "/uploads", b"x" * 90_000, {"Content-Type": "image/png"})
        assert status == 201


def test_a_picture_reaches_the_child_under_a_name_of_ours(tmp_path, monkeypatch):
    """An uploaded picture is handed to the child from the job's folder, once, and is not offered for download."""
    monkeypatch.setenv("FAKE_DOCTOR", WITH_IMAGE)
    with served(tmp_path) as api:
        _, _, body = api("POST", "/uploads", PICTURE.read_bytes(), {"Content-Type": "image/png"})
        upload = json.loads(body)
        assert upload["bytes"] == PICTURE.stat().st_size
        job = api.json("POST", "/jobs", {"image": upload["id"]}, status=202)["id"]
        view = api.until(job, "done")
        scene = api("GET", f"/jobs/{job}/files/scene.usdz")[2].decode()
        assert f"{tmp_path}/jobs/{job}/input-{upload['id'][:8]}.png" in scene
        assert not [name for name in view["files"] if "input" in name]
        assert api("POST", "/jobs", {"image": upload["id"]})[0] == 404
        assert api("POST", "/uploads", b"<svg/>", {"Content-Type": "image/svg+xml"})[0] == 415


def test_a_job_takes_all_its_uploads_or_none(tmp_path, monkeypatch):
    """A job whose depth is gone, or is its picture, leaves the picture for the next job and no folder."""
    monkeypatch.setenv("FAKE_DOCTOR", WITH_IMAGE)
    with served(tmp_path) as api:
        _, _, body = api("POST", "/uploads", PICTURE.read_bytes(), {"Content-Type": "image/png"})
        picture = json.loads(body)["id"]
        for depth in ("a" * 32, picture):
            status, _, body = api("POST", "/jobs", {"image": picture, "depth": depth})
            assert (status, json.loads(body)["detail"][:15]) == (404, "depth: no such ")
        assert not (tmp_path / "jobs").exists() or not list((tmp_path / "jobs").iterdir())
        api.until(api.json("POST", "/jobs", {"image": picture}, status=202)["id"], "done")


def test_an_upload_that_goes_meanwhile_leaves_the_others(tmp_path, monkeypatch):
    """When a file disappears between looking and moving, those that were moved go back."""
    uploads = Uploads(tmp_path / "uploads")
    ids = {"image": "a" * 32, "depth": "b" * 32}
    for upload in ids.values():
        (tmp_path / "uploads" / f"{upload}.png").write_bytes(b"x")
    replace = os.replace

    def race(source, target):
        if "b" * 32 in str(source):
            Path(source).unlink()
        replace(source, target)

    monkeypatch.setattr(os, "replace", race)
    with pytest.raises(LookupError, match="depth"):
        uploads.take(ids, tmp_path / "job")
    assert [p.name for p in tmp_path.rglob("*")] == ["uploads", f"{'a' * 32}.png"]


def test_depth_and_lens_travel_with_a_picture(tmp_path, monkeypatch):
    """The client uploads picture and depth; the child gets both under names of ours, and the lens as it was given."""
    monkeypatch.setenv("FAKE_DOCTOR", WITH_IMAGE)
    depth = tmp_path / "depth.npz"
    depth.write_bytes(b"any bytes")
    request = {
        "image": str(PICTURE),
        "depth": str(depth),
        "depth_unit": "mm",
        "intrinsics": "500,500.5,320,240",
    }
    with served(tmp_path / "data") as api:
        generate_remote(api.url, {**request, "teacher": "warp", "movement": 0.5}, out=tmp_path / "s.usdz")
    scene = (tmp_path / "s.usdz").read_text()
    assert re.search(r"--depth=[^ ]*/jobs/[0-9a-f]{32}/input-[0-9a-f]{8}\.npz", scene)
    for word in ("--depth-unit=mm", "--intrinsics=500,500.5,320,240", "--teacher=warp", "--movement=0.5"):
        assert word in scene
    assert str(depth) not in scene


def test_depth_and_poses_travel_with_a_video(tmp_path, monkeypatch):
    """The client uploads video, depth and poses; the child gets them under names of ours, and the frame to take."""
    facts = json.loads(WITH_IMAGE)
    facts["gen_options"] += ["--video", "--depth-video", "--video-cameras", "--time"]
    monkeypatch.setenv("FAKE_DOCTOR", json.dumps(facts))
    files = {"video": "clip.mp4", "depth_video": "depth.npz", "video_cameras": "poses.txt"}
    for name in files.values():
        (tmp_path / name).write_bytes(b"any bytes")
    request = {field: str(tmp_path / name) for field, name in files.items()}
    with served(tmp_path / "data") as api:
        generate_remote(api.url, {**request, "time": 12.0}, out=tmp_path / "s.usdz")
    scene = (tmp_path / "s.usdz").read_text()
    for option, suffix in (("video", "mp4"), ("depth-video", "npz"), ("video-cameras", "txt")):
        assert re.search(rf"--{option}=[^ ]*/jobs/[0-9a-f]{{32}}/input-[0-9a-f]{{8}}\.{suffix}", scene)
    assert "--time=12" in scene


@pytest.mark.parametrize(
    "fields",
    [
        {"depth": "a" * 32},
        {"intrinsics": "500,500,320,240"},
        {"camera_height": 1.5},
        {"image": "a" * 32, "depth_unit": "mm"},
        {"image": "a" * 32, "intrinsics": "/etc/passwd"},
        {"image": "a" * 32, "intrinsics": "1,2,3,4 --out x"},
        {"image": "a" * 32, "movement": 0},
        {"image": "a" * 32, "teacher": "../x"},
        {"image": "a" * 32, "depth": "/etc/passwd"},
        {"image": "a" * 32, "video_cameras": "a" * 32},
        {"video": "a" * 32, "depth": "a" * 32},
        {"video": "a" * 32, "video_frames": "0:9 --out x"},
        {"video": "a" * 32, "time": -1},
    ],
)
def test_picture_options_are_checked(api, fields):
    """Depth and lens without a picture, paths in place of numbers, and other nonsense are refused at once."""
    assert api("POST", "/jobs", {"prompt": "x", **fields})[0] == 422


def test_what_lyra_sim_lacks_is_refused_with_the_reason(api):
    """An input or an option that the server's lyra-sim does not have is refused at once, not in the queue."""
    status, _, body = api("POST", "/uploads", PICTURE.read_bytes(), {"Content-Type": "image/png"})
    assert (status, json.loads(body)["detail"]) == (409, "lyra-sim 0.1.0 has no --image yet")
    status, _, body = api("POST", "/jobs", {"prompt": "x", "size": "full"})
    assert (status, b"no CUDA GPU" in body) == (409, True)
    assert api("POST", "/jobs", {"prompt": "x", "target": "isaac-6"})[0] == 202


def test_no_path_of_a_client_is_opened(api):
    """Names that lead elsewhere are not found, as file names, as job ids and as uploads."""
    job = api.submit("x")
    api.until(job, "done")
    for name in (
        "../../jobs.sqlite",
        "..%2f..%2fjobs.sqlite",
        "%2fetc%2fpasswd",
        "..",
        ".",
        "",
        "scene.usdz/..",
        "%00",
    ):
        assert api("GET", f"/jobs/{job}/files/{name}")[0] == 404, name
        assert api("GET", f"/jobs/{name}%2f{job}")[0] in (404, 422), name
    assert api("POST", "/jobs", {"image": f"../{'a' * 29}"})[0] == 422


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "Nothing to make"),
        ({"prompt": " "}, "Nothing to make"),
        ({"prompt": "x" * 10_001}, "10000"),
        ({"prompt": "a\0b"}, "pattern"),
        ({"prompt": "x", "seed": -1}, "greater"),
        ({"prompt": "x", "out": "/etc/passwd"}, "Extra"),
        ({"prompt": "x", "size": "huge"}, "mini"),
        ({"prompt": "x", "target": "../a"}, "pattern"),
    ],
)
def test_bad_jobs_are_refused(guarded, body, words):
    """A job that makes no sense is refused with the reason."""
    status, _, answer = guarded("POST", "/jobs", body)
    assert (status, words in answer.decode()) == (422, True), answer


def test_the_description_lists_the_options_of_gen():
    """Jobs have exactly the fields of a request for `lyra-sim gen`, and the same trajectories."""
    from dataclasses import fields
    from typing import get_args

    from lyra_sim.jobs import TRAJECTORIES, GenRequest
    from lyra_sim.server.schema import JobRequest, Trajectory

    assert list(JobRequest.model_fields) == [field.name for field in fields(GenRequest)]
    assert get_args(Trajectory) == TRAJECTORIES


def test_a_long_body_is_refused(guarded):
    """Bodies of jobs are bounded, whatever they hold."""
    assert guarded("POST", "/jobs", {"prompt": "x" * 70_000})[0] == 413


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["prompt", "image", "video", "seed", "trajectories", "target", "collider", "novel"])


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.dictionaries(FIELDS, ANYTHING, max_size=4) | ANYTHING,
    path=st.sampled_from(
        ["/jobs", "/jobs/{}", "/jobs/{}/cancel", "/jobs/{}/events", "/jobs/{}/files/{}", "/{}"]
    ),
    part=st.text("0123456789abcdef/.%- é", max_size=40),
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT"]),
)
def test_any_request_gets_a_documented_answer(guarded, body, path, part, method):
    """No method, path or body makes the server fail: the answer is one that its description lists, as JSON."""
    from urllib.parse import quote

    if method == "POST" and path == "/jobs":
        # Always invalid, so that no job starts.
        body = {**body, "size": "none"} if isinstance(body, dict) else body
    status, headers, answer = guarded(method, path.replace("{}", quote(part, safe="/%")), body)
    assert status in {200, 400, 404, 405, 307, 422}, (status, answer)
    assert status == 307 or headers["content-type"] == "application/json"


# Restarts


def start_server(data: Path) -> tuple[subprocess.Popen, Api]:
    """Start `lyra-sim serve` as a process of its own."""
    code = (
        "import argparse, dataclasses\n"
        "from lyra_sim.commands import serve\n"
        "from lyra_sim.server import config\n"
        "real = config.ServerConfig\n"
        f"config.ServerConfig = lambda **fields: real(**fields, command={FAKE!r})\n"
        "parser = argparse.ArgumentParser()\n"
        "serve.add_parser(parser.add_subparsers())\n"
        f"args = parser.parse_args(['serve', '--port', '0', '--data', {os.path.relpath(data)!r}])\n"
        "import signal\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the command line does\n"
        "raise SystemExit(args.run(args))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    assert "http://127.0.0.1:" in line, line + process.stderr.read()
    return process, Api(int(line.split("127.0.0.1:")[1].split()[0]))


def test_states_survive_a_killed_server(tmp_path):
    """After kill -9 in mid-job: the running job failed with the reason and its child is gone, the rest goes on."""
    process, api = start_server(tmp_path)
    try:
        done = api.submit("first")
        api.until(done, "done")
        running, waiting = api.submit("stubborn"), api.submit("third")
        api.until_stage(running, "teacher")
        child = json.loads(api("GET", f"/jobs/{running}/files/pid.json")[2])
    finally:
        process.kill()
        process.communicate()
    process, api = start_server(tmp_path)
    try:
        view = api.json("GET", f"/jobs/{running}")
        assert (view["state"], "restarted" in view["last"]["message"]) == ("failed", True)
        assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text()
        api.until(waiting, "done")
        assert b"first" in api("GET", f"/jobs/{done}/files/scene.usdz")[2]
    finally:
        process.terminate()
        assert (
            process.communicate(timeout=60)[1] == f"Ending process group {child}, left by an earlier server\n"
        )
        assert process.returncode == 0


def test_a_stopped_server_ends_its_job(tmp_path):
    """Ctrl-C ends the running child and marks its job; a waiting job runs after the next start."""
    with served(tmp_path) as api:
        running, waiting = api.submit("wait"), api.submit("b")
        api.until_stage(running, "teacher")
    with served(tmp_path) as api:
        view = api.json("GET", f"/jobs/{running}")
        assert (view["state"], "stopped" in view["last"]["message"]) == ("failed", True)
        api.until(waiting, "done")


def test_two_servers_cannot_share_a_folder(tmp_path):
    """The second server on a data folder is refused with the reason."""
    with served(tmp_path), pytest.raises(LyraSimError, match="another `lyra-sim serve`"):
        create_app(ServerConfig(data=tmp_path, command=FAKE))


# The client


def test_generate_remote_brings_the_scene_here(guarded, tmp_path):
    """The client follows the job, and scene, picture and previews lie on this machine under the asked names."""
    messages: list = []
    out = tmp_path / "here.usdz"
    result = generate_remote(
        guarded.url, {"prompt": "preview please", "seed": 3}, out=out, token=TOKEN, on_message=messages.append
    )
    assert (result["type"], result["scene"], result["preview"]) == (
        "result",
        str(out),
        str(tmp_path / "here.png"),
    )
    assert b"--seed=3" in out.read_bytes()
    assert [m.preview for m in messages if isinstance(m, Progress) and m.preview] == [
        str(tmp_path / "here.preview.png")
    ]
    assert isinstance(messages[-1], Result)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here.png", "here.usdz"]


@pytest.mark.parametrize(
    ("request_", "token", "words"),
    [
        ({"prompt": "fail"}, TOKEN, "CUDA out of memory"),
        ({"prompt": ""}, TOKEN, "422 .*Nothing to make"),
        ({"prompt": "x"}, "wrong", "401 Send the server's token"),
        ({"prompt": "x"}, None, "401 Send the server's token"),
        ({"prompt": "x", "image": "/nowhere.png"}, TOKEN, "cannot be read"),
        ({"prompt": "x", "image": "/etc/passwd"}, TOKEN, "not a kind of file"),
        ({"prompt": "x", "image": str(PICTURE)}, TOKEN, "no --image yet"),
    ],
)
def test_generate_remote_says_what_went_wrong(guarded, request_, token, words, tmp_path):
    """Refusals and failures of the server are one line for the user, and nothing is left here."""
    with pytest.raises(LyraSimError, match=words):
        generate_remote(guarded.url, request_, out=tmp_path / "s.usdz", token=token)
    assert not list(tmp_path.iterdir())


def test_a_large_picture_is_not_even_sent(tmp_path, monkeypatch):
    """The client asks for the limit first, so that the user reads it and does not wait."""
    monkeypatch.setenv("FAKE_DOCTOR", WITH_IMAGE)
    with (
        served(tmp_path / "data", max_upload_bytes=10) as api,
        pytest.raises(LyraSimError, match="at most 10 bytes"),
    ):
        generate_remote(api.url, {"image": str(PICTURE)}, out=tmp_path / "s.usdz")


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8765", "", "http://", "file:///etc/passwd"])
def test_addresses_are_checked(url, tmp_path):
    """Only http and https addresses are used."""
    with pytest.raises(LyraSimError, match="write it like"):
        generate_remote(url, {"prompt": "x"}, out=tmp_path / "s.usdz")


def test_a_server_that_is_not_there_is_one_line(tmp_path):
    """An address where nobody listens gives one line."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(LyraSimError, match="cannot be reached"):
        generate_remote(f"http://127.0.0.1:{port}", {"prompt": "x"}, out=tmp_path / "s.usdz")


def test_the_token_is_not_sent_to_another_address(tmp_path):
    """A redirect is an error, not a second request that carries the token."""
    asked = []

    class Redirect(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere")
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(LyraSimError, match="307"):
            generate_remote(
                f"http://127.0.0.1:{server.server_port}", {"prompt": "x"}, out=tmp_path / "s", token=TOKEN
            )
        server.shutdown()
    assert asked == ["/jobs"]


def test_stopping_the_client_cancels_the_job(api, tmp_path):
    """Ctrl-C in the client, and cancelling a followed job, both end the job on the server."""

    def interrupt(message):
        if message.stage == "teacher":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_remote(api.url, {"prompt": "wait"}, out=tmp_path / "s.usdz", on_message=interrupt)
    messages: list = []
    reached = threading.Event()

    def receive(message):
        messages.append(message)
        if isinstance(message, Progress) and message.stage == "teacher":
            reached.set()

    job = RemoteJob(api.url, {"prompt": "wait"}, out=tmp_path / "s.usdz", token=None, on_message=receive)
    assert reached.wait(60)
    job.close()
    assert job.done.is_set()
    assert job.outcome == messages[-1]
    assert isinstance(job.outcome, Failure)
    assert job.outcome.cancelled
    for view in api.json("GET", "/jobs")[:2]:
        api.until(view["id"], "cancelled")


def test_the_client_outlives_a_restart(tmp_path):
    """A client that follows a job while the server is killed and comes back learns what became of the job."""
    process, api = start_server(tmp_path / "data")
    messages: list = []
    job = RemoteJob(
        api.url, {"prompt": "wait"}, out=tmp_path / "s.usdz", token=None, on_message=messages.append
    )
    try:
        deadline = time.monotonic() + 60
        while not (messages and messages[-1].stage == "teacher"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
        process.communicate()
    with served_again(tmp_path / "data", api.port):
        assert job.done.wait(60)
    assert "restarted" in job.outcome.message


@contextlib.contextmanager
def served_again(data: Path, port: int) -> Iterator[None]:
    """Run a server on a port that was used just before."""
    config = ServerConfig(data=data, port=port, command=FAKE)
    listener = serve.bind(config.host, config.port)
    server = uvicorn.Server(
        uvicorn.Config(create_app(config), log_level="critical", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()


# The command


def arguments(*words: str) -> argparse.Namespace:
    """Parse a `serve` command line."""
    parser = argparse.ArgumentParser()
    serve.add_parser(parser.add_subparsers())
    return parser.parse_args(["serve", *words])


def test_serve_refuses_what_is_unsafe_or_impossible(tmp_path, monkeypatch):
    """No token on an open address, an empty token file, a taken port and an unwritable folder are one line each."""
    monkeypatch.delenv("LYRA_SIM_TOKEN", raising=False)
    empty = tmp_path / "empty"
    empty.write_text("\n")
    cases = [
        (("--host", "0.0.0.0"), "a token is needed"),
        (("--token-file", str(empty)), "is empty"),
        (("--token-file", str(tmp_path / "none")), "cannot be read"),
        (("--queue", "0"), "--queue 0"),
        (("--port", "70000"), "65535"),
        (("--data", "/dev/null/x", "--port", "0"), "--data"),
    ]
    for words, expected in cases:
        args = arguments(*words)
        with pytest.raises(LyraSimError, match=expected):
            args.run(args)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        args = arguments("--port", str(taken.getsockname()[1]), "--data", str(tmp_path))
        with pytest.raises(LyraSimError, match="cannot be bound"):
            args.run(args)


def test_the_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    """Both sources are read and trimmed; the file wins."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("LYRA_SIM_TOKEN", " other-token-from-here ")
    assert serve.read_token(file) == TOKEN
    assert serve.read_token(None) == "other-token-from-here"
    monkeypatch.delenv("LYRA_SIM_TOKEN")
    assert serve.read_token(None) is None
