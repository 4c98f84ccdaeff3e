"""The store of published weights: pulling, licences, checksums, interruptions and neighbours."""

from __future__ import annotations

import shutil
import threading
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import errors
from weights_files import DECODER, FakeHub, tiny_entry, write_deepspeed

from generator.weights import pull as pull_module
from generator.weights import write
from generator.weights.pull import pull
from generator.weights.registry import ENTRIES, FOLDER, Entry
from generator.weights.store import Store
from lyra_sim import LyraSimError
from lyra_sim.cli import main


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    (tmp_path / "hub").mkdir()
    write_deepspeed(tmp_path / "hub" / "lyra_static.pt")
    return FakeHub(tmp_path / "hub", monkeypatch)


@pytest.fixture
def entry(hub: FakeHub) -> Entry:
    return tiny_entry(hub.folder)


def visible(store: Store) -> list[str]:
    """Return the names in the store, without its lock files."""
    return sorted(path.name for path in store.folder.glob("*") if path.suffix != ".lock")


def test_the_licence_is_asked_for_once(store: Store, hub: FakeHub, entry: Entry) -> None:
    """Show that nothing is downloaded before the licence is accepted, and that acceptance is remembered."""
    with pytest.raises(LyraSimError, match=r"NVIDIA Open Model License.*--accept-licence"):
        pull(entry, store, configuration=DECODER)
    assert hub.downloads == []
    pull(entry, store, configuration=DECODER, accept_licence=True)
    store.remove(entry, lambda line: None)
    pull(entry, store, configuration=DECODER)
    assert hub.downloads == [("nvidia/Lyra", "lyra_static.pt")] * 2
    assert visible(store) == ["licences.json", "lyra-static.json", "lyra-static.safetensors"]


def test_a_second_pull_downloads_nothing(store: Store, hub: FakeHub, entry: Entry) -> None:
    """Show that weights which are there are verified instead of fetched, and that damage is found."""
    pull(entry, store, configuration=DECODER, accept_licence=True)
    pull(entry, store, configuration=DECODER)
    assert len(hub.downloads) == 1
    weights = store.folder / "lyra-static.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(LyraSimError, match=r"lyra-static\.safetensors: expected \d+ bytes.*weights remove"):
        pull(entry, store, configuration=DECODER)


def test_a_wrong_checksum_is_refused_unless_asked_for(store: Store, hub: FakeHub, entry: Entry) -> None:
    """Show that a file other than the published one is named with both checksums and leaves nothing."""
    other = replace(entry, files=(replace(entry.files[0], md5="0" * 32),))
    with pytest.raises(
        LyraSimError, match=r"lyra_static\.pt: expected .* MD5 0{32}, found \d+ bytes with MD5"
    ):
        pull(other, store, configuration=DECODER, accept_licence=True)
    assert visible(store) == ["licences.json"]
    pull(other, store, configuration=DECODER, any_version=True)
    assert store.has(other)


def test_two_at_once_download_once(store: Store, hub: FakeHub, entry: Entry) -> None:
    """Show that a second pull waits for the first one, says so, and takes its result."""
    waiting, lines = threading.Event(), []

    def say(line: str) -> None:
        lines.append(line)
        if "waiting for another process" in line:
            waiting.set()

    second = threading.Thread(target=pull, args=(entry, store), kwargs={"configuration": DECODER, "say": say})

    def start_second() -> None:
        second.start()
        assert waiting.wait(20)

    hub.before = start_second
    pull(entry, store, configuration=DECODER, accept_licence=True)
    second.join(20)
    assert len(hub.downloads) == 1
    assert lines[-1].endswith("verified")


def test_an_interrupted_pull_leaves_nothing_and_can_be_repeated(
    store: Store, hub: FakeHub, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show that neither an interrupted download nor an interrupted conversion leaves weights or locks behind."""

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    hub.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        pull(entry, store, configuration=DECODER, accept_licence=True)
    hub.before = lambda: None
    with monkeypatch.context() as patch:
        patch.setattr(write, "save_file", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pull(entry, store, configuration=DECODER)
    assert visible(store) == ["licences.json"]
    (store.folder / ".lyra-static-killed.part.safetensors").write_bytes(b"half")
    pull(entry, store, configuration=DECODER)
    assert visible(store) == ["licences.json", "lyra-static.json", "lyra-static.safetensors"]


def test_a_full_disk_is_found_before_the_download(
    store: Store, hub: FakeHub, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show that a disk without room for download and conversion is refused first."""
    usage = namedtuple("usage", "total used free")(1, 1, 1000)
    monkeypatch.setattr(pull_module.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(LyraSimError, match=r"lyra-static needs .* GB .* has only 0\.00 GB free"):
        pull(entry, store, configuration=DECODER, accept_licence=True)
    assert hub.downloads == []


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (errors.OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE"),
        (errors.LocalEntryNotFoundError("no"), "HF_ENDPOINT"),
        (ConnectionError("reset"), r"download failed \(ConnectionError: reset\).*goes on where it stopped"),
    ],
)
def test_hub_failures_say_what_to_do(
    failure: Exception, expected: str, store: Store, hub: FakeHub, entry: Entry
) -> None:
    """Show that what the hub's client raises becomes one line with a way on."""

    def fail() -> None:
        raise failure

    hub.before = fail
    with pytest.raises(LyraSimError, match=expected):
        pull(entry, store, configuration=DECODER, accept_licence=True)


def test_every_entry_has_a_layout_and_its_own_name() -> None:
    """Show that the registry is consistent and complete: the full size's cards and the docs agree with it."""
    from generator import sizes
    from generator.weights.convert import LAYOUTS

    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    assert {entry.layout for entry in ENTRIES} == {*LAYOUTS, FOLDER}
    assert {sizes.full().tokenizer.stem, sizes.full().decoder.stem} <= set(names)
    documented = (Path(__file__).parent.parent / "docs" / "weights.md").read_text()
    assert all(f"| `{entry.name}` | `{entry.repository}` |" in documented for entry in ENTRIES)


def test_the_command_imports_lists_verifies_and_removes(
    store: Store,
    hub: FakeHub,
    entry: Entry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Show the command's actions on one store, and that a damaged entry makes `verify` fail."""
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(store.folder))
    assert main(["weights", "import", "lyra-static", str(hub.folder / "lyra_static.pt")]) == 2
    assert "expected lyra_static.pt of nvidia/Lyra with MD5 28ddd0" in capsys.readouterr().err
    pull(entry, store, configuration=DECODER, accept_licence=True)
    assert main(["weights", "path", "lyra-static"]) == 0
    assert capsys.readouterr().out == f"{store.folder / 'lyra-static.json'}\n"
    assert main(["weights", "list"]) == 0
    listing = capsys.readouterr().out
    assert "yes, 0." in listing
    assert "NVIDIA Open Model License (accepted)" in listing
    assert main(["weights", "verify"]) == 0
    (store.folder / "lyra-static.safetensors").write_bytes(b"")
    assert main(["weights", "verify"]) == 1
    assert "lyra-static: damaged" in capsys.readouterr().out
    assert main(["weights", "remove", "lyra-static"]) == 0
    assert main(["weights", "path", "lyra-static"]) == 2
    assert main(["weights", "pull", "lyra"]) == 2
    assert "choose from lyra-static, lyra-dynamic" in capsys.readouterr().err
    shutil.rmtree(store.folder)
