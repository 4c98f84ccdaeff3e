"""What a data run makes: one scene per input and seed, each with an identity, a shard and a split."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """What to make, or what the picture shows."""
    image: Path | None
    """Picture to start from."""
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
        seeds: Seeds per input.
        settings: Teacher, size and paths in words; scenes made otherwise have other identities.
        per_shard: Scenes per folder.
        validation_share: Share of the inputs that go to validation. All seeds of an input go together, so that no
            picture is in both.

    Raises:
        LyraSimError: A picture cannot be read, or an input is given twice.
    """
    inputs: list[tuple[str, Path | None, str]] = [(prompt, None, f"prompt {prompt}") for prompt in prompts]
    for path in images:
        try:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise LyraSimError(f"{path}: cannot be read ({error})") from error
        inputs.append(("", path, f"picture {content}"))
    _require_different([key for _, _, key in inputs], [str(path or prompt) for prompt, path, _ in inputs])
    items: list[Item] = []
    for prompt, image, key in inputs:
        split = "validation" if _fraction(key) < validation_share else "train"
        for seed in seeds:
            identity = hashlib.sha256(f"{settings}\n{key}\n{seed}".encode()).hexdigest()[:8]
            words = (
                re.sub(r"[^a-z0-9]+", "-", (image.stem if image else prompt).lower()).strip("-")[:40]
                or "scene"
            )
            stem = f"{words}_{seed}_{identity}"
            items.append(Item(stem, len(items) // per_shard, split, prompt, image, seed))
    return items


def _fraction(key: str) -> float:
    return int(hashlib.sha256(f"split {key}".encode()).hexdigest()[:12], 16) / 16**12


def _require_different(keys: Sequence[str], names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for key, name in zip(keys, names, strict=True):
        if key in seen:
            raise LyraSimError(f"{name!r}: the same input as {seen[key]!r}; leave one out")
        seen[key] = name
