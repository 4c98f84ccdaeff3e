"""Pulling through the real `huggingface_hub` client, from a mirror on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants
from weights_files import DECODER, tiny_entry, write_deepspeed

from generator.weights.pull import pull
from generator.weights.registry import Entry
from generator.weights.store import Store
from lyra_sim.errors import LyraSimError

TOKEN = "hf_secret"


class Mirror(ThreadingHTTPServer):
    """Serve one file as a hub does, to holders of a token, and remember what was asked for."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.cut_once = False
        self.requests: list[tuple[str, str, str | None]] = []

    @property
    def endpoint(self) -> str:
        """Address for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def _answer(self, *, with_content: bool) -> None:
        content, part = self.server.content, self.headers.get("Range")
        if "/resolve/" in self.path:
            # The client also asks for things of its own.
            self.server.requests.append((self.command, self.path, part))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.send_response(401)
            self.send_header("X-Error-Code", "GatedRepo")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(part.removeprefix("bytes=").split("-")[0]) if part else 0
        self.send_response(206 if part else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Accept-Ranges", "bytes")
        if part:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if with_content:
            stop = len(content)
            if self.server.cut_once:
                self.server.cut_once, stop = False, len(content) // 2
            self.wfile.write(content[start:stop])
            self.close_connection = True


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    (tmp_path / "hub").mkdir()
    path = tmp_path / "hub" / "lyra_static.pt"
    write_deepspeed(path)
    server = Mirror(path.read_bytes())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    # The client reads HF_ENDPOINT when it is imported, which other tests may have done already.
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def entry(mirror: Mirror, tmp_path: Path) -> Entry:
    return tiny_entry(tmp_path / "hub")


def fetch(entry: Entry, tmp_path: Path) -> None:
    """Pull into a store of the test's own."""
    pull(entry, Store(tmp_path / "store"), configuration=DECODER, accept_licence=True)


def test_a_pull_goes_to_the_mirror_with_the_token(entry: Entry, mirror: Mirror, tmp_path: Path) -> None:
    """Show that the mirror is asked, once, under the hub's address scheme, and that the file is converted."""
    fetch(entry, tmp_path)
    gets = [path for command, path, _ in mirror.requests if command == "GET"]
    assert gets == ["/nvidia/Lyra/resolve/main/lyra_static.pt"]
    assert Store(tmp_path / "store").verify(entry)["source"]["repository"] == "nvidia/Lyra"


def test_a_cut_download_goes_on_where_it_stopped(
    entry: Entry, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show that a connection which breaks in the middle costs the second half only."""
    # The client keeps whole chunks, of 10 MB otherwise.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
    mirror.cut_once = True
    with contextlib.suppress(LyraSimError):
        fetch(entry, tmp_path)
    fetch(entry, tmp_path)
    parts = [part for command, _, part in mirror.requests if command == "GET" and part]
    assert parts
    assert all(int(part.removeprefix("bytes=").split("-")[0]) > 0 for part in parts)
    assert Store(tmp_path / "store").verify(entry)


def test_a_gated_repository_asks_for_an_account(
    entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show that a refusal names the page of the terms and the token, and stores nothing."""
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(LyraSimError, match=r"huggingface\.co/nvidia/Lyra, then set HF_TOKEN"):
        fetch(entry, tmp_path)
    assert not Store(tmp_path / "store").has(entry)


def test_what_is_in_the_cache_needs_no_network(
    entry: Entry, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show that offline mode takes the file from the hub's cache, and says so where it is not there."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LyraSimError, match="HF_HUB_OFFLINE is set"):
        fetch(entry, tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    fetch(entry, tmp_path)
    Store(tmp_path / "store").remove(entry, lambda line: None)
    asked = len(mirror.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fetch(entry, tmp_path)
    assert len(mirror.requests) == asked
