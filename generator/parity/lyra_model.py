"""Whole-decoder golden sets: `<set>_config.json` with weights, inputs, outputs and gradients of that name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from generator.decoder.config import DecoderConfig
from generator.decoder.inputs import DecoderInputs
from generator.decoder.model import LyraDecoder
from generator.decoder.prune import OPACITY, prune
from generator.decoder.rays import pixel_rays
from generator.parity.comparison import Comparison, compare, compare_scaled, failure
from generator.parity.registry import golden, load
from lyra_sim.errors import LyraSimError

BLOCK_GATE = 1e-4
POSITION_GATE, POSITION_RELATIVE = 2e-3, 1e-5
CHANNEL_GATE = 2e-5
GRADIENT_SHARE = 2.4e-5

_CONFIG = "_config.json"
_PARTS = ("weights", "inputs", "outputs", "grads")


@golden("*" + _CONFIG, also=tuple(f"*_{part}.safetensors" for part in _PARTS))
def whole_model(path: Path) -> Iterator[Comparison]:
    """Check rays, every intermediate value, the Gaussians, pruning and gradients of one set."""
    stem = path.name.removesuffix(_CONFIG)
    files = {part: path.with_name(f"{stem}_{part}.safetensors") for part in _PARTS}
    facts = _read_facts(path)
    model = LyraDecoder(DecoderConfig.from_official({**facts, **facts.get("overrides", {})})).eval()
    model.load_state_dict(load(files["weights"]))
    tensors = load(files["inputs"])
    inputs = _inputs(tensors, model.config)
    yield from _rays(tensors, model.config)
    outputs = load(files["outputs"])
    with torch.no_grad():
        yield from _intermediate(model, inputs, outputs)
        yield from _gaussians(model, inputs, outputs)
    if files["grads"].exists():
        yield from _gradients(model.double(), inputs.to(torch.float64), load(files["grads"]))


def _read_facts(path: Path) -> dict:
    """Read a set's sizes and overrides."""
    try:
        facts = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise LyraSimError(f"{path.name} cannot be read as JSON ({error})") from error
    if not isinstance(facts, dict):
        raise LyraSimError(f"{path.name} is not a JSON object")
    return facts


def _inputs(tensors: dict[str, Tensor], config: DecoderConfig) -> DecoderInputs:
    """Make decoder inputs of the official names.

    Views follow from the shapes: V*t latent frames stand for V*(8 (t - 1) + 1) video frames.
    """
    joined, frames = tensors["images_input_embed"].shape[1], tensors["rays_os"].shape[1]
    ratio = config.time_compression
    return DecoderInputs(
        tensors["images_input_embed"],
        tensors["plucker_embedding"],
        tensors["rays_os"],
        tensors["rays_ds"],
        (ratio * joined - frames) // (ratio - 1),
        tensors.get("time_embeddings"),
    )


def _rays(tensors: dict[str, Tensor], config: DecoderConfig) -> Iterator[Comparison]:
    """Recompute the rays from the cameras, where the set gives both."""
    if "c2ws_input" not in tensors or "intrinsics_input" not in tensors:
        return
    height, width = (side * config.cell for side in tensors["rays_ds"].shape[-2:])
    rays = pixel_rays(tensors["c2ws_input"], tensors["intrinsics_input"], (height, width), cell=config.cell)
    for name, ours in zip(("rays_os", "rays_ds"), rays, strict=True):
        yield compare(name, ours, tensors[name], gate=CHANNEL_GATE)


def _intermediate(
    model: LyraDecoder, inputs: DecoderInputs, outputs: dict[str, Tensor]
) -> Iterator[Comparison]:
    """Compare what every named stage puts out, caught by hooks during one pass."""
    caught: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: caught.__setitem__(name, out))
        for name, module in model.named_modules()
        if name
    ]
    tokens_in = model.embed(inputs)
    model.raw_volume(inputs)
    for hook in hooks:
        hook.remove()
    for name in sorted(n for n in outputs if n.startswith("mid.")):
        stage = name.removeprefix("mid.")
        block = re.fullmatch(r"block_(\d+)", stage)
        key = f"enc_blocks.{int(block[1])}" if block else stage
        ours = tokens_in if stage == "tokens_in" else caught.get(key)
        if ours is None:
            yield failure(name, "no such stage")
            continue
        yield compare(name, _spread_like(ours, outputs[name]), outputs[name], gate=BLOCK_GATE)


def _spread_like(ours: Tensor, wanted: Tensor) -> Tensor:
    """Repeat time tokens over views (batch axis) and frames (token axis), as goldens may hold them."""
    if ours.dim() != 3 or ours.shape == wanted.shape or wanted.dim() != 3:
        return ours
    over_views, over_frames = wanted.shape[0] // ours.shape[0], wanted.shape[1] // ours.shape[1]
    return ours.repeat_interleave(max(over_views, 1), dim=0).repeat(1, max(over_frames, 1), 1)


def compare_gaussians(name: str, ours: Tensor, wanted: Tensor) -> Iterator[Comparison]:
    """Compare positions and the other channels, each with its own gate."""
    yield compare(
        f"{name}[position]", ours[..., :3], wanted[..., :3], gate=POSITION_GATE, relative=POSITION_RELATIVE
    )
    yield compare(f"{name}[other channels]", ours[..., 3:], wanted[..., 3:], gate=CHANNEL_GATE)


def _gaussians(model: LyraDecoder, inputs: DecoderInputs, outputs: dict[str, Tensor]) -> Iterator[Comparison]:
    """Compare the Gaussians in float32 and float64, and after pruning."""
    gaussians = model(inputs)
    yield from compare_gaussians("gaussians", gaussians, outputs["gaussians"])
    for name in sorted(outputs):
        if pruned := re.fullmatch(r"gaussians_pruned_(\d+)p(\d+)", name):
            ours = prune(gaussians, float(f"{pruned[1]}.{pruned[2]}"))
            yield from compare_gaussians(name, align_order(ours, outputs[name]), outputs[name])
    if "gaussians_f64run" in outputs:
        double = model.double()(inputs.to(torch.float64))
        model.float()
        yield from compare_gaussians("gaussians_f64run", double, outputs["gaussians_f64run"])


def align_order(ours: Tensor, wanted: Tensor, *, reach: int = 4) -> Tensor:
    """Undo swaps of Gaussians with nearly equal opacity: take each from at most `reach` ranks away.

    Both lists are sorted by descending opacity; a rounding error can swap neighbours, no more.
    """
    if ours.shape != wanted.shape:
        return ours
    count = ours.shape[1]
    ranks = torch.arange(count)[:, None] + torch.arange(-reach, reach + 1)
    candidates = ours[:, ranks.clamp(0, max(count - 1, 0))]
    opacity = wanted[:, :, None, OPACITY]
    near = (candidates[..., OPACITY] - opacity).abs() <= CHANNEL_GATE
    distance = torch.where(near, (candidates - wanted[:, :, None]).abs().amax(-1), torch.inf)
    best = distance.argmin(-1)[..., None, None].expand(-1, -1, 1, ours.shape[-1])
    aligned = candidates.gather(2, best).squeeze(2)
    # A rank whose own opacity is off shows a wrong order, which must stay visible.
    return torch.where(near[:, :, reach, None], aligned, ours)


def _gradients(
    model: LyraDecoder, inputs: DecoderInputs, golden_grads: dict[str, Tensor]
) -> Iterator[Comparison]:
    """Compare loss and gradients of mean(gaussians[..., 3:] * probe), in float64 as the goldens were made."""
    inputs.latents.requires_grad_()
    loss = (model(inputs)[..., 3:] * golden_grads["probe"].double()).mean()
    loss.backward()
    yield compare_scaled("loss", loss, golden_grads["loss"], share=GRADIENT_SHARE)
    parameters = dict(model.named_parameters())
    for name in sorted(n for n in golden_grads if n.startswith("grad")):
        key = name.removeprefix("grad.")
        source = inputs.latents if name == "grad_images_input_embed" else parameters.get(key)
        if source is None or source.grad is None:
            yield failure(name, "no such gradient")
        else:
            yield compare_scaled(name, source.grad, golden_grads[name], share=GRADIENT_SHARE)
