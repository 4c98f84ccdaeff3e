"""Trajectories that were finished before a run broke off."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from generator.teachers import resume
from generator.teachers.resume import Job, job_key
from lyra_sim.errors import LyraSimError

INPUTS = {"teacher": "gen3c", "seed": 3}
ARRAYS = {"rgb": np.arange(12, dtype=np.uint8).reshape(2, 2, 3)}
LATENTS = {"latents": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4)}


def test_a_second_run_finds_what_the_first_finished(tmp_path: Path) -> None:
    """The arrays come back bit for bit, and only for the trajectories that were saved."""
    Job.open(INPUTS, ARRAYS, root=tmp_path).save("left", LATENTS, frames=121)
    again = Job.open(dict(reversed(INPUTS.items())), ARRAYS, root=tmp_path)
    assert again.finished() == ("left",)
    loaded = again.load("left")
    assert loaded is not None
    assert loaded["latents"].dtype == np.float32
    np.testing.assert_array_equal(loaded["latents"], LATENTS["latents"])
    assert again.load("right") is None


def test_every_input_counts() -> None:
    """Another seed, pixel, type or shape is another job."""
    flat = {"rgb": ARRAYS["rgb"].reshape(-1)}
    other = {"rgb": ARRAYS["rgb"] + np.uint8(1)}
    wide = {"rgb": ARRAYS["rgb"].astype(np.int16)}
    keys = {job_key(INPUTS, a) for a in (ARRAYS, flat, other, wide, {})}
    assert len(keys | {job_key(INPUTS | {"seed": 4}, ARRAYS)}) == 6


@pytest.mark.parametrize("damage", ["cut", "changed", "card", "lost"])
def test_damaged_trajectories_are_made_again(tmp_path: Path, damage: str) -> None:
    """A file that is cut off, changed or missing counts as not finished, and can be saved anew."""
    job = Job.open(INPUTS, ARRAYS, root=tmp_path)
    job.save("left", LATENTS)
    data = job.folder / "left.safetensors"
    if damage == "cut":
        data.write_bytes(data.read_bytes()[:-8])
    elif damage == "changed":
        data.write_bytes(data.read_bytes()[:-1] + b"\x7f")
    elif damage == "card":
        (job.folder / "left.json").write_text("{")
    else:
        data.unlink()
    assert job.load("left") is None
    job.save("left", LATENTS)
    assert job.load("left") is not None


def test_old_jobs_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the newest few, jobs that nothing touched for an hour are deleted; foreign folders stay."""
    monkeypatch.setattr(resume, "KEPT_JOBS", 2)
    (tmp_path / "holiday").mkdir()
    jobs = [Job.open({"n": n}, {}, root=tmp_path) for n in range(4)]
    assert all(job.folder.is_dir() for job in jobs)
    for age, job in enumerate(reversed(jobs), start=1):
        os.utime(job.folder, (0, 1e9 - age))
    Job.open({"n": 3}, {}, root=tmp_path)
    assert [job.folder.is_dir() for job in jobs] == [False, False, True, True]
    assert (tmp_path / "holiday").is_dir()


def test_discarded_jobs_are_gone_and_can_start_over(tmp_path: Path) -> None:
    """Nothing is left of a discarded job, and a run that still holds it can go on saving."""
    job = Job.open(INPUTS, ARRAYS, root=tmp_path)
    job.save("left", LATENTS)
    job.discard()
    assert job.load("left") is None
    job.save("left", LATENTS)
    assert job.finished() == ("left",)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Where a file stands in the way, one line says which variable moves the folder."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(LyraSimError, match="set LYRA_SIM_TRAJECTORIES"):
        Job.open(INPUTS, ARRAYS, root=tmp_path / "file")
