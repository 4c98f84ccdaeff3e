"""Baked light: agreement with closed forms, shadows, no leaks, no noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from box_room import box_faces, box_room

from generator.teachers import lighting
from generator.teachers.lighting import LightingConfig, Lightmaps, bake, gather_light
from generator.teachers.quads import QuadScene
from generator.teachers.texels import grid_shapes, place_texels
from generator.worlds.world import Light, World


def room_of(corners: np.ndarray, lights: tuple[Light, ...], ambient: float) -> World:
    """Return a world of bare quads."""
    return replace(
        box_room(),
        corners=np.asarray(corners, np.float32),
        uv_offset=np.zeros((len(corners), 2), np.float32),
        material=np.zeros(len(corners), np.int32),
        instance=np.zeros(len(corners), np.int32),
        lights=lights,
        ambient=np.full(3, ambient),
    )


def baked(world: World, *, albedo: float = 0.5, **options: float) -> Lightmaps:
    return bake(QuadScene(world), world, np.full((len(world.corners), 3), albedo), LightingConfig(**options))  # type: ignore[arg-type]


def grid(maps: Lightmaps, quad: int) -> np.ndarray:
    """Return the red channel of one quad's lightmap, rows along v, columns along u."""
    columns, rows = maps.shape[quad]
    return maps.incoming[maps.first[quad] :][: rows * columns, 0].reshape(rows, columns)


FLOOR = [[0, 0, 0], [6, 0, 0], [6, 6, 0], [0, 6, 0]]


def panel(centre: tuple[float, float, float], side: float, radiance: float) -> Light:
    """Return a square light that shines down."""
    corner = np.array(centre) - [side / 2, side / 2, 0]
    return Light(corner, np.array([0, side, 0]), np.array([side, 0, 0]), np.full(3, radiance))


def test_small_panel_lights_the_floor_as_the_inverse_square_law_says() -> None:
    """Irradiance under a small panel is radiance * area * cos^4 / height^2 where nothing is in the way."""
    maps = baked(room_of([FLOOR], (panel((3, 3, 3), 0.1, 50.0),), 0.0), bounces=0)
    incoming = grid(maps, 0)
    positions = np.linspace(0, 6, incoming.shape[0])
    offset = np.hypot(positions[:, None] - 3, positions[None] - 3)
    cosine = 3 / np.hypot(offset, 3)
    law = 50 * 0.01 * cosine**4 / 9 / np.pi
    np.testing.assert_allclose(incoming[1:-1, 1:-1], law[1:-1, 1:-1], rtol=0.01)
    # Smoothing mirrors the light at the edge of a quad, which flattens its slope there.
    np.testing.assert_allclose(incoming, law, rtol=0.06)


def test_light_shines_to_one_side_only() -> None:
    """A panel that shines down leaves a floor above it dark."""
    maps = baked(room_of([FLOOR], (panel((3, 3, -1), 1.0, 50.0),), 0.0), bounces=0)
    assert not maps.incoming.any()


def test_open_floor_receives_all_of_the_ambient_light() -> None:
    """Where nothing hides the surroundings, light over pi equals the ambient radiance."""
    maps = baked(room_of([FLOOR], (), 0.4))
    np.testing.assert_allclose(maps.incoming, 0.4, rtol=1e-6)


def test_closed_furnace_is_lit_evenly_by_its_bounces() -> None:
    """In a closed box of albedo a, where every ray meets light E, one bounce brings a * E to every texel."""
    box = box_faces(np.zeros(3), np.full(3, 2.0), inward=True)
    world = room_of(box, (), 0.0)
    scene = QuadScene(world)
    texels = place_texels(scene, spacing=0.1, limit=10_000)
    gather = gather_light(scene, texels, LightingConfig())
    even = np.ones((len(texels), 3), np.float32)
    np.testing.assert_allclose(gather.bounced(even, 0.5 * even), 0.5, atol=1e-6)
    assert gather.valid.all()


def test_shadow_is_darker_than_the_lit_floor_and_has_a_soft_edge() -> None:
    """Under a table the floor gets far less direct light than beside it, with values in between at the rim."""
    top = [[2.2, 2.2, 1.0], [3.8, 2.2, 1.0], [3.8, 3.8, 1.0], [2.2, 3.8, 1.0]]
    underside = [top[0], top[3], top[2], top[1]]
    maps = baked(room_of([FLOOR, top, underside], (panel((3, 3, 3), 0.8, 5.0),), 0.0), bounces=0)
    floor = grid(maps, 0)
    middle = len(floor) // 2
    line = floor[middle]
    assert floor[middle, middle] < 0.02 * floor.max()
    between = (line > 0.1 * line.max()) & (line < 0.9 * line.max())
    assert between.sum() >= 4


def test_texels_under_a_box_do_not_darken_the_floor_around_it() -> None:
    """Without occlusion range the floor around a box is as bright as open floor: covered texels are filled in."""
    box = box_faces(np.array([2.03, 2.04, 0]), np.array([3.97, 3.96, 1.0]))
    maps = baked(room_of([FLOOR, *box], (), 0.4), occlusion_range=1e-6)
    np.testing.assert_allclose(grid(maps, 0), 0.4, rtol=1e-5)


def test_corners_are_darker_than_the_middle_of_a_room() -> None:
    """Ambient occlusion dims the floor along walls and leaves the middle alone."""
    box = box_faces(np.zeros(3), np.array([6.0, 6.0, 4.0]), inward=True)
    floor = grid(baked(room_of(box, (), 1.0)), 0)
    middle = len(floor) // 2
    assert floor[middle, middle] == pytest.approx(1.0, abs=1e-4)
    assert floor[middle, 0] < 0.75
    assert floor[0, 0] < floor[middle, 0]


def test_baked_light_has_no_speckle() -> None:
    """On the lit floor of the box room neighbouring texels differ by little: the pattern is averaged out."""
    world = box_room()
    floor = grid(baked(world), 0)
    rough = floor[1:-1, 1:-1] - (floor[:-2, 1:-1] + floor[2:, 1:-1] + floor[1:-1, :-2] + floor[1:-1, 2:]) / 4
    # Without the smoothing over the interleaved patterns this is 1.6%.
    assert np.median(np.abs(rough) / floor[1:-1, 1:-1]) < 0.005


def test_bright_speck_beside_a_lamp_leaves_no_spots_on_the_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small plate right under a lamp is met by few rays; what it passes on is limited, so walls stay smooth."""
    room = box_faces(np.zeros(3), np.array([4.0, 4.0, 3.0]), inward=True)
    plate = box_faces(np.array([1.9, 1.9, 1.48]), np.array([2.1, 2.1, 1.49]))
    world = room_of(np.concatenate([room, plate]), (panel((2, 2, 1.52), 0.1, 500.0),), 0.2)

    def roughest() -> float:
        ceiling = grid(baked(world), 1)
        rough = ceiling[2:-2, 2:-2] - (ceiling[2:-2, 1:-3] + ceiling[2:-2, 3:-1]) / 2
        return float(np.abs(rough).max() / ceiling.mean())

    limited = roughest()
    monkeypatch.setattr(lighting, "MAX_REFLECTED", np.inf)
    assert limited < 0.05
    assert roughest() > 0.3


def test_number_of_texels_stays_within_its_bound() -> None:
    """A large hall gets coarser texels rather than more of them."""
    size = np.array([[200.0, 80.0]] * 6)
    shape = grid_shapes(size, spacing=0.1, limit=150_000)
    assert shape.prod(axis=1).sum() <= 150_000
