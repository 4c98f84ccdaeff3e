"""Models that stay as they are published: a folder of JSON and safetensors files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator.weights.checkpoint import Card, configuration_hash, load_card
from generator.weights.registry import ENTRIES, FOLDER, Entry, find_entry
from generator.weights.write import file_hash, write_card
from lyra_sim.errors import LyraSimError

if TYPE_CHECKING:
    from generator.weights.store import Store

Say = Callable[[str], None]
"""Takes one line for the user."""

SUFFIXES = (".json", ".safetensors", ".txt", ".model", ".jinja")
"""Files that are taken: weights as safetensors, never pickles and never code."""


def open_hub() -> Any:
    """Return the hub's client; raises LyraSimError when it is not installed."""
    try:
        import huggingface_hub
    except ImportError:
        raise LyraSimError(
            "downloading needs the package huggingface-hub; install lyra-sim[teacher], or use weights import"
        ) from None
    return huggingface_hub


def download_folder(entry: Entry, say: Say) -> Path:
    """Fetch a repository into the hub's cache and return its folder there.

    Raises:
        LyraSimError: The hub does not give it.
    """
    hub = open_hub()
    say(f"{entry.name}: downloading {entry.repository}")
    try:
        patterns = [f"*{suffix}" for suffix in SUFFIXES]
        return Path(hub.snapshot_download(entry.repository, allow_patterns=patterns))
    except Exception as error:
        # Whatever is wrong (no network, no account, a full disk), this is what a user can do about it.
        raise LyraSimError(
            f"{entry.repository}: download failed ({type(error).__name__}: {str(error)[:200]}); run the command "
            f"again, it goes on where it stopped, or get the folder elsewhere and run lyra-sim weights import "
            f"{entry.name} FOLDER"
        ) from None


def install_folder(entry: Entry, source: Path, store: Store, say: Say) -> Card:
    """Take the files of a model folder into the store, linked where the disk allows, and write its card last.

    Args:
        entry: What the folder is.
        source: Folder in the published layout.
        store: Where to keep it; the caller holds the entry's lock.
        say: Receives a line per step.

    Raises:
        LyraSimError: The folder is missing, has no configuration or no safetensors, or the disk is full.
    """
    files = [p for p in sorted(source.rglob("*")) if p.suffix in SUFFIXES and p.is_file()]
    names = [p.relative_to(source).as_posix() for p in files]
    if not any(n.endswith(".safetensors") for n in names) or not {"config.json", "model_index.json"} & set(
        names
    ):
        raise LyraSimError(
            f"{source}: is no folder of {entry.repository}; it needs model_index.json or config.json, and weights as "
            "safetensors"
        )
    target = store.folder / entry.name
    store.card_path(entry).unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    say(f"{entry.name}: taking {len(files)} files into {target}")
    for path, name in zip(files, names, strict=True):
        _link(path.resolve(), target / name)
    listed = _listed(target, names)
    card: Card = {
        "kind": entry.kind,
        "file": entry.name,
        "sha256": configuration_hash(listed),
        "dtype": "its published files",
        "bytes": sum(file["bytes"] for file in listed.values()),
        "configuration": {"files": listed},
        "configuration_sha256": configuration_hash({"files": listed}),
        "licence": entry.licence,
        "source": {"repository": entry.repository},
    }
    return write_card(store.card_path(entry), card)


def verify_folder(entry: Entry, store: Store) -> Card:
    """Compare every file with the card; raises LyraSimError when one differs or is missing."""
    card = load_card(store.card_path(entry))
    wanted: dict[str, dict[str, Any]] = card["configuration"]["files"]
    folder = store.folder / entry.name
    missing = [name for name in wanted if not (folder / name).is_file()]
    found = _listed(folder, [name for name in wanted if name not in missing])
    changed = [name for name, file in found.items() if file != wanted[name]]
    for name, what in [(n, "is missing") for n in missing] + [(n, "has changed") for n in changed]:
        raise LyraSimError(
            f"{folder / name} {what}; run lyra-sim weights remove {entry.name}, then pull or import it again"
        )
    return card


def locate_model(name: str, store: Store) -> str:
    """Return what `from_pretrained` takes for a model: a folder, or the hub's name where it is neither here.

    Args:
        name: A folder, an entry of the registry, or a name on the hub (`owner/model`).
        store: Where entries of the registry lie.

    Raises:
        LyraSimError: The entry is not in the store, or the name is none of these.
    """
    if any(entry.name == name and entry.layout == FOLDER for entry in ENTRIES):
        entry = find_entry(name)
        if not store.has(entry):
            raise LyraSimError(f"{name} is not in {store.folder}; run lyra-sim weights pull {name}")
        return str(store.folder / name)
    if Path(name).is_dir() or name.count("/") == 1:
        return name
    known = ", ".join(entry.name for entry in ENTRIES if entry.layout == FOLDER)
    raise LyraSimError(f"{name!r} is no folder, no name on the hub (owner/model), and none of {known}")


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        try:
            os.link(source, target)
        except OSError:
            # Another disk, or one without hard links.
            shutil.copyfile(source, target)
    except OSError as error:
        raise LyraSimError(
            f"{target}: cannot be written ({error.strerror}); free some space and try again"
        ) from None


def _listed(folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": file_hash(folder / name, "sha256")}
        for name in names
    }
