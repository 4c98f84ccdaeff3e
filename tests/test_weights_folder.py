"""Models that stay folders: imported, pulled, verified, located and removed."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from generator.weights.folder import locate_model
from generator.weights.pull import import_file, pull
from generator.weights.registry import find_entry
from generator.weights.store import Store
from lyra_sim.cli import main
from lyra_sim.errors import LyraSimError

ENTRY = find_entry("z-image")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Return a folder as diffusers publishes them, with a pickle and a script that must stay out."""
    folder = tmp_path / "published"
    (folder / "transformer").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "ZImagePipeline"}))
    save_file({"w": torch.arange(4.0)}, folder / "transformer" / "model.safetensors")
    (folder / "transformer" / "old.bin").write_bytes(b"pickle")
    (folder / "run.py").write_text("raise SystemExit")
    return folder


def test_a_folder_is_taken_without_pickles_and_code(published: Path, tmp_path: Path) -> None:
    """Configuration and safetensors are there, other files are not, and the card lists every checksum."""
    store = Store(tmp_path / "store")
    card = import_file(ENTRY, published, store)
    kept = sorted(p.relative_to(store.folder).as_posix() for p in (store.folder / "z-image").rglob("*.*"))
    assert kept == ["z-image/model_index.json", "z-image/transformer/model.safetensors"]
    assert set(card["configuration"]["files"]) == {"model_index.json", "transformer/model.safetensors"}
    assert card["licence"] == "Apache-2.0"
    assert store.verify(ENTRY)["sha256"] == card["sha256"]
    assert locate_model("z-image", store) == str(store.folder / "z-image")


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_damage_is_named(published: Path, tmp_path: Path, damage: str) -> None:
    """A file that changed or went missing is named by `verify`; a new import repairs it."""
    store = Store(tmp_path / "store")
    import_file(ENTRY, published, store)
    path = store.folder / "z-image" / "model_index.json"
    path.unlink()
    if damage == "changed":
        path.write_text("{}")
    with pytest.raises(LyraSimError, match=r"model_index\.json (is missing|has changed)"):
        store.verify(ENTRY)
    import_file(ENTRY, published, store)
    store.verify(ENTRY)


def test_pull_takes_the_folder_of_the_hub(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only harmless kinds of files are asked for, once; a failing hub is reported in one line."""
    asked: list[tuple[str, list[str]]] = []

    def snapshot(repository: str, *, allow_patterns: list[str]) -> str:
        asked.append((repository, allow_patterns))
        if len(asked) == 1:
            raise ConnectionError("no route")
        return str(published)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr("generator.weights.pull._require_space", lambda *_: None)
    store = Store(tmp_path / "store")
    with pytest.raises(LyraSimError, match="ConnectionError: no route"):
        pull(ENTRY, store, accept_licence=True)
    pull(ENTRY, store)
    pull(ENTRY, store)
    assert [repository for repository, _ in asked] == ["Tongyi-MAI/Z-Image"] * 2
    assert not {"*.bin", "*.py", "*.pt"} & set(asked[0][1])


def test_only_folders_of_models_are_taken(tmp_path: Path) -> None:
    """A folder without configuration or weights, or a missing one, is refused and leaves no card."""
    store = Store(tmp_path / "store")
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "absent"):
        with pytest.raises(LyraSimError, match=r"model_index\.json or config\.json"):
            import_file(ENTRY, tmp_path / folder, store)
    assert not store.has(ENTRY)


def test_models_are_found_by_folder_entry_or_hub_name(tmp_path: Path) -> None:
    """An entry that is not here says how to get it; anything else must look like a folder or a hub name."""
    store = Store(tmp_path)
    assert locate_model(str(tmp_path), store) == str(tmp_path)
    assert locate_model("owner/model", store) == "owner/model"
    with pytest.raises(LyraSimError, match="weights pull z-image"):
        locate_model("z-image", store)
    with pytest.raises(LyraSimError, match=r"none of .*z-image"):
        locate_model("nonsense", store)


def test_the_command_knows_folders(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Import, list, verify and remove work on a folder as on a file."""
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(tmp_path / "store"))
    assert main(["weights", "import", "z-image", str(published)]) == 0
    assert main(["weights", "verify"]) == 0
    assert main(["weights", "list"]) == 0
    listed = capsys.readouterr().out
    assert "Tongyi-MAI/Z-Image: the whole folder" in listed
    assert "z-image: verified" in listed
    assert main(["weights", "remove", "z-image"]) == 0
    assert not (tmp_path / "store" / "z-image").exists()
