"""One module per kind of world; each has `build(scene)`, which furnishes the scene and places the camera."""

from __future__ import annotations

from collections.abc import Callable

from generator.worlds.kinds import (
    factory_cell,
    hospital_room,
    kitchen,
    laboratory,
    living_room,
    loading_dock,
    office_corridor,
    open_office,
    parking_garage,
    warehouse_aisle,
)
from generator.worlds.scene import Scene, Viewpoint

BUILDERS: dict[str, Callable[[Scene], Viewpoint]] = {
    "warehouse_aisle": warehouse_aisle.build,
    "loading_dock": loading_dock.build,
    "factory_cell": factory_cell.build,
    "office_corridor": office_corridor.build,
    "open_office": open_office.build,
    "kitchen": kitchen.build,
    "living_room": living_room.build,
    "laboratory": laboratory.build,
    "hospital_room": hospital_room.build,
    "parking_garage": parking_garage.build,
}
"""The builder of every kind in `generator.worlds.vocabulary.KINDS`."""
