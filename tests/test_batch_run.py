"""Running batches: what they leave, and that nothing stops them from being finished later."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import batch_fakes
import numpy as np
import pytest
from batch_fakes import GENERATE, Inline
from interrupts import heed_interrupts
from PIL import Image

from lyra_sim.batch import driver, manifest
from lyra_sim.batch.driver import Options, run_batch
from lyra_sim.batch.engines import Engine
from lyra_sim.batch.engines.pool import ProcessPool, thread_variables
from lyra_sim.batch.expand import expand
from lyra_sim.batch.folder import BatchFolder
from lyra_sim.batch.journal import Journal
from lyra_sim.batch.spec import load_spec
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress

HERE = Path(__file__).parent
GOOD = "version: 1\nscenes:\n - prompts: [kitchen, laboratory]\n   seeds: 2\n"


def run(
    folder: Path,
    text: str = GOOD,
    *,
    engine: Callable[[], Engine] = Inline,
    limit: int | None = None,
    out: str = "out",
) -> dict[str, Any]:
    """Run a batch with the fake generator."""
    path = folder / "spec.yaml"
    path.write_text(text)
    plan = expand(*load_spec(path), resolve_size=lambda size: "mini")
    progress = Progress("none", {"plan": 0.0, "scenes": 1.0})
    return run_batch(plan, folder / out, engine, progress, options=Options(limit=limit, generate=GENERATE))


def pool() -> ProcessPool:
    """Return a pool of two single-threaded workers."""
    return ProcessPool([thread_variables(1)] * 2)


def hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every file that a batch leaves, its record of events aside."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("journal.jsonl", ".lock")
    }


def events(folder: Path) -> list[dict[str, Any]]:
    """Return the journal."""
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the good batch once in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(folder)["made"] == 4
    return folder / "out"


def test_a_batch_leaves_scenes_manifest_and_page(undisturbed: Path) -> None:
    """Show every file of a finished batch, and that nothing else is left."""
    top = sorted(p.name for p in undisturbed.iterdir())
    assert top == [
        ".lock",
        "index.html",
        "journal.jsonl",
        "manifest.jsonl",
        "manifest.parquet",
        "scenes",
        "spec.yaml",
    ]
    scenes = list((undisturbed / "scenes").iterdir())
    assert len(scenes) == 4
    expected = [
        "collider.usdc",
        "map.pgm",
        "map.yaml",
        "preview.png",
        "report.json",
        "scene.usdz",
        "thumbnail.jpg",
    ]
    assert sorted(p.name for p in scenes[0].iterdir()) == expected


def test_the_manifest_says_what_each_scene_is(undisturbed: Path) -> None:
    """Show that a row has the right hashes, the metrics and the licence, and that Parquet says the same."""
    from pyarrow import parquet

    rows = manifest.read_manifest(undisturbed)
    assert [(r["prompt"], r["seed"]) for r in rows] == [
        (p, s) for p in ("kitchen", "laboratory") for s in (0, 1)
    ]
    for row in rows:
        for name, facts in row["files"].items():
            content = (undisturbed / "scenes" / row["id"] / name).read_bytes()
            assert (hashlib.sha256(content).hexdigest(), len(content)) == (facts["sha256"], facts["bytes"])
        assert row["metrics"]["psnr_db"] == 24.5
        assert row["licences"] == ["Apache-2.0"]
        assert len(row["spawn_points"]) == 16
    table = parquet.read_table(undisturbed / "manifest.parquet").to_pylist()
    assert [r["id"] for r in table] == [r["id"] for r in rows]
    assert table[0]["free_floor_m2"] == rows[0]["metrics"]["free_floor_m2"]
    assert table[0]["spawn_points"] == rows[0]["spawn_points"]


def test_the_page_holds_its_data(undisturbed: Path) -> None:
    """Show that the page has all scenes inside, that its pictures exist, and that it fetches nothing."""
    page = (undisturbed / "index.html").read_text()
    data = json.loads(page.split("const DATA = ", 1)[1].split(";\n", 1)[0])
    assert len(data["scenes"]) == 4
    for scene in data["scenes"]:
        with Image.open(undisturbed / scene["picture"]) as picture:
            assert picture.size == (640, 197)
        assert (undisturbed / scene["file"]).is_file()
    assert "http" not in page.replace("https://json-schema.org", "")


def test_a_prompt_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    """Show that markup in a prompt stays text."""
    run(tmp_path, "version: 1\nscenes:\n - prompts: ['kitchen </script><script>alert(1)</script>']\n")
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("</script>") == 1
    assert page.count("<script>") == 1


def test_running_again_changes_nothing(undisturbed: Path, tmp_path: Path) -> None:
    """Show that a finished batch is left as it is, byte by byte, and that no worker starts."""
    shutil.copytree(undisturbed, tmp_path / "out")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "scenes").rglob("*")}

    def no_engine() -> Engine:
        raise AssertionError("nothing is to be made")

    result = run(tmp_path, engine=no_engine)
    assert (result["done"], result["made"]) == (4, 0)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "scenes").rglob("*")} == before
    assert hashes(tmp_path / "out") == hashes(undisturbed)


def test_limit_makes_a_few_and_the_next_run_the_rest(undisturbed: Path, tmp_path: Path) -> None:
    """Show that runs of one, two and the rest end with the same files as one run."""
    assert run(tmp_path, limit=1)["done"] == 1
    assert len(manifest.read_manifest(tmp_path / "out")) == 1
    assert run(tmp_path, limit=2)["made"] == 2
    assert run(tmp_path)["made"] == 1
    assert hashes(tmp_path / "out") == hashes(undisturbed)


def test_processes_make_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    """Show that the process pool leaves what one process leaves, and no process of its own."""
    engine = pool()
    assert run(tmp_path, engine=lambda: engine)["made"] == 4
    assert hashes(tmp_path / "out") == hashes(undisturbed)
    assert engine.pids == []


def test_a_dead_worker_costs_its_scene_a_second_try_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show that a scene whose worker is killed is made by another, and one that kills every worker is given up."""
    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setenv("FAKE_NOTES", str(notes))
    result = run(tmp_path, "version: 1\nscenes:\n - prompts: [diesonce a, die b, kitchen]\n", engine=pool)
    assert (result["done"], result["failed"]) == (2, 1)
    assert Counter(e["event"] for e in events(tmp_path / "out")) == {"lost": 4, "made": 2, "failed": 1}
    failed = next(e for e in events(tmp_path / "out") if e["event"] == "failed")
    assert "signal 9" in failed["reason"]
    assert "3 times" in failed["reason"]


def test_the_gate_rejects_and_tries_further_seeds(tmp_path: Path) -> None:
    """Show that a bad scene is made again with another seed, up to the limit, and that reasons are kept."""
    text = "version: 1\nscenes:\n - prompts: [badfirst x, bad y, kitchen]\nquality: {min_psnr_db: 20, retries: 2}\n"
    result = run(tmp_path, text)
    assert (result["done"], result["rejected"], result["failed"]) == (2, 1, 0)
    second, first = manifest.read_manifest(tmp_path / "out")[::-1]
    assert (first["requested_seed"], len(first["rejected"])) == (0, 1)
    assert first["seed"] != 0
    assert first["rejected"][0]["reasons"] == ["PSNR at held-out cameras [dB] is 12, min_psnr_db 20"]
    assert second["rejected"] == []
    page = (tmp_path / "out" / "index.html").read_text()
    shown = json.loads(page.split("const DATA = ", 1)[1].split(";\n", 1)[0])["scenes"]
    (rejected,) = [scene for scene in shown if scene["state"] == "rejected"]
    with Image.open(tmp_path / "out" / rejected["picture"]) as picture:
        assert picture.size == (640, 197)
    assert [p.stem for p in (tmp_path / "out" / "rejected").iterdir()] == [rejected["id"]]
    again = run(tmp_path, text)
    assert (again["made"], again["rejected"]) == (0, 1)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("min_psnr_db: 25", "PSNR"),
        ("max_collider_gap_cm: 0.5", "between collider and splats"),
        ("max_floor_flatness_cm: 0.1", "floor splats"),
        ("min_free_floor_m2: 50", "free floor"),
        ("min_spawn_points: 17", "collision-free poses"),
        ("min_gaussians: 301", "Gaussians"),
        ("max_gaussians: 299", "Gaussians"),
        ("max_megabytes: 0.001", "size"),
    ],
)
def test_every_limit_rejects(tmp_path: Path, limit: str, reason: str) -> None:
    """Show that each limit alone rejects a scene that misses it, with its reason."""
    run(tmp_path, f"version: 1\nscenes:\n - prompts: [kitchen]\nquality: {{{limit}}}\n")
    (event,) = events(tmp_path / "out")
    assert event["event"] == "rejected"
    assert reason in event["reason"]


def test_failures_are_kept_and_tried_again(tmp_path: Path) -> None:
    """Show that errors of a scene leave the others alone, in one line each, and that the next run tries again."""
    text = "version: 1\nscenes:\n - prompts: [raise a, kitchen]\n"
    for _ in range(2):
        result = run(tmp_path, text)
        assert (result["done"], result["failed"]) == (1, 1)
    failed = [e for e in events(tmp_path / "out") if e["event"] == "failed"]
    assert [e["reason"] for e in failed] == ["internal error: ValueError: no such thing"] * 2


def test_a_reason_that_is_not_the_scene_ends_the_batch(tmp_path: Path) -> None:
    """Show that a batch of which every scene fails alike stops early and says why."""
    text = "version: 1\nscenes:\n - prompts: [refuse]\n   seeds: 100\n"
    with pytest.raises(LyraSimError, match=r"the last 5 scenes all failed, with: the weights are missing"):
        run(tmp_path, text)
    assert len(events(tmp_path / "out")) == 5


def test_a_full_disk_stops_cleanly_and_says_how_much_is_missing(tmp_path: Path) -> None:
    """Show that scenes made before stay, the message has numbers, and the rest is made once there is room."""
    text = "version: 1\nscenes:\n - prompts: [kitchen, full, office]\n"
    with pytest.raises(
        LyraSimError, match=r"disk is full with 1 of 3 scenes done; 2 are missing, they need about 0\.1 MB, "
    ) as error:
        run(tmp_path, text)
    assert str(error.value).endswith("(a worker says: trajectory /cache/left: the disk is full)")
    assert [e["event"] for e in events(tmp_path / "out")] == ["made"]
    assert len(manifest.read_manifest(tmp_path / "out")) == 1
    assert not (tmp_path / "out" / ".work").exists()


def test_little_room_stops_before_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Show that no scene is begun when there is no room for it, by the mean size of those before."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(driver.shutil, "disk_usage", lambda path: usage._replace(free=50_000))
    with pytest.raises(LyraSimError, match=r"with 1 of 4 scenes done; 3 are missing"):
        run(tmp_path)


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    """Show that a folder has one driver, which the refusal of the second names and leaves alone."""
    folder = BatchFolder(tmp_path / "out")
    with folder.locked():
        (folder.work / "half a scene").mkdir()
        with pytest.raises(LyraSimError, match=f"process {os.getpid()} on .* is working on this folder"):
            run(tmp_path)
        assert (folder.work / "half a scene").is_dir()
    assert run(tmp_path)["done"] == 4


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    """Show that a folder which is no batch, a file, and a missing parent are refused, and nothing is touched."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("dear")
    with pytest.raises(LyraSimError, match="is not empty and no batch"):
        run(tmp_path)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.txt"]
    with pytest.raises(LyraSimError, match="is a file"):
        run(tmp_path, out="spec.yaml")
    with pytest.raises(LyraSimError, match="does not exist"):
        run(tmp_path, out="nowhere/out")


def test_another_spec_in_the_folder_adds_its_scenes(undisturbed: Path, tmp_path: Path) -> None:
    """Show that a grown spec keeps what is there, and that scenes of a dropped prompt stay out of the manifest."""
    shutil.copytree(undisturbed, tmp_path / "out")
    result = run(tmp_path, GOOD.replace("[kitchen, laboratory]", "[kitchen, office]"))
    assert (result["done"], result["made"]) == (4, 2)
    assert len(list((tmp_path / "out" / "scenes").iterdir())) == 6
    assert {r["prompt"] for r in manifest.read_manifest(tmp_path / "out")} == {"kitchen", "office"}


DAMAGE = {
    "journal gone": lambda out: (out / "journal.jsonl").write_text(""),
    "journal torn": lambda out: (out / "journal.jsonl").write_bytes(
        (out / "journal.jsonl").read_bytes()[:-100]
    ),
    "journal scribbled on": lambda out: (out / "journal.jsonl").write_text("{}\nnonsense\n[1]\n\x00\n"),
    "manifest gone": lambda out: (out / "manifest.jsonl").unlink(),
    "page emptied": lambda out: (out / "index.html").write_text(""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_scenes_outlive_damage_to_what_is_written_about_them(
    undisturbed: Path, tmp_path: Path, damage: str
) -> None:
    """Show that no scene is made again when journal or manifest are damaged, and that they come out the same."""
    shutil.copytree(undisturbed, tmp_path / "out")
    DAMAGE[damage](tmp_path / "out")
    assert run(tmp_path)["made"] == 0
    assert hashes(tmp_path / "out") == hashes(undisturbed)


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_damaged_scene_is_made_again(undisturbed: Path, tmp_path: Path, damage: str) -> None:
    """Show that a scene with a missing or shortened file is made anew, and comes out the same."""
    shutil.copytree(undisturbed, tmp_path / "out")
    scene = next((tmp_path / "out" / "scenes").iterdir()) / "scene.usdz"
    scene.unlink() if damage == "gone" else scene.write_bytes(scene.read_bytes()[:-1])
    assert run(tmp_path)["made"] == 1
    assert hashes(tmp_path / "out") == hashes(undisturbed)


def test_a_journal_cuts_off_what_a_crash_left_unfinished(tmp_path: Path) -> None:
    """Show that a torn last line is removed before anything is appended after it."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"event":"made","id":"a"}\n{"event":"ma')
    journal = Journal(path)
    journal.append("lost", id="b")
    journal.close()
    assert [e["event"] for e in journal.events] == ["made"]
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["made", "lost"]


MANIFEST_DAMAGE = {
    "not JSON": (lambda text: text[:5] + "}" + text[5:], r"manifest\.jsonl:1:6: not JSON"),
    "not a row": (lambda text: text + "[]\n", r"manifest\.jsonl:5:1: not a row"),
    "no prompt": (
        lambda text: text.replace('"prompt":"laboratory"', '"prompt":3', 1),
        r":3:1: the row has no text 'prompt'",
    ),
    "unknown split": (lambda text: text.replace('"train"', '"exam"', 1), r":1:1: split 'exam' is not one of"),
    "other file": (
        lambda text: text.replace("/scene.usdz", "/../../secret", 1),
        r":1:1: scene '.*secret' is not where",
    ),
    "row twice": (lambda text: text + text.splitlines()[1] + "\n", r":5:1: id .* is in line 2 already"),
}


@pytest.mark.parametrize("damage", MANIFEST_DAMAGE)
def test_a_manifest_damaged_by_hand_is_named_with_its_place(
    undisturbed: Path, tmp_path: Path, damage: str
) -> None:
    """Show that each kind of damage gives one line with line and column, and what to do."""
    shutil.copytree(undisturbed, tmp_path / "out")
    path = tmp_path / "out" / "manifest.jsonl"
    change, expected = MANIFEST_DAMAGE[damage]
    path.write_text(change(path.read_text()))
    with pytest.raises(LyraSimError, match=expected) as error:
        manifest.read_manifest(tmp_path / "out")
    assert "run the batch again, it writes the manifest anew" in str(error.value)


def test_a_manifest_knows_when_a_scene_is_gone(undisturbed: Path, tmp_path: Path) -> None:
    """Show what is said when a scene was deleted, when there is no manifest, and for an unknown split."""
    shutil.copytree(undisturbed, tmp_path / "out")
    next((tmp_path / "out" / "scenes").iterdir()).joinpath("scene.usdz").unlink()
    with pytest.raises(LyraSimError, match=r"scene\.usdz is gone"):
        manifest.read_manifest(tmp_path / "out")
    with pytest.raises(LyraSimError, match="name the output folder"):
        manifest.read_manifest(tmp_path)
    with pytest.raises(LyraSimError, match="choose from train, validation, test"):
        manifest.read_manifest(undisturbed, split="exam")


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import test_batch_run as t
if __name__ == "__main__":
    t.run(Path({folder!r}), {text!r}, engine=t.pool)
"""


def start_driver(folder: Path, text: str) -> subprocess.Popen[bytes]:
    """Start a batch in a process of its own."""
    script = folder / "drive.py"
    script.write_text(DRIVER.format(here=str(HERE), folder=str(folder), text=text))
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"}
    return subprocess.Popen(
        [sys.executable, str(script)], env=environment, stderr=subprocess.PIPE, preexec_fn=heed_interrupts
    )


def wait_for(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Return the child processes of a process (Linux)."""
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_killing_the_driver_loses_only_scenes_in_flight(tmp_path: Path) -> None:
    """Show that after kill -9 no worker is left, what was made stays, and the same command ends with equal files."""
    text = "version: 1\nscenes:\n - prompts: [slow kitchen]\n   seeds: 5\n"
    journal = tmp_path / "out" / "journal.jsonl"
    process = start_driver(tmp_path, text)
    wait_for(lambda: journal.is_file() and journal.read_bytes().count(b"\n") >= 2)
    workers = children(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(Path(f"/proc/{pid}/stat").exists() for pid in workers))
    done = len(list((tmp_path / "out" / "scenes").iterdir()))
    assert 2 <= done < 5
    assert run(tmp_path, text)["made"] == 5 - done
    other = tmp_path / "other"
    other.mkdir()
    run(other, text)
    assert hashes(tmp_path / "out") == hashes(other / "out")


def test_an_interrupt_ends_workers_and_writes_the_manifest(tmp_path: Path) -> None:
    """Show that Ctrl-C in the middle of a scene ends at once, with the manifest of what is done."""
    text = "version: 1\nscenes:\n - prompts: [kitchen, stuck a, stuck b]\n"
    process = start_driver(tmp_path, text)
    journal = tmp_path / "out" / "journal.jsonl"
    wait_for(lambda: journal.is_file() and b"made" in journal.read_bytes())
    workers = children(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert b"interrupted with 1 of 3 scenes done; run the same command again" in said
    assert len(manifest.read_manifest(tmp_path / "out")) == 1
    wait_for(lambda: not any(Path(f"/proc/{pid}/stat").exists() for pid in workers))
    assert not (tmp_path / "out" / ".work").exists()


def test_maps_are_for_the_robot_of_the_spec(tmp_path: Path) -> None:
    """Show that a wider robot finds less floor and that its map carries the spec's resolution."""
    for radius, out in ((0.1, "slim"), (0.8, "wide")):
        text = f"version: 1\nscenes:\n - prompts: [kitchen]\nmaps: {{resolution: 0.1, robot: {{radius: {radius}}}}}\n"
        run(tmp_path, text, out=out)
    slim, wide = (manifest.read_manifest(tmp_path / out)[0] for out in ("slim", "wide"))
    assert slim["metrics"]["free_floor_m2"] > wide["metrics"]["free_floor_m2"] > 0
    assert wide["robot"] == {"radius": 0.8, "height": 1.0, "step": 0.05}
    assert "resolution: 0.1\n" in (tmp_path / "slim" / slim["map"]).read_text()


def test_a_scene_without_splats_on_the_floor_has_no_spawn_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show that floor which nothing shows is unknown, and no robot is put there."""
    original = batch_fakes.room

    def floating(seed: int) -> Any:
        scene = original(seed)
        return type(scene)(
            type(scene.gaussians)(
                **{**vars(scene.gaussians), "means": scene.gaussians.means + np.array([0, 0, 1], np.float32)}
            ),
            scene.collider,
        )

    monkeypatch.setattr(batch_fakes, "room", floating)
    run(tmp_path, "version: 1\nscenes:\n - prompts: [kitchen]\n")
    (row,) = manifest.read_manifest(tmp_path / "out")
    assert row["metrics"]["free_floor_m2"] == 0.0
    assert row["spawn_points"] == []
