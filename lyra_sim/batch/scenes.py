"""The scenes of a batch: what each one is made from, its id, and what workers need to make it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lyra_sim.batch.positions import Place

ID_DIGITS = 16
"""Hexadecimal digits of an id; among a million scenes two equal ones are a matter of one in 10^7."""


@dataclass(frozen=True)
class PlannedScene:
    """Say what one scene is made from."""

    id: str
    """Hash of all that follows from the spec for this scene alone; names its folder."""
    prompt: str
    """The prompt, with slots filled in."""
    seed: int
    """The seed asked for."""
    slots: Mapping[str, str]
    """Value of every slot of the template; empty without one."""
    picture: str | None
    """Absolute path of the picture to start from."""
    picture_sha256: str | None
    """Hash of that picture."""
    camera_height: float | None
    """True height of the picture's camera [m]."""
    place: Place = field(compare=False, default=())
    """Where in the spec it comes from."""
    split: str = field(compare=False, default="")
    """`train`, `validation` or `test`; not part of what is made, so not of the id."""

    @property
    def title(self) -> str:
        """What people know it by: its prompt, or else the name of its picture."""
        return self.prompt or (Path(self.picture).name if self.picture else self.id)

    @property
    def name(self) -> str:
        """What to call it in messages."""
        picture = f"picture {self.picture!r}, " if self.picture else ""
        return f"{picture}prompt {self.prompt!r}, seed {self.seed}"


def scene_id(recipe: Mapping[str, object], scene: Mapping[str, object]) -> str:
    """Return the id of a scene: the hash of how it is made and from what, whatever machine asks."""
    text = json.dumps({"recipe": recipe, "scene": scene}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


def chance(key: str) -> float:
    """Return a number from 0 to 1 that the key alone decides, the same everywhere."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def retry_seed(scene: PlannedScene, attempt: int) -> int:
    """Return the seed of an attempt: the scene's own, then ones that follow from its id.

    Not the next number, which may be the seed of another scene of the same prompt.
    """
    if attempt == 0:
        return scene.seed
    digest = hashlib.sha256(f"{scene.id}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
