"""Getting published weights: from the hub, or from files that the user has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from generator.weights.checkpoint import Card
from generator.weights.convert import Configuration
from generator.weights.folder import Say, download_folder, install_folder, open_hub
from generator.weights.registry import FOLDER, Entry
from generator.weights.store import Store, existing_ancestor
from lyra_sim.errors import LyraSimError


def pull(
    entry: Entry,
    store: Store,
    *,
    accept_licence: bool = False,
    configuration: Configuration | None = None,
    any_version: bool = False,
    say: Say = lambda line: None,
) -> Card:
    """Download an entry through `huggingface_hub`, convert and verify it; what is there already is verified.

    The hub's client keeps the download in its own cache, from where an interrupted one goes on. Its environment
    variables hold: HF_TOKEN, HF_ENDPOINT (mirror), HF_HOME (cache), HF_HUB_OFFLINE.

    Args:
        entry: What to get.
        store: Where to keep it.
        accept_licence: Whether the user accepts the licence; remembered by the store.
        configuration: Arguments of the network; default is that of the published weights.
        any_version: Whether to go on when a checksum differs from the published one.
        say: Receives a line per step.

    Returns:
        The card.

    Raises:
        LyraSimError: The licence was not accepted, the disk is too small, the hub does not give the files, or
            they are damaged.
    """
    _require_licence(entry, store, accept_licence)
    with store.locked(entry, say):
        if store.has(entry):
            card = store.verify(entry)
            say(f"{entry.name}: already in {store.folder}, verified")
            return card
        if entry.layout == FOLDER:
            _require_space(entry, store, [None])
            return install_folder(entry, download_folder(entry, say), store, say)
        sizes = [_size(entry, file.name) for file in entry.files]
        _require_space(entry, store, sizes)
        files = {}
        for index, (file, size) in enumerate(zip(entry.files, sizes, strict=True)):
            amount = "" if size is None else f", {size / 1e6:,.1f} MB"
            say(f"{entry.name}: downloading {file.name}{amount} ({index + 1} of {len(entry.files)})")
            files[file.name] = _download(entry, file.name, size)
        return store.install(entry, files, configuration=configuration, any_version=any_version, say=say)


def import_file(
    entry: Entry,
    path: Path,
    store: Store,
    *,
    configuration: Configuration | None = None,
    any_version: bool = False,
    say: Say = lambda line: None,
) -> Card:
    """Convert a file that the user has, in place of what the store had; further files lie in its folder.

    Of a model that stays a folder, `path` is that folder.

    Raises:
        LyraSimError: A file is missing, damaged, or not what the entry describes.
    """
    if entry.layout == FOLDER:
        with store.locked(entry, say):
            return install_folder(entry, path, store, say)
    first, *further = entry.files
    files = {first.name: path}
    for file in further:
        beside = path.parent / file.name
        if beside.is_file() or not file.optional:
            files[file.name] = beside
    with store.locked(entry, say):
        return store.install(entry, files, configuration=configuration, any_version=any_version, say=say)


def _require_licence(entry: Entry, store: Store, accept: bool) -> None:
    if accept:
        store.accept(entry)
    elif not store.accepted(entry):
        raise LyraSimError(
            f"{entry.name} is under this licence: {entry.licence}; read it at {entry.page}, then run "
            f"lyra-sim weights pull {entry.name} --accept-licence"
        )


def _size(entry: Entry, name: str) -> int | None:
    """Return what the hub says about the size of a file [bytes], or None when it does not answer."""
    try:
        return open_hub().hf_hub_download(entry.repository, name, dry_run=True).file_size
    except LyraSimError:
        raise
    except Exception:
        # Whatever is wrong, the download itself meets it too and says it better.
        return None


def _require_space(entry: Entry, store: Store, sizes: list[int | None]) -> None:
    """Refuse a download that cannot fit; the lower bound of the registry stands in for sizes not known."""
    known = [size for size in sizes if size is not None]
    download = sum(known) if len(known) == len(sizes) else max(entry.least_bytes, sum(known))
    stored = int(download * entry.stored_share)
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = existing_ancestor(Path(HF_HUB_CACHE))
    folder = existing_ancestor(store.folder)
    together = os.stat(cache).st_dev == os.stat(folder).st_dev
    needs = [(folder, download + stored)] if together else [(cache, download), (folder, stored)]
    for place, need in needs:
        free = shutil.disk_usage(place).free
        if free < need:
            raise LyraSimError(
                f"{entry.name} needs {need / 1e9:.2f} GB for download and conversion, but {place} has only "
                f"{free / 1e9:.2f} GB free; free some space, or set LYRA_SIM_WEIGHTS and HF_HOME to another disk"
            )


def _download(entry: Entry, name: str, size: int | None) -> Path:
    """Fetch one file into the hub's cache and return its path there."""
    hub = open_hub()
    from huggingface_hub import errors

    where = f"{name} of {entry.repository}"
    own = f"or get the file elsewhere and run lyra-sim weights import {entry.name} FILE"
    try:
        path = Path(hub.hf_hub_download(entry.repository, name))
    except errors.GatedRepoError:
        raise LyraSimError(
            f"{where}: the hub gives it only to accounts that accepted its terms; do so at {entry.page}, then "
            f"set HF_TOKEN or run `hf auth login`"
        ) from None
    except errors.RepositoryNotFoundError:
        raise LyraSimError(
            f"{where}: the hub does not show it; set HF_TOKEN if it needs an account, {own}"
        ) from None
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError):
        raise LyraSimError(
            f"{where}: not in the hub's cache and the hub cannot be reached (or HF_HUB_OFFLINE is set); set "
            f"HF_ENDPOINT to a mirror, {own}"
        ) from None
    except Exception as error:
        raise LyraSimError(
            f"{where}: download failed ({type(error).__name__}: {str(error)[:200]}); run the command again, it "
            f"goes on where it stopped, {own}"
        ) from None
    found = path.stat().st_size
    if size is not None and found != size:
        raise LyraSimError(f"{path}: expected {size} bytes, found {found}; delete it and pull again, {own}")
    return path
