"""The loss of one step: rendered frames against the teacher's, and direct terms that need no rendering."""

from __future__ import annotations

from dataclasses import asdict

import torch
import torch.nn.functional as F

from generator.decoder.prune import prune
from generator.decoder.rays import ray_length_per_depth
from generator.render import rasterize
from training import losses
from training.dataset import Batch
from training.stage import LossWeights, Stage

FOOTPRINT = 0.6
"""Target standard deviation of a Gaussian, as a share of the width that its cell sees."""


def objective(
    gaussians: torch.Tensor, batch: Batch, stage: Stage, *, cell: int, seed: int
) -> tuple[torch.Tensor, dict[str, float]]:
    """Return the weighted loss of unpruned Gaussians (1, N, 14) and its terms by name."""
    terms = direct_terms(gaussians, batch, stage.weights, cell=cell)
    if stage.targets:
        terms |= rendered_terms(gaussians, batch, stage, seed=seed)
    weights = asdict(stage.weights)
    total = torch.stack([weights[name] * value for name, value in terms.items() if weights[name]]).sum()
    return total, {name: value.item() for name, value in terms.items()}


def direct_terms(
    gaussians: torch.Tensor, batch: Batch, weights: LossWeights, *, cell: int
) -> dict[str, torch.Tensor]:
    """Compare every Gaussian with what its ray hit: distance, colour, footprint."""
    depth = batch.depth[0]
    height, width = depth.shape[1] * cell, depth.shape[2] * cell
    per_depth = ray_length_per_depth(batch.intrinsics[0], (height, width), cell=cell)
    truth = (depth * per_depth).flatten()
    origin = batch.c2w[0, :, :3, 3].repeat_interleave(depth[0].numel(), dim=0)
    predicted = gaussians[0]
    valid = truth > 0
    terms = {}
    if weights.distance:
        distance = (predicted[:, :3] - origin).norm(dim=-1)
        terms["distance"] = losses.log_depth_loss(distance, truth)
    if weights.colour:
        colour = batch.colour[0].permute(0, 2, 3, 1).reshape(-1, 3)
        terms["colour"] = (predicted[:, 11:14] - colour).abs().mean()
    if weights.scale:
        focal = batch.intrinsics[0, :, 0].repeat_interleave(depth[0].numel())
        footprint = (FOOTPRINT * cell * depth.flatten() / focal).clamp(1e-3, 0.29)
        error = (predicted[:, 4:7].log() - footprint.log()[:, None]).abs().mean(dim=-1)
        terms["scale"] = (error * valid).sum() / valid.sum().clamp(min=1)
    if weights.keep:
        kept = keep_pattern(depth.shape, frames=len(depth) // batch.views).flatten()
        terms["keep"] = F.binary_cross_entropy(predicted[:, 3].clamp(1e-4, 1 - 1e-4), kept * 0.94 + 0.03)
    return terms


def rendered_terms(
    gaussians: torch.Tensor, batch: Batch, stage: Stage, *, seed: int
) -> dict[str, torch.Tensor]:
    """Prune, render the target frames and compare colour and depth (paper section 3.3)."""
    generator = torch.Generator().manual_seed(seed)
    kept = prune(gaussians, stage.prune_ratio, random_share=stage.random_share, generator=generator)[0]
    height, width = batch.target_rgb.shape[1:3]
    views = rasterize(
        kept[:, :3],
        kept[:, 4:7],
        kept[:, 7:11],
        kept[:, 3],
        kept[:, 11:14],
        batch.target_c2w,
        batch.target_intrinsics,
        height=height,
        width=width,
    )
    weights, terms = stage.weights, {}
    terms["mse"] = F.mse_loss(views.rgb, batch.target_rgb)
    if weights.ssim:
        terms["ssim"] = losses.ssim_loss(views.rgb.permute(0, 3, 1, 2), batch.target_rgb.permute(0, 3, 1, 2))
    if weights.depth or weights.metric_depth:
        depth = _at_cells(views.depth, batch.target_depth.shape[-1])
        if weights.depth:
            terms["depth"] = losses.depth_loss(depth, batch.target_depth)
        if weights.metric_depth:
            terms["metric_depth"] = losses.log_depth_loss(depth, batch.target_depth)
    if weights.opacity:
        terms["opacity"] = losses.opacity_loss(kept[:, 3])
    return terms


def keep_pattern(shape: torch.Size, *, frames: int) -> torch.Tensor:
    """Return 1 for a fifth of the cells of (F, h, w), spread over rows, columns and frames, else 0.

    It repeats every four rows and columns and every eight frames, because a token knows a cell's place only
    within itself (16 x 16 pixels and 8 frames at 4-pixel cells).
    """
    frame = (torch.arange(shape[0]) % frames % 8)[:, None, None]
    row = (torch.arange(shape[1]) % 4)[None, :, None]
    column = (torch.arange(shape[2]) % 4)[None, None, :]
    return ((row + 2 * column + 3 * frame) % 5 == 0).float()


def _at_cells(depth: torch.Tensor, width: int) -> torch.Tensor:
    cell = depth.shape[-1] // width
    return depth[:, cell // 2 :: cell, cell // 2 :: cell]
