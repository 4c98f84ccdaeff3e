"""Rays and Plücker maps obey the geometry of a pinhole camera."""

from __future__ import annotations

import torch
from scipy.spatial.transform import Rotation

from generator.decoder.rays import (
    frames_to_latent_channels,
    pixel_rays,
    plucker_maps,
    ray_length_per_depth,
)

SIZE = (32, 48)


def cameras() -> tuple[torch.Tensor, torch.Tensor]:
    """Return three random rigid camera-to-world poses (1, 3, 4, 4) and their intrinsics, float64."""
    c2w = torch.eye(4, dtype=torch.float64).repeat(1, 3, 1, 1)
    c2w[0, :, :3, :3] = torch.from_numpy(Rotation.random(3, random_state=0).as_matrix())
    c2w[0, :, :3, 3] = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return c2w, torch.tensor([40.0, 42.0, 25.0, 15.0], dtype=torch.float64).repeat(1, 3, 1)


def test_a_point_on_a_ray_projects_to_the_centre_of_its_cell() -> None:
    """Walking along a ray and projecting back gives the pixel centre, at full and at cell resolution."""
    c2w, intrinsics = cameras()
    for cell in (1, 4, 8):
        origins, directions = pixel_rays(c2w, intrinsics, SIZE, cell=cell)
        points = (origins + 2.5 * directions).flatten(-2)
        local = torch.linalg.inv(c2w)[..., :3, :3] @ (points - c2w[..., :3, 3:])
        fx, fy, cx, cy = intrinsics[..., None].unbind(-2)
        u = (fx * local[..., 0, :] / local[..., 2, :] + cx).unflatten(-1, origins.shape[-2:])
        v = (fy * local[..., 1, :] / local[..., 2, :] + cy).unflatten(-1, origins.shape[-2:])
        columns = (torch.arange(SIZE[1] // cell, dtype=torch.float64) + 0.5) * cell
        rows = (torch.arange(SIZE[0] // cell, dtype=torch.float64) + 0.5) * cell
        torch.testing.assert_close(u, columns.expand_as(u))
        torch.testing.assert_close(v, rows[:, None].expand_as(v))


def test_plucker_maps_hold_moment_then_unit_direction() -> None:
    """Directions have length 1, moments are perpendicular to them, and any point of the ray gives the moment."""
    c2w, intrinsics = cameras()
    moment, direction = plucker_maps(c2w, intrinsics, SIZE).split(3, dim=2)
    origins, _ = pixel_rays(c2w, intrinsics, SIZE)
    torch.testing.assert_close(direction.norm(dim=2), torch.ones_like(direction[:, :, 0]))
    torch.testing.assert_close((moment * direction).sum(2), torch.zeros_like(moment[:, :, 0]))
    torch.testing.assert_close(torch.linalg.cross(origins + 3 * direction, direction, dim=2), moment)


def test_ray_length_turns_depth_into_distance() -> None:
    """A point at distance (length x depth) along the unit ray has that z-depth in its camera."""
    c2w, intrinsics = cameras()
    length = ray_length_per_depth(intrinsics, SIZE, cell=4)
    origins, directions = pixel_rays(c2w, intrinsics, SIZE, cell=4)
    points = origins + directions * (7.0 * length)[:, :, None]
    forward = c2w[..., :3, 2, None, None]
    depth = ((points - origins) * forward).sum(2)
    torch.testing.assert_close(depth, torch.full_like(depth, 7.0))


def test_bfloat16_grid_is_as_coarse_as_the_published_one() -> None:
    """At 1280 columns only 481 distinct x coordinates survive bfloat16, as the official pipeline has it."""
    c2w = torch.eye(4, dtype=torch.bfloat16)[None]
    intrinsics = torch.tensor([[1.0, 1.0, 0.0, 0.0]], dtype=torch.bfloat16)
    _, directions = pixel_rays(c2w, intrinsics, (1, 1280))
    assert directions.dtype == torch.bfloat16
    columns = torch.linspace(0, 1279, 1280, dtype=torch.bfloat16) + 0.5
    assert len(columns.unique()) == 481


def test_latent_frames_stack_their_video_frames() -> None:
    """Latent frame 0 holds frame 0 eight times; latent frame k holds frames 8k-7 to 8k in order."""
    maps = torch.arange(17.0)[None, :, None, None, None].expand(1, 17, 2, 1, 1)
    stacked = frames_to_latent_channels(maps, 8)[0, :, ::2, 0, 0]
    assert stacked.shape == (3, 8)
    assert stacked[0].tolist() == [0.0] * 8
    assert stacked[2].tolist() == [float(i) for i in range(9, 17)]
