"""Things on wheels: pallet trucks, carts, fork-lifts and cars."""

from __future__ import annotations

from generator.worlds import textures
from generator.worlds.colours import NAMED, pick
from generator.worlds.mesh import Part
from generator.worlds.parts.racks import build_load
from generator.worlds.scene import Scene


def wheel(part: Part, x: float, y: float, radius: float, width: float) -> None:
    """Build a tyre that rolls along y, standing on the floor, with a hub."""
    tyre, hub = textures.plastic((0.10, 0.10, 0.11)), textures.steel((0.62, 0.63, 0.65))
    part.cylinder((x - width / 2, y, radius), (x + width / 2, y, radius), radius, tyre, sides=14)
    part.cylinder(
        (x - width / 2 - 0.01, y, radius), (x + width / 2 + 0.01, y, radius), 0.55 * radius, hub, sides=10
    )


def build_pallet_truck(part: Part, scene: Scene, *, loaded: bool) -> None:
    """Build a hand pallet truck whose forks run along +y from the origin, with or without a pallet on them."""
    body = textures.enamel(
        pick(scene.taste, (scene.accent, NAMED["red"], NAMED["yellow"], NAMED["orange"])), scene.variant()
    )
    for x in (-0.19, 0.19):
        part.box((x - 0.08, 0.0, 0.03), (x + 0.08, 1.15, 0.085), body)
    part.box((-0.2, -0.22, 0.05), (0.2, 0.0, 0.42), body)
    part.cylinder((0, -0.14, 0.3), (0, -0.16, 0.62), 0.05, textures.steel(NAMED["grey"]), sides=8)
    part.beam((0, -0.16, 0.55), (0, -0.42, 1.15), 0.05, 0.04, body)
    part.beam((-0.17, -0.43, 1.18), (0.17, -0.43, 1.18), 0.035, 0.035, textures.plastic(NAMED["black"]))
    wheel(part, 0.0, -0.16, 0.1, 0.12)
    if loaded:
        build_load(part.at((0, 0.62, 0.02)), scene, width=0.8, depth=1.1, room=1.2, detail=True)
