"""Optimise the Gaussians of one scene against the teacher's own frames, after decoding (`gen --refine N`).

The paper does without it: its decoder is feed-forward. Here it is a choice of the user, off by default, for scenes that
are worth the time. Nothing but the frames that were decoded from takes part; held-out ones only judge.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch

from generator import metrics
from generator.cameras import Cameras
from generator.render import rasterize, render_views
from generator.ssim import ssim_loss
from generator.teachers.teacher import Clip, Progress, TeacherVideo
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians

REPORT_EVERY = 10
"""Steps between two reports of progress."""


@dataclass(frozen=True)
class RefineConfig:
    """Say how fast the Gaussians may change; rates are Adam's, and fall to a tenth along the way."""

    colour: float = 0.005
    """Rate of the colours [sRGB]."""
    opacity: float = 0.03
    """Rate of the opacities' logits."""
    scale: float = 0.01
    """Rate of the scales' logarithms."""
    position: float = 0.02
    """Rate of the centres, in units of each Gaussian's own mean standard deviation."""
    rotation: float = 0.005
    """Rate of the quaternions' components."""
    ssim_share: float = 0.2
    """Weight of 1 - SSIM; the rest is the mean absolute error (3D Gaussian Splatting, Kerbl et al. 2023)."""
    views: int = 2
    """Frames rendered per step."""
    seed: int = 0
    """Decides the order of the frames and the colours behind them."""


@dataclass(frozen=True)
class Refinement:
    """Say what an optimisation was worth: PSNR [dB] before and after."""

    steps: int
    """Optimiser steps."""
    input_psnr_db: tuple[float, float]
    """At the last frame of every clip, which the optimisation saw."""
    held_out_psnr_db: tuple[float, float] | None
    """At the held-out cameras, which it did not see; None where there are none."""

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON types, rounded to a hundredth."""
        pairs = {k: v and [round(x, 2) for x in v] for k, v in asdict(self).items() if k != "steps"}
        return {"steps": self.steps, **pairs}

    @property
    def sentence(self) -> str:
        """What a person is told."""
        before, after = self.held_out_psnr_db or self.input_psnr_db
        where = "held-out views" if self.held_out_psnr_db else "its own views"
        return f"Refined by {self.steps} steps: {before:.2f} to {after:.2f} dB at {where}"


class _Parameters:
    """Hold the Gaussians as free parameters around their decoded values."""

    def __init__(self, gaussians: Gaussians, config: RefineConfig, device: torch.device | str) -> None:
        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.array(array, np.float32)).to(device)

        self.means, self.unit = tensor(gaussians.means), tensor(gaussians.scales).mean(dim=1, keepdim=True)
        starts = {
            "colour": tensor(gaussians.rgb),
            "opacity": torch.logit(tensor(gaussians.opacities), eps=1e-4),
            "scale": tensor(gaussians.scales).clamp(min=1e-6).log(),
            "position": torch.zeros_like(self.means),
            "rotation": tensor(gaussians.rotations),
        }
        self.free = {name: value.requires_grad_() for name, value in starts.items()}
        groups = [{"params": [p], "lr": getattr(config, name)} for name, p in self.free.items()]
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15)

    def activated(self) -> tuple[torch.Tensor, ...]:
        """Return means, scales, rotations, opacities and colours, as the renderer takes them."""
        free = self.free
        means = self.means + self.unit * free["position"]
        return means, free["scale"].exp(), free["rotation"], free["opacity"].sigmoid(), free["colour"]

    def gaussians(self) -> Gaussians:
        """Return the present values."""
        with torch.no_grad():
            means, scales, rotations, opacities, colours = (x.cpu().numpy() for x in self.activated())
        rotations = rotations / np.linalg.norm(rotations, axis=1, keepdims=True)
        return Gaussians.from_rgb(means, scales, rotations, opacities, colours.clip(0, 1))


def refine(
    gaussians: Gaussians,
    video: TeacherVideo,
    *,
    steps: int,
    config: RefineConfig | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> tuple[Gaussians, Refinement]:
    """Return the Gaussians after some steps against the video's input frames, and what they gained.

    Args:
        gaussians: Decoded Gaussians of one colour each, in the video's world frame.
        video: The clips they were decoded from; held-out frames are compared with and nothing else.
        steps: Optimiser steps, at least 1.
        config: Rates and loss.
        device: Where to render; the compiled renderer on a CPU, gsplat on CUDA.
        progress: Told every few steps.

    Raises:
        LyraSimError: There is no step to do, or the Gaussians' colours depend on the view.
    """
    if steps < 1:
        raise LyraSimError(f"refine: {steps} steps; give 1 or more")
    if gaussians.sh_degree:
        raise LyraSimError("refine: these colours depend on the view; it takes Gaussians of one colour each")
    config = config or RefineConfig()
    cameras = Cameras.joined(clip.cameras for clip in video.clips)
    frames = np.concatenate([clip.rgb for clip in video.clips])
    parameters = _Parameters(gaussians, config, device)
    schedule = torch.optim.lr_scheduler.ExponentialLR(parameters.optimizer, 0.1 ** (1 / steps))
    backgrounds = np.random.default_rng([config.seed, 1]).uniform(0, 1, (steps, 3))
    for step, chosen in enumerate(_order(len(frames), steps, config)):
        # Before another colour in every step, emptiness can be mistaken for no surface's colour.
        behind = tuple(backgrounds[step].tolist())
        loss = _loss(parameters, cameras.select(chosen), frames[chosen], behind, config)
        parameters.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters.optimizer.step()
        schedule.step()
        if progress and (step + 1) % REPORT_EVERY == 0:
            progress((step + 1) / steps, f"refining, step {step + 1} of {steps}")
    refined = parameters.gaussians()
    return refined, _compare(gaussians, refined, video, steps)


def _order(count: int, steps: int, config: RefineConfig) -> list[np.ndarray]:
    """Return the frames of every step: all frames in a random order, then in another one."""
    rng = np.random.default_rng(config.seed)
    rounds = -(-steps * config.views // count)
    order = np.concatenate([rng.permutation(count) for _ in range(rounds)])
    return [order[step * config.views : (step + 1) * config.views] for step in range(steps)]


def _loss(
    parameters: _Parameters,
    cameras: Cameras,
    frames: np.ndarray,
    background: tuple[float, ...],
    config: RefineConfig,
) -> torch.Tensor:
    """Return the mean absolute error of rendered frames, mixed with 1 - SSIM."""
    device = parameters.means.device
    poses = (torch.from_numpy(x.astype(np.float32)).to(device) for x in (cameras.c2w, cameras.intrinsics))
    height, width = cameras.height, cameras.width
    parts = parameters.activated()
    rendered = rasterize(*parts, *poses, height=height, width=width, background=background).rgb
    truth = torch.from_numpy(frames).to(device).float() / 255
    similarity = ssim_loss(rendered.permute(0, 3, 1, 2), truth.permute(0, 3, 1, 2))
    return (1 - config.ssim_share) * (rendered - truth).abs().mean() + config.ssim_share * similarity


def _compare(before: Gaussians, after: Gaussians, video: TeacherVideo, steps: int) -> Refinement:
    """Measure both at the last frame of every clip, and at the held-out cameras."""
    ends = Cameras.joined(clip.cameras.select(slice(-1, None)) for clip in video.clips)
    last = np.concatenate([clip.rgb[-1:] for clip in video.clips])

    def both(cameras: Cameras, frames: np.ndarray) -> tuple[float, float]:
        return _psnr(before, cameras, frames), _psnr(after, cameras, frames)

    held_out: Clip | None = video.held_out
    judged = None if held_out is None else both(held_out.cameras, held_out.rgb)
    return Refinement(steps, both(ends, last), judged)


def _psnr(gaussians: Gaussians, cameras: Cameras, frames: np.ndarray) -> float:
    views = render_views(
        gaussians, cameras.c2w, cameras.intrinsics, height=cameras.height, width=cameras.width
    )
    return metrics.mean_psnr(views.rgb.numpy(), frames / np.float32(255))
