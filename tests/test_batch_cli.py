"""The `batch` command, its engines on real clusters, and one real scene from spec to manifest."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from test_batch_run import GOOD, HERE, hashes, run

from lyra_sim.batch import manifest
from lyra_sim.batch.make import generate_scene
from lyra_sim.batch.work import SCENE, Task
from lyra_sim.cli import main
from lyra_sim.commands import batch as command
from lyra_sim.usd.reader import read_usd
from tests.picture_files import room_picture


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """Write a good spec of mini scenes."""
    path = tmp_path / "spec.yaml"
    path.write_text(GOOD + "make: {size: mini}\nsplits: {ratios: {train: 1, test: 1}}\n")
    return path


def test_a_dry_run_says_what_would_be_made(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that a dry run lists scenes and splits, writes nothing, and knows what an earlier run left."""
    assert main(["batch", str(spec), "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "4 scenes of size mini: 2 test, 2 train" in said
    assert "none made yet" in said
    assert said.count("'kitchen'") == 2
    assert [p.name for p in tmp_path.iterdir()] == ["spec.yaml"]
    run(tmp_path, spec.read_text(), limit=1)
    assert main(["batch", str(spec), "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    assert "1 done, 0 rejected, 3 to make: about 0.0 worker hours" in capsys.readouterr().out


def test_a_dry_run_answers_programs_too(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that with --progress json a dry run is one result with the same facts, and tells a folder it cannot use."""
    words = ["batch", str(spec), "--dry-run", "--progress", "json", "--out"]
    assert main([*words, str(tmp_path / "out")]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    assert (record["type"], record["scenes"], record["missing"]) == ("result", 4, 4)
    assert record["splits"] == {"test": 2, "train": 2}
    assert {scene["prompt"] for scene in record["first_scenes"]} == {"kitchen", "laboratory"}
    assert record["message"] == "4 scenes of size mini: 2 test, 2 train"
    assert main([*words, str(tmp_path)]) == 2
    assert "is not empty and no batch" in capsys.readouterr().err


def test_the_schema_is_printed_for_editors(capsys: pytest.CaptureFixture[str]) -> None:
    """Show that --schema prints a JSON Schema that describes the keys of a spec."""
    assert main(["batch", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) == {"version", "scenes", "make", "drop", "splits", "quality", "maps"}
    assert schema["additionalProperties"] is False
    assert all("description" in value for value in schema["properties"].values())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "SPEC.yaml is missing"),
        (["SPEC"], "--out DIR is missing"),
        (["SPEC", "--out", "o", "--workers", "0"], "--workers 0: must be 1 or more"),
        (["SPEC", "--out", "o", "--limit", "-1"], "--limit -1: must be 1 or more"),
        (["SPEC", "--out", "o", "--ray", "auto", "--workers", "2"], "--workers is for this machine"),
        (["nowhere.yaml", "--out", "o"], "cannot read nowhere.yaml"),
        (["SPEC", "--out", "nowhere/o"], "folder"),
    ],
)
def test_wrong_options_are_one_line(
    options: list[str], expected: str, spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that each wrong option ends with status 2 and a line that says what to do."""
    assert main(["batch", *[str(spec) if o == "SPEC" else o for o in options], "--progress", "none"]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("module", ["pydantic", "yaml", "pyarrow", "ray"])
def test_a_missing_library_is_named_with_its_extra(
    module: str,
    spec: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Show that without one of the extra's libraries the command says which and how to install it."""
    monkeypatch.setitem(sys.modules, module, None)
    options = [
        "--out",
        str(tmp_path / "out"),
        "--progress",
        "none",
        *(["--ray", "local"] if module == "ray" else []),
    ]
    assert main(["batch", str(spec), *options]) == 2
    name = "pyyaml" if module == "yaml" else module
    assert f"needs {name}, which is not installed: pip install 'lyra-sim[batch]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_other_commands_need_nothing_of_the_extra() -> None:
    """Show that the command line and Isaac Lab's configurations load without pydantic, YAML, Arrow and Ray."""
    code = (
        "import sys\n"
        "for name in ('pydantic', 'yaml', 'pyarrow', 'ray', 'isaaclab'): sys.modules[name] = None\n"
        "import lyra_sim.lab, lyra_sim.batch.driver, lyra_sim.batch.engines.ray_cluster\n"
        "from lyra_sim.cli import build_parser\n"
        "build_parser()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE.parent)


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show how many workers there are by default and by option, and how many threads each gets."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for workers, expected in ((None, (4, "2")), (8, (8, "1")), (3, (3, "2")), (20, (20, "1"))):
        pool = command.local_pool(workers, gpus=[])
        threads = {slot.environment["OMP_NUM_THREADS"] for slot in pool._slots}
        assert (pool.capacity, threads) == (expected[0], {expected[1]})
    pool = command.local_pool(None, gpus=["0", "3"])
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in pool._slots] == ["0", "3"]


RAY = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
import test_batch_run as t
from lyra_sim.batch.engines.ray_cluster import RayCluster
text = t.GOOD.replace("laboratory", "diesonce") + "maps: {{spawn_points: 3}}\\n"
cluster = lambda: RayCluster("local", gpu=False)
result = t.run(Path({folder!r}), text, engine=cluster)
assert result["made"] == 4, result
"""


def test_ray_makes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Show that a Ray cluster, in which a worker is killed, leaves what one process leaves."""
    notes = tmp_path / "notes"
    notes.mkdir()
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}", "FAKE_NOTES": str(notes)}
    # A busy machine takes longer than Ray's usual minute to start a cluster.
    environment["RAY_raylet_start_wait_time_s"] = "240"
    script = RAY.format(here=str(HERE), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    # Two scenes lost a worker each, so they were begun twice.
    assert len(list(notes.iterdir())) == 6
    # With these notes the scenes that died once do not do so again.
    monkeypatch.setenv("FAKE_NOTES", str(notes))
    other = tmp_path / "other"
    other.mkdir()
    run(other, (tmp_path / "spec.yaml").read_text())
    assert hashes(tmp_path / "out") == hashes(other / "out")


def test_real_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Show that scenes of a prompt and a picture, small, get through measuring, maps, manifest and page."""
    import batch_fakes

    import generator.generate as chain
    from generator.sizes import MINI

    tiny = dataclasses.replace(MINI, height=64, width=112)
    monkeypatch.setattr(chain, "resolve", lambda *_: tiny)
    monkeypatch.setattr(batch_fakes, "generate", generate_scene)
    Image.fromarray(room_picture(wall=6.0, pitch=10.0).rgb).save(tmp_path / "room.png")
    text = "version: 1\nmake: {size: mini, teacher: warp, trajectories: [left]}\n"
    text += "scenes:\n - prompts: [office corridor]\n - pictures: '*.png'\n"
    assert run(tmp_path, text)["done"] == 2
    row, of_picture = manifest.read_manifest(tmp_path / "out")
    assert (row["metric"], row["picture"]) == (True, None)
    assert (of_picture["metric"], of_picture["picture"]) == (False, "room.png")
    assert len(of_picture["picture_sha256"]) == 64
    assert of_picture["metrics"]["free_floor_m2"] > 0
    page = (tmp_path / "out" / "index.html").read_text()
    shown = json.loads(page.split("const DATA = ", 1)[1].split(";\n", 1)[0])["scenes"]
    assert [(s["from"], s["metric"], s["teacher"]) for s in shown] == [
        (None, True, "warp"),
        ("room.png", False, "warp"),
    ]
    scene = read_usd(tmp_path / "out" / row["scene"])
    assert row["metrics"]["gaussians"] == len(scene.gaussians)
    assert row["metrics"]["collider_gap_cm"] > 0
    assert row["metrics"]["psnr_db"] is None
    assert row["provenance"]["prompt"] == "office corridor"
    assert "Apache-2.0" in row["licences"]
    assert row["files"]["preview.png"]["bytes"] > 1000
    assert SCENE in row["files"]
    assert Task.generate == "lyra_sim.batch.make:generate_scene"
