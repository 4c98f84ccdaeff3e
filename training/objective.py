"""The loss of one step: rendered frames against the teacher's, and direct terms that need no rendering."""

from __future__ import annotations

from dataclasses import asdict

import torch
import torch.nn.functional as F

from generator.decoder.prune import prune
from generator.decoder.rays import ray_length_per_depth
from generator.render import Rendering, rasterize
from generator.ssim import ssim_loss
from training import losses
from training.dataset import Batch
from training.perceptual import SSIM_IN_ITS_PLACE, PerceptualTerm
from training.stage import LossWeights, Stage

FOOTPRINT = 0.6
"""Target standard deviation of a Gaussian, as a share of the width that its cell sees."""
OPAQUE, REPEATED, HIDDEN = 0.95, 0.6, 0.03
"""Opacities that `keep_pattern` asks for."""


def objective(
    gaussians: torch.Tensor,
    batch: Batch,
    stage: Stage,
    *,
    cell: int,
    seed: int,
    perceptual: PerceptualTerm | None = None,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Return the weighted loss of unpruned Gaussians (1, N, 14) and its terms by name.

    Args:
        gaussians: Activated Gaussians, (1, N, 14).
        batch: What they are compared with.
        stage: Weights, pruning and frames to render.
        cell: Pixels per output cell along an axis.
        seed: Decides the random share of the kept Gaussians.
        perceptual: The term of the weight `lpips`; `SSIM_IN_ITS_PLACE` when left out.
    """
    terms = direct_terms(gaussians, batch, stage.weights, cell=cell)
    if stage.targets:
        terms |= rendered_terms(
            gaussians, batch, stage, seed=seed, perceptual=perceptual or SSIM_IN_ITS_PLACE
        )
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
        wanted = keep_pattern(batch.cache_mask[0], frames=len(depth) // batch.views).flatten()
        terms["keep"] = F.binary_cross_entropy(predicted[:, 3].clamp(1e-4, 1 - 1e-4), wanted)
    return terms


def rendered_terms(
    gaussians: torch.Tensor, batch: Batch, stage: Stage, *, seed: int, perceptual: PerceptualTerm
) -> dict[str, torch.Tensor]:
    """Prune, render the target frames and compare colour and depth (paper section 3.3)."""
    generator = torch.Generator(device=gaussians.device).manual_seed(seed)
    kept = prune(gaussians, stage.prune_ratio, random_share=stage.random_share, generator=generator)[0]
    views = render_targets(kept, batch)
    weights, terms = stage.weights, {}
    terms["mse"] = F.mse_loss(views.rgb, batch.target_rgb)
    if weights.ssim:
        terms["ssim"] = ssim_loss(views.rgb.permute(0, 3, 1, 2), batch.target_rgb.permute(0, 3, 1, 2))
    if weights.lpips:
        pair = (views.rgb.permute(0, 3, 1, 2), batch.target_rgb.permute(0, 3, 1, 2))
        terms["lpips"] = perceptual(*pair)
    if weights.depth or weights.metric_depth:
        depth = _at_cells(views.depth, batch.target_depth.shape[-1])
        if weights.depth:
            terms["depth"] = losses.depth_loss(depth, batch.target_depth, official=weights.official)
        if weights.metric_depth:
            terms["metric_depth"] = losses.log_depth_loss(depth, batch.target_depth)
    if weights.coverage:
        seen = F.interpolate((batch.target_depth[:, None] > 0).float(), size=views.alpha.shape[-2:])[:, 0]
        terms["coverage"] = ((1 - views.alpha) * seen).mean()
    if weights.opacity:
        terms["opacity"] = losses.opacity_loss(kept[:, 3], official=weights.official)
    return terms


def render_targets(kept: torch.Tensor, batch: Batch) -> Rendering:
    """Render Gaussians (K, 14), as the decoder lays them out, at the target frames of a batch."""
    height, width = batch.target_rgb.shape[1:3]
    parts = kept[:, :3], kept[:, 4:7], kept[:, 7:11], kept[:, 3], kept[:, 11:14]
    return rasterize(*parts, batch.target_c2w, batch.target_intrinsics, height=height, width=width)


def keep_pattern(mask: torch.Tensor, *, frames: int) -> torch.Tensor:
    """Return the opacity that every cell of (F, h, w) starts from: about a fifth of them are to be kept.

    The conditioning frame's own cells stay, though not opaque, because every view repeats them; so does half of what
    the conditioning frame did not see (`mask` 0), and a thin lattice of the rest. The lattices repeat every four rows
    and columns and every eight frames, because a token knows a cell's place only within itself.
    """
    frame = (torch.arange(mask.shape[0]) % frames)[:, None, None]
    row = (torch.arange(mask.shape[1]) % 4)[None, :, None]
    column = (torch.arange(mask.shape[2]) % 4)[None, None, :]
    place = 4 * row + column + 5 * (frame % 8)
    rare = torch.where(place % 11 == 0, OPAQUE, HIDDEN)
    unseen = torch.where((row + column + frame) % 2 == 0, OPAQUE, HIDDEN)
    return torch.where(frame == 0, REPEATED, torch.where(mask < 0.5, unseen, rare))


def _at_cells(depth: torch.Tensor, width: int) -> torch.Tensor:
    cell = depth.shape[-1] // width
    return depth[:, cell // 2 :: cell, cell // 2 :: cell]
