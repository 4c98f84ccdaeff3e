"""Networks are loaded once: by a worker for all its scenes, with the results of a process that loads them anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import generator.generate as chain
from generator.networks import Networks
from generator.sizes import MINI, Size
from generator.weights import checkpoint
from lyra_sim.batch import make
from lyra_sim.batch.scenes import PlannedScene
from lyra_sim.batch.spec import Make
from lyra_sim.batch.work import SCENE, Task
from tests.picture_files import room_picture

TINY = dataclasses.replace(MINI, height=64, width=112, frames=9)


def test_what_is_kept_is_loaded_once() -> None:
    """Show that the same arguments load once where networks are kept, others load anew, and else nothing stays."""
    loads = []

    def load(name: str, *, size: Size) -> list[str]:
        loads.append((name, size))
        return [name]

    kept, single = Networks(keep=True), Networks()
    assert kept.once(load, "a", size=MINI) is kept.once(load, "a", size=dataclasses.replace(MINI))
    assert kept.once(load, "a", size=TINY) is not kept.once(load, "b", size=MINI)
    assert loads == [("a", MINI), ("a", TINY), ("b", MINI)]
    assert single.once(load, "a", size=MINI) is not single.once(load, "a", size=MINI)


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a photograph of a room; run the chain on small frames, and let no trajectory be taken from disk."""
    monkeypatch.setattr(chain, "resolve", lambda *_: TINY)
    monkeypatch.setenv("LYRA_SIM_TRAJECTORIES", str(tmp_path / "jobs"))
    Image.fromarray(room_picture(wall=6.0, pitch=10.0).rgb).save(tmp_path / "room.png")
    return tmp_path / "room.png"


def _worker(folder: Path, picture: Path, teacher: str | None) -> Callable[[int], bytes]:
    """Return what makes the scene of a seed as a worker of a batch does."""
    settings = Make(size="mini", teacher=teacher, trajectories=["left"], collider="none", preview=False)
    recipe = {"make": settings.model_dump(mode="json")}
    scene = PlannedScene("id", "", 0, {}, str(picture), "0" * 64, None)

    def scene_of(seed: int) -> bytes:
        made = folder / f"{seed}"
        made.mkdir(parents=True)
        make.generate_scene(Task(scene, recipe, str(folder)), seed, made)
        return (made / SCENE).read_bytes()

    return scene_of


@pytest.mark.parametrize(("teacher", "networks"), [("mini", 6), ("warp", 3)])
def test_the_second_scene_of_a_worker_loads_nothing(
    teacher: str, networks: int, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show that a worker reads no weights after its first picture, and that later scenes equal a fresh worker's."""
    read, reads = checkpoint.load, []

    def count(data: bytes) -> object:
        reads.append(len(data))
        return read(data)

    monkeypatch.setattr(checkpoint, "load", count)
    make._networks.cache_clear()
    scene_of = _worker(tmp_path / "kept", picture, teacher)
    first = scene_of(0)
    # Tokenizer, decoder and depth estimator; the teacher's denoiser, compositor and own copy of the tokenizer.
    assert len(reads) == networks
    second = scene_of(1)
    assert len(reads) == networks
    assert second != first
    make._networks.cache_clear()
    monkeypatch.setenv("LYRA_SIM_TRAJECTORIES", str(tmp_path / "other jobs"))
    assert _worker(tmp_path / "fresh", picture, teacher)(1) == second
    assert len(reads) == 2 * networks
    make._networks.cache_clear()
