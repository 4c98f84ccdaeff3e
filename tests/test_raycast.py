"""The ray caster's geometry: depth, labels, agreement between views, determinism."""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import pytest
from box_room import ROOM, box_room, camera, look_along_x

from generator.cameras import Cameras, invert_rigid
from generator.teachers.raycast import RayCaster
from generator.worlds.world import Light, World


@pytest.fixture(scope="module")
def caster() -> RayCaster:
    return RayCaster(box_room())


def turned(position: np.ndarray, degrees: float) -> np.ndarray:
    """Return the pose at `position` turned about world Z from looking along +x."""
    angle = np.deg2rad(degrees)
    spin = np.eye(4)
    spin[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    pose = spin @ look_along_x(np.zeros(3))
    pose[:3, 3] = position
    return pose


def test_depth_of_a_facing_wall_is_its_z_distance_everywhere(caster: RayCaster) -> None:
    """Depth is measured along the optical axis, not along the ray, so a wall that the camera faces is constant."""
    _, depth, _, instance = caster.render(camera(caster.world))
    wall = instance[0] == 3
    assert wall.sum() > 100
    np.testing.assert_allclose(depth[0][wall], ROOM[0] - 0.5, atol=1e-5)


def test_depth_of_the_floor_follows_from_the_pixel_row(caster: RayCaster) -> None:
    """A level camera at height h sees the floor at z = f h / (row + 0.5 - cy): pixel centres sit at +0.5."""
    cameras = camera(caster.world)
    _, depth, labels, _ = caster.render(cameras)
    rows, columns = np.nonzero(labels[0] == caster.classes.index("floor"))
    assert len(rows) > 100
    focal, _, _, cy = cameras.intrinsics[0]
    np.testing.assert_allclose(depth[0, rows, columns], focal * 1.5 / (rows + 0.5 - cy), rtol=1e-5)


def test_labels_and_instances_name_the_object_behind_the_pixel(caster: RayCaster) -> None:
    """The pixels that the centres of the boxes' front faces project to carry the boxes' class and instance."""
    cameras = camera(caster.world)
    _, depth, labels, instance = caster.render(cameras)
    for point, name in [((3.4, 1.4, 0.45), "cardboard_box_0"), ((4.0, 3.3, 1.2), "cabinet_0")]:
        x, y, z = (invert_rigid(cameras.c2w)[0] @ [*point, 1.0])[:3]
        fx, fy, cx, cy = cameras.intrinsics[0]
        row, column = int(fy * y / z + cy), int(fx * x / z + cx)
        assert depth[0, row, column] == pytest.approx(z, abs=1e-5)
        assert caster.world.instances[instance[0, row, column]].name == name
        assert caster.classes[labels[0, row, column]] == name.removesuffix("_0")


def test_rays_that_leave_the_world_have_no_depth_and_no_label() -> None:
    """Looking past a lone floor gives depth 0, label 0 and instance -1."""
    world = box_room()
    floor = replace(
        world, corners=world.corners[:1], uv_offset=world.uv_offset[:1], material=world.material[:1],
        instance=world.instance[:1], lights=(),
    )  # fmt: skip
    caster = RayCaster(floor)
    rgb, depth, labels, instance = caster.render(camera(floor))
    up = slice(0, 20)
    assert not depth[0, up].any()
    assert not labels[0, up].any()
    assert (instance[0, up] == -1).all()
    assert len(np.unique(rgb[0, up].reshape(-1, 3), axis=0)) == 1


def test_two_views_agree_on_depth_and_colour(caster: RayCaster) -> None:
    """Points of one view, carried into another by pose and depth, land on the same depth and colour there."""
    poses = np.stack([turned(np.array([0.6, 2.3, 1.5]), 4.0), turned(np.array([0.9, 2.7, 1.3]), -5.0)])
    cameras = camera(caster.world, poses, height=96, width=160)
    rgb, depth, _, instance = caster.render(cameras)
    fx, fy, cx, cy = cameras.intrinsics[0]
    rows, columns = np.mgrid[2:94, 2:158].reshape(2, -1)
    z = depth[0, rows, columns].astype(np.float64)
    points = np.stack([(columns + 0.5 - cx) / fx * z, (rows + 0.5 - cy) / fy * z, z, np.ones_like(z)])
    x, y, expected, _ = invert_rigid(poses[1]) @ poses[0] @ points
    column, row = np.floor(fx * x / expected + cx).astype(int), np.floor(fy * y / expected + cy).astype(int)
    inside = (column >= 0) & (column < 160) & (row >= 0) & (row < 96)
    rows, columns, row, column, expected = (a[inside] for a in (rows, columns, row, column, expected))
    seen = depth[1, row, column]
    same = instance[0, rows, columns] == instance[1, row, column]
    assert inside.mean() > 0.6
    # A pixel is one sample of a slanted surface, hence 3%; the rest are points hidden in the second view.
    assert (np.abs(seen - expected) < 0.03 * expected).mean() > 0.93
    plain = same & (instance[0, rows, columns] != 0) & (np.abs(seen - expected) < 0.03 * expected)
    difference = np.abs(rgb[0, rows, columns].astype(int) - rgb[1, row, column])[plain].max(axis=-1)
    assert np.quantile(difference, 0.95) <= 6


def moved(world: World, transform: np.ndarray) -> World:
    """Return the world carried along by a rigid transform."""
    rotation, shift = transform[:3, :3], transform[:3, 3]
    return replace(
        world,
        corners=(world.corners @ rotation.T + shift).astype(np.float32),
        lights=tuple(
            Light(
                light.corner @ rotation.T + shift,
                light.edge_u @ rotation.T,
                light.edge_v @ rotation.T,
                light.radiance,
            )
            for light in world.lights
        ),
        c2w=transform @ world.c2w,
    )


def test_moving_world_and_camera_together_changes_nothing(caster: RayCaster) -> None:
    """A rigid motion of everything leaves depth, labels and, up to rounding, the picture as they were."""
    angle = 0.7
    transform = np.eye(4)
    transform[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    transform[:3, 3] = (3.0, -2.0, 0.5)
    other = RayCaster(moved(caster.world, transform))
    rgb, depth, labels, _ = caster.render(camera(caster.world))
    rgb_moved, depth_moved, labels_moved, _ = other.render(camera(other.world))
    assert (labels == labels_moved).mean() > 0.998
    assert np.isclose(depth, depth_moved, rtol=1e-4).mean() > 0.998
    difference = np.abs(rgb.astype(int) - rgb_moved)
    assert (difference <= 2).mean() > 0.98


def test_same_bytes_in_every_run_and_for_any_number_of_threads(caster: RayCaster) -> None:
    """Baking and rendering anew, on one thread and on all of them, gives equal bytes."""
    cameras = camera(caster.world)
    threads = numba.get_num_threads()
    pictures = []
    for count in {1, threads}:
        numba.set_num_threads(count)
        pictures += [RayCaster(caster.world).render(cameras) for _ in range(2)]
    numba.set_num_threads(threads)
    for picture in pictures[1:]:
        for one, other in zip(pictures[0], picture, strict=True):
            assert one.tobytes() == other.tobytes()


def test_edges_are_smoothed_and_flat_areas_are_not_touched(caster: RayCaster) -> None:
    """More rays per pixel change pixels at edges only, apart from rounding and texture."""
    cameras = camera(caster.world)
    one, depth_one, _, instance = caster.render(cameras, supersample=1)
    four, depth_four, _, _ = caster.render(cameras, supersample=4)
    np.testing.assert_array_equal(depth_one, depth_four)
    plain = instance[0] == 3
    plain &= np.roll(plain, 2, 0) & np.roll(plain, -2, 0) & np.roll(plain, 2, 1) & np.roll(plain, -2, 1)
    difference = np.abs(one.astype(int) - four)[0].max(axis=-1)
    assert difference[plain].max() <= 2
    assert difference.max() > 20


def test_far_texture_turns_into_its_average_instead_of_noise() -> None:
    """A fine checker far away looks grey: mip levels leave no aliasing behind."""
    world = box_room()
    texture = np.zeros((64, 64, 3), np.float32)
    texture[::2, ::2] = texture[1::2, 1::2] = 1.0
    fine = replace(world.materials[0], texture=texture, tile_size=0.32)
    corners = np.array([[[0, -50, 0], [100, -50, 0], [100, 50, 0], [0, 50, 0]]], np.float32)
    plain = replace(
        world, corners=corners, uv_offset=np.zeros((1, 2), np.float32), material=np.zeros(1, np.int32),
        instance=np.zeros(1, np.int32), materials=(fine,), lights=(), ambient=np.full(3, 0.8),
    )  # fmt: skip
    rgb, depth, _, _ = RayCaster(plain).render(camera(plain, look_along_x(np.array([1.0, 0.0, 1.5]))))
    floor = (depth[0] > 5) & (depth[0] < 60)
    # Half of 0.8 in linear light is 0.665 in sRGB, byte 170.
    assert floor.sum() > 200
    assert np.abs(rgb[0][floor].astype(int) - 170).max() <= 6


def test_cameras_of_one_call_do_not_influence_each_other(caster: RayCaster) -> None:
    """Rendering views together or one by one gives the same bytes."""
    poses = np.stack([look_along_x(np.array([0.5, 2.5, 1.5])), turned(np.array([0.8, 2.2, 1.2]), 10.0)])
    cameras = camera(caster.world, poses)
    together = caster.render(cameras)
    for f in range(2):
        alone = caster.render(Cameras(poses[f : f + 1], cameras.intrinsics[f : f + 1], 48, 80))
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(one[f], other[0])
