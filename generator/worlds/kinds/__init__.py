"""One module per kind of world; each has `build(scene)`, which furnishes the scene and places the camera."""

from __future__ import annotations

from collections.abc import Callable

from generator.worlds.kinds import warehouse_aisle
from generator.worlds.scene import Scene, Viewpoint

BUILDERS: dict[str, Callable[[Scene], Viewpoint]] = {
    "warehouse_aisle": warehouse_aisle.build,
}
"""The builder of every kind, by its name."""
