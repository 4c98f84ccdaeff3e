"""What a data run makes: one scene per input and seed, each with an identity, a shard and a split."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from generator.videos.frames import hash_of
from lyra_sim.errors import LyraSimError

MAX_LINES = 10_000_000


@dataclass(frozen=True)
class Item:
    """Describe one scene to make."""

    stem: str
    """Name that all its files share: words of the input, the seed, and eight digits of the identity."""
    shard: int
    """Number of the folder it goes to."""
    split: str
    """`train` or `validation`; a scene is in one of them with all its views."""
    prompt: str
    """What to make; empty for a picture or a video."""
    image: Path | None
    """Picture to start from."""
    video: Path | None
    """Video to start from, or a folder with one, its depth and its cameras."""
    seed: int
    """Seed of the teacher."""


def read_prompts(path: Path) -> list[str]:
    """Read one prompt per line; empty lines and those that start with `#` are left out.

    Raises:
        LyraSimError: The file cannot be read or holds no prompt.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LyraSimError(f"--prompts {path}: cannot be read as text ({error})") from error
    prompts = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not prompts:
        raise LyraSimError(f"--prompts {path}: holds no prompt; write one per line")
    return prompts


def plan(
    prompts: Sequence[str],
    images: Sequence[Path],
    videos: Sequence[Path],
    seeds: Sequence[int],
    *,
    settings: str,
    per_shard: int,
    validation_share: float,
) -> list[Item]:
    """Return the scenes of a run, inputs in their order, all seeds of an input together.

    Args:
        prompts: Inputs in words.
        images: Inputs as pictures.
        videos: Inputs as videos, or folders of them as `gen --video` takes them.
        seeds: Seeds per input.
        settings: Teacher, size and paths in words; scenes made otherwise have other identities.
        per_shard: Scenes per folder.
        validation_share: Share of the inputs that go to validation. All seeds of an input go together, so that no
            picture is in both.

    Raises:
        LyraSimError: A picture or a video cannot be read, or an input is given twice.
    """
    inputs = [_Input(f"prompt {prompt}", prompt, prompt) for prompt in prompts]
    inputs += [_Input(f"picture {_hash(path)}", path.stem, image=path) for path in images]
    inputs += [_Input(f"video {_hash(path)}", path.stem, video=path) for path in videos]
    _require_different(inputs)
    items: list[Item] = []
    for start in inputs:
        split = "validation" if _fraction(start.key) < validation_share else "train"
        words = re.sub(r"[^a-z0-9]+", "-", start.name.lower()).strip("-")[:40] or "scene"
        for seed in seeds:
            identity = hashlib.sha256(f"{settings}\n{start.key}\n{seed}".encode()).hexdigest()[:8]
            stem, shard = f"{words}_{seed}_{identity}", len(items) // per_shard
            items.append(Item(stem, shard, split, start.prompt, start.image, start.video, seed))
    return items


@dataclass(frozen=True)
class _Input:
    """Describe what one or more scenes start from."""

    key: str
    """Its kind and content, which decide identity and split."""
    name: str
    prompt: str = ""
    image: Path | None = None
    video: Path | None = None

    @property
    def told(self) -> str:
        """How a message names it."""
        return str(self.image or self.video or self.prompt)


def _hash(path: Path) -> str:
    """Return the hash of a file, or of all files of a folder with their names."""
    if not path.is_dir():
        return hash_of([path])
    files = sorted(file for file in path.rglob("*") if file.is_file())
    named = (f"{file.relative_to(path).as_posix()} {_hash(file)}" for file in files)
    return hashlib.sha256("\n".join(named).encode()).hexdigest()


def _fraction(key: str) -> float:
    return int(hashlib.sha256(f"split {key}".encode()).hexdigest()[:12], 16) / 16**12


def _require_different(inputs: Sequence[_Input]) -> None:
    seen: dict[str, str] = {}
    for start in inputs:
        if start.key in seen:
            raise LyraSimError(f"{start.told!r}: the same input as {seen[start.key]!r}; leave one out")
        seen[start.key] = start.told
