"""Colours of spherical harmonics follow the camera as in 3D Gaussian Splatting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gaussian_scenes import random_gaussians
from render_scenes import assert_agree

from generator.render import render_views
from generator.render.harmonics import view_colors
from lyra_sim.gaussians import SH_C0, Gaussians
from lyra_sim.transform import Similarity, with_sh_degree

SIZE = {"height": 28, "width": 40}
INTRINSICS = np.array([[34.0, 33.0, 20.5, 13.0]])


def scene(degree: int) -> Gaussians:
    """Return Gaussians in front of a camera at the origin, with strong view dependence."""
    gaussians = random_gaussians(80, degree=degree, seed=degree)
    means = gaussians.means * np.array([0.3, 0.3, 0.1], np.float32) + np.array([0, 0, 4], np.float32)
    scales = np.full((80, 3), 0.2, np.float32)
    return Gaussians(means, scales, gaussians.rotations, gaussians.opacities, gaussians.sh)


@pytest.mark.parametrize(
    ("axis", "coefficient", "factor"),
    [
        ((0, 0, 1), 2, 0.4886025),
        ((0, 1, 0), 1, -0.4886025),
        ((1, 0, 0), 3, -0.4886025),
        ((0, 0, 1), 6, 0.6307831),
    ],
)
def test_colour_is_the_published_formula(axis: tuple[int, ...], coefficient: int, factor: float) -> None:
    """Seen along an axis, one coefficient adds its published basis value to one half."""
    sh = np.zeros((1, 16, 3), np.float32)
    sh[0, coefficient] = (0.5, 0.1, -0.2)
    one = np.ones((1, 4), np.float32)
    means = 3 * np.array([axis], np.float32)
    gaussians = Gaussians(means, one[:, :3], one / 2, one[:, 0], sh)
    expected = 0.5 + factor * sh[0, coefficient]
    np.testing.assert_allclose(view_colors(gaussians, np.zeros(3))[0], expected, atol=1e-6)


def test_colour_is_never_negative() -> None:
    """Harmonics that sum to less than black give black."""
    sh = np.full((1, 1, 3), -2 / SH_C0, np.float32)
    one = np.ones((1, 4), np.float32)
    assert not view_colors(Gaussians(one[:, :3], one[:, :3], one / 2, one[:, 0], sh), np.zeros(3)).any()


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_turning_scene_and_camera_together_changes_nothing(degree: int) -> None:
    """A rigid motion of a scene, its harmonics included, and of the camera leaves the picture as it was."""
    angle = 0.7
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    ) @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    move = Similarity(turn, np.array([1.0, -2.0, 0.5]))
    pose = np.eye(4)
    moved_pose = np.eye(4)
    moved_pose[:3, :3], moved_pose[:3, 3] = turn, move.translation
    before = render_views(scene(degree), pose[None], INTRINSICS, **SIZE)
    after = render_views(move.gaussians(scene(degree)), moved_pose[None], INTRINSICS, **SIZE)
    assert before.alpha.mean() > 0.1
    assert_agree(after.rgb, before.rgb, "rgb", share=0.99)


def test_views_of_view_dependent_scenes_are_coloured_one_by_one() -> None:
    """Several cameras in one call give what each gives alone, and the colours differ between them."""
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[1, :3, 3] = (0.8, 0.3, 0.0)
    both = render_views(scene(3), poses, np.tile(INTRINSICS, (2, 1)), **SIZE)
    for view in range(2):
        alone = render_views(scene(3), poses[view : view + 1], INTRINSICS, **SIZE)
        assert torch.equal(both.rgb[view], alone.rgb[0])
        assert torch.equal(both.depth[view], alone.depth[0])
    flat = render_views(with_sh_degree(scene(3), 0), poses, np.tile(INTRINSICS, (2, 1)), **SIZE)
    assert (both.rgb - flat.rgb).abs().max() > 0.1
    assert torch.equal(both.alpha, flat.alpha)
    assert render_views(scene(3), poses[:0], INTRINSICS[:0], **SIZE).rgb.shape == (0, 28, 40, 3)
