"""When the Cosmos guardrail runs, and what is said when it does not."""

from __future__ import annotations

import importlib.machinery
import sys
from pathlib import Path
from types import ModuleType

import huggingface_hub
import numpy as np
import pytest
from guardrail_stub import StubChecker

from generator.teachers import safety
from generator.teachers.safety import REPOSITORIES, Guardrail, load_safety_checker, safety_missing
from lyra_sim.errors import LyraSimError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty hub cache that the look-ups see."""
    look_up = huggingface_hub.try_to_load_from_cache
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda repo, file: look_up(repo, file, cache_dir=tmp_path)
    )
    return tmp_path


def install(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in of the package, and the files that it looks for, in the hub's own layout."""
    package = ModuleType(safety.PACKAGE)
    package.__spec__ = importlib.machinery.ModuleSpec(safety.PACKAGE, None)
    package.CosmosSafetyChecker = type("CosmosSafetyChecker", (), {})
    monkeypatch.setitem(sys.modules, safety.PACKAGE, package)
    for repository, file in REPOSITORIES.items():
        folder = cache / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("abc")
        path = folder / "snapshots" / "abc" / file
        path.parent.mkdir(parents=True)
        path.write_text("{}")


def test_it_is_off_where_it_is_not_installed_and_says_so(cache: Path) -> None:
    """Without package or weights, `auto` goes on with a plain sentence and `on` is an error."""
    assert len(safety_missing()) >= len(REPOSITORIES)
    checker, sentence = load_safety_checker()
    assert checker is None
    assert sentence.startswith("Safety checker: off (")
    assert "not checked" in sentence
    with pytest.raises(LyraSimError, match="safety checker cannot run"):
        load_safety_checker("on")


def test_it_is_on_where_its_weights_are(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With package and weights, `auto` and `on` load it; `off` does not, and says that it was asked for."""
    install(cache, monkeypatch)
    assert safety_missing() == []
    for mode in ("auto", "on"):
        checker, sentence = load_safety_checker(mode)
        assert type(checker).__name__ == "CosmosSafetyChecker"
        assert "on" in sentence
    assert load_safety_checker("off")[0] is None
    assert "as asked for" in load_safety_checker("off")[1]


def test_it_checks_prompts_and_frames_and_gives_its_memory_back() -> None:
    """A refused prompt or video is one line, what passes comes back changed, and the checker always ends on the CPU."""
    frames = np.full((2, 4, 6, 3), 100, np.uint8)
    checker, refusing = StubChecker(), StubChecker(refuses_videos=True)
    guardrail = Guardrail(checker, "Safety checker: on")
    guardrail.require_safe("a hall")
    guardrail.require_safe("  ")
    with pytest.raises(LyraSimError, match="refuses the prompt"):
        guardrail.require_safe("a weapon store")
    assert (guardrail.checked(frames, device="cuda") == 50).all()
    with pytest.raises(LyraSimError, match="refuses the video or picture"):
        Guardrail(refusing).checked(frames, device="cuda")
    assert checker.devices == refusing.devices == ["cuda", "cpu"]
    off = Guardrail()
    off.require_safe("a weapon store")
    assert off.checked(frames, device="cuda") is frames
