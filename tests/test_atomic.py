"""Files and folders appear whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from lyra_sim import LyraSimError
from lyra_sim.atomic import atomic_folder, atomic_path


def _write_half(target: Path) -> None:
    with atomic_path(target) as path:
        path.write_text("half")
        raise KeyboardInterrupt


def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    """Show that an exception in mid-write keeps what was there before."""
    target = tmp_path / "scene.usdz"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        _write_half(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_success_replaces_the_old_file(tmp_path: Path) -> None:
    """Show that the new content stands in the place of the old, under ordinary permissions."""
    target = tmp_path / "scene.usdz"
    target.write_text("old")
    with atomic_path(target) as path:
        assert path.suffix == ".usdz"
        path.write_text("new")
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o400
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_said_in_a_line(tmp_path: Path) -> None:
    """Show that running out of space names the option, the path and the remedy."""
    with (
        pytest.raises(LyraSimError, match=r"--out .*scene.usdz: the disk is full"),
        atomic_path(tmp_path / "scene.usdz"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_ours_is_replaced_and_any_other_kept(tmp_path: Path) -> None:
    """Show that only a folder that an earlier run made is replaced."""
    ours = tmp_path / "keep"
    for content in ("first", "second"):
        with atomic_folder(ours) as folder:
            (folder / "report.json").write_text(content)
    assert (ours / "report.json").read_text() == "second"
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("precious")
    with pytest.raises(LyraSimError, match="not made by lyra-sim"), atomic_folder(foreign):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["foreign", "keep"]


def test_an_interrupted_folder_keeps_the_old_one(tmp_path: Path) -> None:
    """Show that an exception keeps the earlier folder."""
    with atomic_folder(tmp_path / "keep") as folder:
        (folder / "report.json").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "keep"):
        raise RuntimeError
    assert (tmp_path / "keep" / "report.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
