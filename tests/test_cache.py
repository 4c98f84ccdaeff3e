"""Laws of the 3D cache: unprojection, splatting, masking and the guide for the decoder."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from box_room import box_room
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.cache import Cache3D, Cache4D, CacheConfig, align_depth, fill_holes, warp_depth
from generator.cache.masking import depth_jumps, rasterize_depth, reliability_mask
from generator.cache.planes import envelope_depth, supporting_planes
from generator.cache.unproject import pixel_rays, project, unproject
from generator.cache.warp import splat
from generator.cameras import Cameras
from generator.teachers.raycast import RayCaster
from generator.trajectories import trajectory_w2c
from lyra_sim.errors import LyraSimError

HEIGHT, WIDTH = 44, 80
INTRINSICS = torch.tensor([70.0, 72.0, 40.5, 21.0])
EYE = torch.eye(4)
PLAIN = CacheConfig(foreground_masking=False)


def bumpy_depth(seed: int = 0) -> torch.Tensor:
    """Return a smooth surface with a box in front of it, z-depth [m]."""
    row, column = torch.meshgrid(torch.linspace(0, 3, HEIGHT), torch.linspace(0, 3, WIDTH), indexing="ij")
    depth = 4 + 0.3 * torch.sin(2 * row + seed) * torch.cos(column)
    depth[12:30, 20:45] = 2.0
    return depth


def moved(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> torch.Tensor:
    """Return the w2c of a camera that stands at (x, y, z) and looks along +z."""
    pose = torch.eye(4)
    pose[:3, 3] = -torch.tensor([x, y, z])
    return pose


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.5]))
@settings(max_examples=20)
def test_projecting_unprojected_pixels_gives_the_pixels(seed: int, center: float) -> None:
    """Projection undoes unprojection, for z-depth and for distances along the ray."""
    depth = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(seed)) * 5 + 0.5
    camera = INTRINSICS[None] * torch.tensor([0.1, 0.1, 0.1, 0.1])
    lengths = pixel_rays(camera, 5, 7, pixel_center=center).norm(dim=-1)
    for is_distance, given_depth in ((False, depth), (True, depth * lengths)):
        points = unproject(given_depth, camera, pixel_center=center, is_ray_distance=is_distance)
        pixels, z = project(points, camera, pixel_center=center)
        torch.testing.assert_close(z, depth)
        torch.testing.assert_close(pixels[..., 0], torch.arange(7.0).expand(3, 5, 7), atol=1e-4, rtol=0)
        torch.testing.assert_close(
            pixels[..., 1], torch.arange(5.0)[:, None].expand(3, 5, 7), atol=1e-4, rtol=0
        )


def test_unknown_depth_becomes_the_origin() -> None:
    """Pixels without depth are told by a point at the origin of the frame that the points are in."""
    depth = torch.ones(2, 2)
    depth[0, 1], depth[1, 0] = 0, -3
    points = unproject(depth, INTRINSICS, moved(1.0))
    assert (points == 0).all(-1).tolist() == [[False, True], [True, False]]


def test_a_picture_seen_from_its_own_camera_is_itself() -> None:
    """Where depth is reliable, the cache shows exactly what was put into it."""
    image = torch.rand(3, HEIGHT, WIDTH) * 2 - 1
    views = Cache3D(image, bumpy_depth(), moved(0.3), INTRINSICS, config=PLAIN).render(
        moved(0.3)[None], INTRINSICS[None]
    )
    reliable = reliability_mask(bumpy_depth())
    assert torch.equal(views.mask[0, 0], reliable)
    torch.testing.assert_close(views.pixels[0, 0][:, reliable], image[:, reliable], atol=1e-5, rtol=0)
    torch.testing.assert_close(views.depth[0, 0][reliable], bumpy_depth()[reliable])
    assert (views.pixels[0, 0][:, ~reliable] == -1).all()


def test_frames_do_not_depend_on_what_is_rendered_with_them() -> None:
    """Each frame has its own depth scale, which GEN3C's code shares among pairs of frames."""
    cache = Cache3D(torch.rand(3, HEIGHT, WIDTH), bumpy_depth(), EYE, INTRINSICS)
    w2c = torch.stack([moved(0.1), moved(0, 0, -8.0), moved(-0.2)])
    together = cache.render(w2c, INTRINSICS.expand(3, 4))
    for i in range(3):
        alone = cache.render(w2c[i : i + 1], INTRINSICS[None])
        assert torch.equal(alone.pixels[0], together.pixels[i])


def test_points_on_pixel_centres_count_once_unless_quirks_are_asked_for() -> None:
    """A point on a pixel centre weighs as much as one beside it; in GEN3C's code it weighs twice per axis."""
    pixels = torch.tensor([[[2.0, 2.5], [2.5, 2.5]]])
    values, z, ones = torch.tensor([[[0.0, 1.0]]]), torch.ones(1, 2), torch.ones(1, 2)
    for quirks, expected in ((False, 1 / 3), (True, 0.2)):
        average, _ = splat(values, pixels, z, ones, height=5, width=5, official_quirks=quirks)
        assert average[0, 0, 2, 2].item() == pytest.approx(expected)


def test_nearer_points_hide_farther_ones() -> None:
    """Where two points share a pixel, the picture shows the nearer."""
    pixels = torch.full((1, 2, 2), 1.0)
    average, mask = splat(
        torch.tensor([[[5.0, 9.0]]]), pixels, torch.tensor([[1.0, 4.0]]), torch.ones(1, 2), height=3, width=3
    )
    assert average[0, 0, 1, 1].item() == pytest.approx(5.0, abs=1e-3)
    assert mask.sum() == 1


def test_points_behind_the_camera_are_not_seen() -> None:
    """A camera that has moved past the whole scene sees nothing."""
    cache = Cache3D(torch.ones(3, HEIGHT, WIDTH), bumpy_depth(), EYE, INTRINSICS)
    views = cache.render(moved(z=10.0)[None], INTRINSICS[None])
    assert not views.mask.any()
    assert (views.depth == 0).all()


def test_what_caution_leaves_out_is_shown_on_request() -> None:
    """Without caution the cache shows depth edges and what lies behind torn surfaces, and all that it showed with it.

    Seen from its own camera a picture is then whole, and from beside it the pixels that both show agree, but for
    those that a depth edge, left out before, now covers.
    """
    image = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 2 - 1
    cache = Cache3D(image, bumpy_depth(), EYE, INTRINSICS)
    w2c, intrinsics = torch.stack([EYE, moved(0.3)]), INTRINSICS.expand(2, 4)
    guidance, shown = cache.render(w2c, intrinsics), cache.render(w2c, intrinsics, cautious=False)
    assert bool(shown.mask[0].all())
    torch.testing.assert_close(shown.pixels[0, 0], image, atol=1e-5, rtol=0)
    assert bool((shown.mask | ~guidance.mask).all())
    assert int(shown.mask.sum()) > int(guidance.mask.sum())
    same = (shown.depth - guidance.depth).abs() < 1e-4
    assert float(same[guidance.mask].float().mean()) > 0.95
    filled, dense = shown.filled()
    assert torch.equal(dense[1][shown.mask[1, 0]], shown.depth[1, 0][shown.mask[1, 0]])
    assert bool((dense > 0).all())
    assert torch.equal(filled[1][:, shown.mask[1, 0]], (shown.pixels[1, 0][:, shown.mask[1, 0]] + 1) / 2)
    assert float(filled.min()) >= 0
    assert float(filled.max()) <= 1


def test_layers_beyond_those_wanted_fill_holes() -> None:
    """Merged into one layer, an older picture stands where the newer one is open; enough layers stay as they are."""
    image = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 2 - 1
    cache = Cache3D(image, bumpy_depth(), EYE, INTRINSICS)
    cache.update(-image, bumpy_depth(), moved(0.2), INTRINSICS, align=None)
    views = cache.render(moved(0.3)[None], INTRINSICS[None])
    for layers in (2, 3):
        assert torch.equal(views.merged(layers).pixels, views.pixels)
    one = views.merged(1)
    assert one.mask.shape == (1, 1, HEIGHT, WIDTH)
    newer, older = views.mask[0]
    assert torch.equal(one.mask[0, 0], newer | older)
    assert torch.equal(one.pixels[0, 0][:, newer], views.pixels[0, 0][:, newer])
    only = older & ~newer
    assert bool(only.any())
    assert torch.equal(one.pixels[0, 0][:, only], views.pixels[0, 1][:, only])
    assert torch.equal(one.depth[0, 0][only], views.depth[0, 1][only])


def test_resized_views_keep_colours_depth_and_coverage() -> None:
    """Halved, a view covers what was mostly covered, with means of the covered pixels alone; its own size is itself."""
    image = torch.full((3, HEIGHT, WIDTH), 0.25)
    cache = Cache3D(image, bumpy_depth(), EYE, INTRINSICS)
    views = cache.render(moved(0.3)[None], INTRINSICS[None])
    assert views.resized(HEIGHT, WIDTH) is views
    small = views.resized(HEIGHT // 2, WIDTH // 2)
    assert small.mask.shape == (1, 1, HEIGHT // 2, WIDTH // 2)
    share = torch.nn.functional.avg_pool2d(views.mask[:, 0].float(), 2)
    assert bool(small.mask[:, 0][share == 1].float().mean() > 0.95)
    assert not bool(small.mask[:, 0][torch.nn.functional.max_pool2d(share[None], 3, 1, 1)[0] == 0].any())
    covered = small.mask[0, 0]
    torch.testing.assert_close(small.pixels[0, 0][:, covered], torch.full((3, int(covered.sum())), 0.25))
    assert bool((small.pixels[0, 0][:, ~covered] == -1).all())
    depth = views.depth[views.mask]
    assert float(small.depth[small.mask].min()) >= float(depth.min()) - 1e-4
    assert float(small.depth[small.mask].max()) <= float(depth.max()) + 1e-4


def test_foreground_masking_hides_background_in_the_gap() -> None:
    """Behind the torn edge of a box only background shows through; masking takes that and nothing else away."""
    image = torch.rand(3, HEIGHT, WIDTH)
    target = moved(0.6)[None]
    plain, masked = (
        Cache3D(image, bumpy_depth(), EYE, INTRINSICS, config=CacheConfig(foreground_masking=on)).render(
            target, INTRINSICS[None]
        )
        for on in (False, True)
    )
    removed = plain.mask & ~masked.mask
    assert removed.sum() > 50
    assert not (masked.mask & ~plain.mask).any()
    assert (plain.depth[removed] > 3).all()


def test_reliability_is_low_at_edges_only() -> None:
    """The pixels within the window of an edge are unreliable, those on the surfaces are not."""
    reliable = reliability_mask(bumpy_depth())
    assert not reliable[10:14, 25:40].any()
    assert reliable[16:26, 24:41].all()
    assert reliable[35:40, 10:70].all()


def test_slanted_floors_are_no_depth_jumps() -> None:
    """A floor to the horizon fails GEN3C's spread test at this size but has no jump; a box on it does."""
    depth = 60.0 / (torch.arange(HEIGHT) + 2.0)[:, None].expand(HEIGHT, WIDTH).clone()
    assert reliability_mask(depth).float().mean() < 0.3
    assert not depth_jumps(depth).any()
    depth[20:30, 30:40] = 1.5
    jumps = depth_jumps(depth)
    assert jumps[22:28, 29].all()
    assert jumps.float().mean() < 0.05


@given(st.integers(0, 1000))
@settings(max_examples=25)
def test_rasterised_triangles_equal_rays_cast_one_by_one(seed: int) -> None:
    """Depth agrees with Möller and Trumbore's test for every pixel, also for triangles that reach behind the camera."""
    triangles = torch.randn(1, 6, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    triangles = triangles * 2 + torch.tensor([0.0, 0.0, 1.5])
    camera = torch.tensor([[6.0, 6.0, 5.2, 4.1]], dtype=torch.float64)
    depth = rasterize_depth(triangles, camera, height=9, width=11)[0]
    expected = cast_rays(pixel_rays(camera, 9, 11)[0].reshape(-1, 3), triangles[0]).reshape(9, 11)
    torch.testing.assert_close(depth, expected)


def cast_rays(rays: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """Return z of the nearest hit of each ray (scaled to z = 1), 0 without one (Möller and Trumbore 1997)."""
    origin, first, second = (
        triangles[:, 0],
        triangles[:, 1] - triangles[:, 0],
        triangles[:, 2] - triangles[:, 0],
    )
    across = torch.linalg.cross(rays[:, None], second[None])
    determinant = (first * across).sum(-1)
    u = (-origin * across).sum(-1) / determinant
    turned = torch.linalg.cross(-origin, first)
    v = (rays[:, None] * turned).sum(-1) / determinant
    t = (second * turned).sum(-1) / determinant
    t = torch.where((u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-6), t, torch.inf).amin(dim=1)
    return torch.where(t.isfinite(), t, 0)


def test_cache_keeps_the_first_picture_and_the_newest() -> None:
    """With two places, an update replaces the newer picture and never the first."""
    colours = [torch.full((3, HEIGHT, WIDTH), value) for value in (-0.5, 0.1, 0.7)]
    cache = Cache3D(colours[0], bumpy_depth(), EYE, INTRINSICS)
    for colour in colours[1:]:
        cache.update(colour, bumpy_depth(), EYE, INTRINSICS, align=None)
    views = cache.render(EYE[None], INTRINSICS[None])
    assert [views.pixels[0, n, 0][views.mask[0, n]].mean().item() for n in (0, 1)] == pytest.approx(
        [0.7, -0.5]
    )


def test_alignment_recovers_scale_and_bias_of_inverse_depth() -> None:
    """A depth map that differs by a scale and bias of its inverse is moved onto the target."""
    target = bumpy_depth()
    source = 1 / (1.7 / target + 0.05)
    aligned = align_depth(source, target, torch.ones_like(target), INTRINSICS, method="rigid")
    torch.testing.assert_close(aligned, target, atol=1e-4, rtol=0)


def test_a_new_picture_is_aligned_to_the_cache() -> None:
    """A second picture whose depth has another scale is shown where the first one is."""
    image = torch.rand(3, HEIGHT, WIDTH)
    cache = Cache3D(image, bumpy_depth(), EYE, INTRINSICS)
    cache.update(image, 3 * bumpy_depth(), EYE, INTRINSICS)
    views = cache.render(EYE[None], INTRINSICS[None])
    both = views.mask[0].all(0)
    assert both.sum() > 1000
    assert ((views.depth[0, 0] / views.depth[0, 1])[both] - 1).abs().median() < 0.01


def test_pictures_that_share_nothing_cannot_be_aligned() -> None:
    """Without common pixels the message says what to do."""
    with pytest.raises(LyraSimError, match="shares only 0 pixels"):
        align_depth(bumpy_depth(), bumpy_depth(), torch.zeros(HEIGHT, WIDTH), INTRINSICS)


def test_video_cache_shows_each_time_its_own_picture() -> None:
    """Frame f of the result comes from picture f alone."""
    images = torch.stack([torch.full((3, HEIGHT, WIDTH), value) for value in (-0.5, 0.5)])
    depths = torch.stack([bumpy_depth(0), bumpy_depth(1)])
    poses = torch.stack([moved(0.1), moved(0.4)])
    cameras = INTRINSICS.expand(2, 4)
    views = Cache4D(images, depths, poses, cameras, config=PLAIN).render(poses, cameras)
    for f in (0, 1):
        assert torch.equal(views.mask[f, 0], reliability_mask(depths[f]))
        assert (views.pixels[f, 0][:, views.mask[f, 0]] == images[f, 0, 0, 0]).all()


def test_filled_holes_lie_on_the_background() -> None:
    """Known depth stays, guesses stay, and a hole between a near and a far surface gets the far one."""
    depth = torch.full((1, 16, 16), 6.0)
    depth[:, :, :6] = 2.0
    mask = torch.ones_like(depth)
    mask[:, :, 6:9] = 0
    guess = torch.zeros_like(depth, dtype=torch.bool)
    guess[:, 3, 7] = True
    filled = fill_holes(torch.where(guess, 5.5, depth * mask), mask)
    assert torch.equal(filled[mask > 0], depth[mask > 0])
    assert filled[0, 3, 7] == 5.5
    assert (filled[(mask == 0) & ~guess] > 4.5).all()


def test_frames_without_any_depth_are_filled_with_one() -> None:
    """Nothing known gives a constant instead of an error or NaN."""
    assert (fill_holes(torch.zeros(2, 5, 7), torch.zeros(2, 5, 7)) == 1).all()


@functools.cache
def room_video() -> tuple[Cameras, np.ndarray]:
    """Return cameras along a path through the room, and the true depth that they see."""
    world = box_room()
    w2c = trajectory_w2c(
        "right", frames=5, distance=0.4, center_depth=2.0, start_w2c=np.linalg.inv(world.c2w)
    )
    cameras = Cameras(np.linalg.inv(w2c), np.tile([80.0, 80.0, 80.0, 44.0], (5, 1)), 88, 160)
    return cameras, RayCaster(world).render(cameras, supersample=1)[1]


def warp_video(cameras: Cameras, depth: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    poses, intrinsics = torch.from_numpy(cameras.c2w), torch.from_numpy(cameras.intrinsics)
    first = torch.from_numpy(depth[0])
    return warp_depth(
        first, (first > 0).float(), intrinsics[0], poses[0], poses, intrinsics, height=88, width=160
    )


def test_planes_of_a_room_are_found_and_bound_it() -> None:
    """From one frame, walls, floor and ceiling are found, and their envelope is the depth wherever no box stands."""
    cameras, depth = room_video()
    first, camera = torch.from_numpy(depth[0]), torch.from_numpy(cameras.intrinsics[:1]).float()
    planes = supporting_planes(unproject(first, camera[0]), first > 0)
    assert 4 <= len(planes) <= 6
    envelope = envelope_depth(planes, EYE[None], camera, height=88, width=160, farthest=50.0)[0]
    agrees = (envelope / first - 1).abs() < 0.01
    assert agrees.float().mean() > 0.8
    assert (envelope > 0.98 * first).all()


def test_warped_depth_of_a_room_is_its_depth() -> None:
    """Against the ray caster: below 1% median error where the first frame saw the surface, and beside it too."""
    cameras, depth = room_video()
    warped, mask = warp_video(cameras, depth)
    error = (warped.numpy() - depth) / depth
    seen = mask.numpy() > 0
    assert 0.75 < seen.mean() < 0.99
    assert np.median(np.abs(error[seen])) < 0.002
    assert (np.abs(error[seen]) > 0.05).mean() < 0.02
    assert np.median(np.abs(error[~seen])) < 0.02


def test_guide_may_have_another_size() -> None:
    """The same view at three quarters and at one and a half times the size is covered and has the same depth."""
    cameras, depth = room_video()
    first, pose = torch.from_numpy(depth[0]), torch.from_numpy(cameras.c2w[:1])
    for height, width in ((66, 120), (132, 240)):
        camera = torch.from_numpy(cameras.resized(height, width).intrinsics[:1])
        source = torch.from_numpy(cameras.intrinsics[0])
        warped, mask = warp_depth(first, first, source, pose[0], pose, camera, height=height, width=width)
        shown = torch.nn.functional.interpolate(first[None, None], size=(height, width), mode="nearest")[0]
        assert mask.mean() > 0.97
        assert (warped / shown - 1).abs().median() < 0.02


def test_own_view_of_the_guide_is_exact() -> None:
    """In the conditioning frame itself the guide is the depth that was given."""
    cameras, depth = room_video()
    warped, mask = warp_video(cameras, depth)
    assert (mask[0] == 1).all()
    np.testing.assert_allclose(warped[0].numpy(), depth[0], rtol=1e-5)


def test_guide_survives_a_scene_without_planes_and_without_depth() -> None:
    """Noise has no planes and an empty map has no depth: the guide is finite and positive all the same."""
    for depth in (torch.rand(24, 32) * 5 + 1, torch.zeros(24, 32)):
        poses = torch.stack([moved(0.2), moved(-0.2)])
        warped, mask = warp_depth(
            depth, torch.ones(24, 32), INTRINSICS, EYE, poses, INTRINSICS.expand(2, 4), height=24, width=32
        )
        assert warped.isfinite().all()
        assert (warped > 0).all()
        assert mask.max() == float(depth.max() > 0)


def test_guide_does_not_depend_on_where_the_world_lies() -> None:
    """A world a kilometre from its origin gives the same guide."""
    cameras, depth = room_video()
    far = Cameras(cameras.c2w.copy(), cameras.intrinsics, 88, 160)
    far.c2w[:, :3, 3] += [1000.0, -500.0, 20.0]
    (near_depth, near_mask), (far_depth, far_mask) = warp_video(cameras, depth), warp_video(far, depth)
    assert (near_mask != far_mask).float().mean() < 1e-3
    agree = (near_mask == far_mask) & (near_mask > 0)
    assert ((near_depth / far_depth - 1).abs()[agree] < 1e-3).float().mean() > 0.999
