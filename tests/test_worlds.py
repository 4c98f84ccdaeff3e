"""Worlds of every kind: sound geometry, room for the camera, determinism, and words that change them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from generator.teachers.quads import QuadScene
from generator.worlds import KINDS, LABELS, World, build_world, parse_prompt
from generator.worlds.colours import srgb_to_linear
from lyra_sim.errors import LyraSimError

SEEDS = (0, 3)


@cache
def made(prompt: str, seed: int = 0) -> World:
    """Return the world of a prompt, built once for all tests."""
    return build_world(parse_prompt(prompt), seed=seed)


def named(kind: str, words: str = "") -> str:
    """Return a prompt for a kind with words before it."""
    return f"{words} {kind.replace('_', ' ')}".strip()


def normals(world: World) -> np.ndarray:
    """Return the unnormalised normals of the first half of every quad, (Q, 3) float64."""
    corners = world.corners.astype(np.float64)
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def extent(world: World, label: str) -> np.ndarray:
    """Return the size of everything with a label along x, y and z [m], (3,)."""
    chosen = np.array([instance.label == label for instance in world.instances])[world.instance]
    corners = world.corners[chosen].reshape(-1, 3)
    return corners.max(axis=0) - corners.min(axis=0)


def mean_albedo(world: World) -> np.ndarray:
    """Return the area-weighted linear albedo of all surfaces but floor and ceiling, (3,)."""
    albedo = np.array([srgb_to_linear(material.texture).mean(axis=(0, 1)) for material in world.materials])
    surroundings = np.array([instance.label in ("floor", "ceiling") for instance in world.instances])
    area = np.linalg.norm(normals(world), axis=1) * ~surroundings[world.instance]
    return (albedo[world.material] * area[:, None]).sum(axis=0) / area.sum()


def light_power(world: World) -> float:
    """Return the flux of all lights over pi plus the ambient radiance, summed over colours."""
    flux = sum(
        float(np.linalg.norm(np.cross(light.edge_u, light.edge_v)) * light.radiance.sum())
        for light in world.lights
    )
    return flux + float(world.ambient.sum())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_geometry_is_sound(kind: str, seed: int) -> None:
    """Quads are finite, planar, convex and not degenerate, stand on z = 0, and all indices are valid."""
    world = made(named(kind), seed)
    corners = world.corners.astype(np.float64)
    assert world.kind == kind
    assert world.corners.dtype == np.float32
    assert world.corners.shape == (len(world.material), 4, 3)
    assert 500 <= len(corners) <= 12_000
    assert np.isfinite(corners).all()
    assert np.isfinite(world.uv_offset).all()
    assert corners[..., 2].min() == pytest.approx(0.0, abs=1e-6)
    assert 0 <= world.material.min() <= world.material.max() < len(world.materials)
    first = normals(world)
    area = np.linalg.norm(first, axis=1)
    assert area.min() > 1e-8
    off_plane = np.einsum("qx,qx->q", corners[:, 3] - corners[:, 0], first / area[:, None])
    assert np.abs(off_plane).max() < 1e-4
    second = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 0])
    assert np.einsum("qx,qx->q", first, second).min() > -1e-12
    assert np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1).min() > 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_has_a_known_label_a_unique_name_and_quads(kind: str) -> None:
    """Labels come from the published list; no instance is empty or named twice."""
    world = made(named(kind))
    assert set(world.labels) <= set(LABELS)
    assert len({instance.name for instance in world.instances}) == len(world.instances)
    np.testing.assert_array_equal(np.unique(world.instance), np.arange(len(world.instances)))
    assert len(world.labels) >= 9


@pytest.mark.parametrize("kind", KINDS)
def test_materials_are_valid_textures(kind: str) -> None:
    """Textures are square, a power of two wide, within [0, 1] and uniquely named."""
    materials = made(named(kind)).materials
    assert len({material.name for material in materials}) == len(materials)
    for material in materials:
        side = material.texture.shape[0]
        assert material.texture.shape == (side, side, 3)
        assert side & (side - 1) == 0
        assert material.texture.dtype == np.float32
        assert 0.0 <= material.texture.min() <= material.texture.max() <= 1.0
        assert material.tile_size > 0


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_camera_stands_free_in_a_closed_room(kind: str, seed: int) -> None:
    """Every view ray hits something at a room's distance, and the paths' reach around the camera is free."""
    world = made(named(kind), seed)
    pose = world.c2w
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
    assert 1.2 <= pose[2, 3] <= 1.7
    assert 0.0 <= np.degrees(np.arcsin(-pose[2, 2])) <= 10.5
    assert 60 <= np.degrees(world.horizontal_fov) <= 75
    scene = QuadScene(world)
    half = np.tan(world.horizontal_fov / 2)
    x, y = np.meshgrid(np.linspace(-half, half, 48), np.linspace(-half, half, 48)[11:37])
    local = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)
    rays = np.ascontiguousarray(local @ pose[:3, :3].T, np.float32)
    origins = np.repeat(pose[None, :3, 3].astype(np.float32), len(rays), axis=0)
    quads = scene.first_quad(origins, rays)
    assert (quads >= 0).all()
    normal = normals(world)[quads]
    offset = np.einsum("nx,nx->n", world.corners[quads, 0].astype(np.float64) - pose[:3, 3], normal)
    depth = offset / np.einsum("nx,nx->n", rays.astype(np.float64), normal)
    assert 2.0 <= np.median(depth) <= 10.0
    reach = float(np.clip(0.35 * np.median(depth), 1.0, 2.5))
    moves = [[0.3, 0, 0], [-0.3, 0, 0], [0, -0.2, 0], [0, 0, 0.4], [0, 0, -0.4]]
    stops = np.array([[0.0, 0.0, 0.0], *moves]) * reach @ pose[:3, :3].T + pose[:3, 3]
    assert scene.distance(stops).min() > 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_lights_are_emissive_quads_of_the_mesh(kind: str) -> None:
    """Every light is a rectangle that is also a quad, facing the same way and emitting its radiance."""
    world = made(named(kind))
    assert 2 <= len(world.lights) <= 8
    centres = world.corners.mean(axis=1)
    for light in world.lights:
        middle = light.corner + (light.edge_u + light.edge_v) / 2
        assert abs(light.edge_u @ light.edge_v) < 1e-9
        assert (light.radiance > 0).all()
        here = np.flatnonzero(np.linalg.norm(centres - middle, axis=1) < 1e-4)
        emitting = [
            q for q in here if np.allclose(world.materials[world.material[q]].emission, light.radiance)
        ]
        assert emitting
        facing = np.cross(light.edge_u, light.edge_v)
        assert normals(world)[emitting[0]] @ facing > 0


@pytest.mark.parametrize("kind", KINDS)
def test_same_prompt_and_seed_give_the_same_world(kind: str) -> None:
    """Two builds agree in every array, and another seed gives another world."""
    first, again = made(named(kind)), build_world(parse_prompt(named(kind)), seed=0)
    for name in ("corners", "uv_offset", "material", "instance", "ambient", "c2w"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.instances == again.instances
    assert [m.name for m in first.materials] == [m.name for m in again.materials]
    assert all(
        np.array_equal(a.texture, b.texture) for a, b in zip(first.materials, again.materials, strict=True)
    )
    other = made(named(kind), 3)
    assert other.corners.shape != first.corners.shape or not np.array_equal(other.corners, first.corners)


@pytest.mark.parametrize("kind", KINDS)
def test_blue_makes_surfaces_bluer_and_leaves_the_layout_alone(kind: str) -> None:
    """The word raises the share of blue in what the world is made of, and moves nothing."""
    plain, blue = made(named(kind)), made(named(kind, "blue"))
    np.testing.assert_allclose(plain.corners.mean(axis=1), blue.corners.mean(axis=1), atol=1e-5)
    before, after = mean_albedo(plain), mean_albedo(blue)
    assert after[2] / after.sum() > before[2] / before.sum() + 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_cluttered_adds_objects_and_empty_removes_them(kind: str) -> None:
    """There are more instances with `cluttered` than with `empty`, and at least as many as with neither."""
    counts = [len(made(named(kind, word)).instances) for word in ("empty", "", "cluttered")]
    assert counts[0] < counts[2]
    assert counts[0] <= counts[1] * 1.02


@pytest.mark.parametrize("kind", KINDS)
def test_narrow_and_large_change_the_room(kind: str) -> None:
    """`narrow` takes from the floor's width, `large` adds to its area."""
    plain, narrow, large = (extent(made(named(kind, word)), "floor") for word in ("", "narrow", "large"))
    assert narrow[0] < plain[0]
    assert large[0] * large[1] > 1.1 * plain[0] * plain[1]


@pytest.mark.parametrize("kind", KINDS)
def test_dim_takes_most_of_the_light_away(kind: str) -> None:
    """`dim` leaves 0.4 of the light, and moves nothing."""
    plain, dim = made(named(kind)), made(named(kind, "dim"))
    np.testing.assert_array_equal(plain.corners, dim.corners)
    assert light_power(dim) == pytest.approx(0.4 * light_power(plain), rel=1e-3)


def test_bright_warm_and_cold_change_the_light() -> None:
    """`bright` adds light, `warm` shifts it to red and `cold` to blue."""
    plain, bright, warm, cold = (made(named("living room", word)) for word in ("", "bright", "warm", "cold"))
    assert light_power(bright) > 1.2 * light_power(plain)
    ratios = [float(world.ambient[0] / world.ambient[2]) for world in (cold, plain, warm)]
    assert ratios[0] < 0.85 * ratios[1] < 0.85 * 0.85 * ratios[2]


@pytest.mark.parametrize(("word", "sort"), [("brick", "brick"), ("concrete", "concrete"), ("tiled", "tiles")])
def test_material_words_change_the_walls(word: str, sort: str) -> None:
    """The walls of a kitchen are made of what the prompt says."""
    world = made(f"{word} kitchen")
    walls = np.array([instance.label == "wall" for instance in world.instances])[world.instance]
    area = np.linalg.norm(normals(world), axis=1) * walls
    largest = np.bincount(world.material, weights=area).argmax()
    assert world.materials[largest].name.startswith(sort)


def test_a_negative_seed_is_refused() -> None:
    """The error names the seed."""
    with pytest.raises(LyraSimError, match="-1"):
        build_world(parse_prompt("kitchen"), seed=-1)
