"""One module per kind of world; each has `build(scene)`, which furnishes the scene and places the camera."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from generator.worlds.scene import Scene, Viewpoint


def builder(kind: str) -> Callable[[Scene], Viewpoint]:
    """Return the function that furnishes a kind of world; modules are loaded when first needed."""
    return import_module(f"generator.worlds.kinds.{kind}").build
