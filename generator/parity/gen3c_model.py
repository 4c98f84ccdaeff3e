"""Golden files of GEN3C's networks and sampling loop (folders laid out as golden/gen3c)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import CosmosTransformer3DModel
from safetensors import safe_open
from torch import Tensor

from generator.parity.comparison import Comparison, compare
from generator.parity.registry import golden, load, load_weights
from generator.teachers.gen3c.conditioning import Conditioning, build_conditioning
from generator.teachers.gen3c.keys import diffusers_key
from generator.teachers.gen3c.sampler import denoise, make_scheduler
from generator.teachers.gen3c.transformer import FULL_CONFIGURATION, provide_mask_resize
from generator.tokenizer import CosmosTokenizer
from lyra_sim.errors import LyraSimError

_GATE = 1e-4


@golden("dit_keys*.json")
def official_keys(path: Path) -> Iterator[Comparison]:
    """Check the renaming of the published weights."""
    try:
        table: dict[str, str | None] = json.loads(path.read_text())["official_to_diffusers"]
    except (OSError, ValueError) as error:
        raise LyraSimError(f"{path.name} cannot be read as JSON ({error})") from error
    wrong = [name for name, wanted in table.items() if diffusers_key(name) != wanted]
    yield Comparison(
        "official_to_diffusers", len(wrong), f"0 of {len(table)} names", not wrong, "; ".join(wrong)[:200]
    )


@golden("dit*.safetensors")
def denoiser(path: Path) -> Iterator[Comparison]:
    """Check the denoiser on every stored case, after its first block and at its end, and its position codes."""
    tensors = load(path)
    network = load_denoiser(path)
    first_block: list[Tensor] = []
    network.transformer_blocks[0].register_forward_hook(lambda _, __, output: first_block.append(output))
    conditioning = Conditioning(tensors["in.x"], tensors["in.mask"][:, :, :, :1, :1], tensors["in.pose"])
    for case in sorted(name.removesuffix(".out") for name in tensors if name.endswith(".out")):
        inputs = conditioning.network_input(tensors["in.x"], with_buffers=case != "uncond")
        with torch.no_grad():
            (output,) = network(
                inputs,
                tensors[f"{case}.timestep"],
                tensors["in.ctx"],
                fps=int(tensors[f"{case}.fps"]),
                padding_mask=tensors[f"{case}.padding_mask"],
                return_dict=False,
            )
        block = tensors[f"{case}.after_block0"]
        yield compare(f"{case}.after_block0", first_block.pop().view_as(block), block, gate=_GATE)
        yield compare(f"{case}.out", output, tensors[f"{case}.out"], gate=_GATE)
    with torch.no_grad():
        extra = network.learnable_pos_embed(tensors["in.x"])
    yield compare("extra_pos", extra.view_as(tensors["extra_pos"]), tensors["extra_pos"], gate=_GATE)
    angles = tensors["rope_angles.fps24"]
    cosine, _ = network.rope(tensors["in.x"], fps=24)
    yield compare("rope_angles.fps24 [cosine]", cosine.view_as(angles), angles.cos(), gate=_GATE)


@golden("sampler*.safetensors", also=("dit.safetensors",))
def sampler(path: Path) -> Iterator[Comparison]:
    """Check conditioning latents, noise levels, every step and the end of the official sampling loop."""
    tensors, metadata = load(path), _metadata(path)
    network = load_denoiser(path.with_name(metadata["weights"]))
    conditioning = build_conditioning(
        tensors["in.image"] / 127,
        tensors["in.warps"] / 127,
        tensors["in.masks"].float(),
        lambda video: _toy_encode(video, tensors["tok.W"]),
        max_buffers=int(metadata["frame_buffer_max"]),
    )
    mask = tensors["mid.input_mask"]
    yield compare(
        "mid.condition_latent", conditioning.image_latent, tensors["mid.condition_latent"], gate=_GATE
    )
    yield compare("mid.input_mask", conditioning.indicator.expand_as(mask).contiguous(), mask, gate=0.0)
    yield compare("mid.pose_cond", conditioning.buffers, tensors["mid.pose_cond"], gate=_GATE)
    scheduler = make_scheduler()
    inputs: list[Tensor] = []
    latents: list[Tensor] = []

    def run(x: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        inputs.append(x)
        padding = x.new_zeros(1, 1, *tensors["in.image"].shape[-2:])
        fps = int(metadata["fps"])
        return network(x, timestep, text, fps=fps, padding_mask=padding, return_dict=False)[0]

    def keep(step: int, timestep: Tensor, latent: Tensor) -> Tensor:
        latents.append(latent)
        return latent

    with torch.no_grad():
        result = denoise(
            run,
            scheduler,
            conditioning,
            tensors["in.ctx"],
            tensors["in.neg_ctx"],
            tensors["in.init_noise_unit"],
            tensors["in.condition_noise"],
            steps=int(metadata["steps"]),
            guidance=float(metadata["guidance"]),
            on_step=keep,
        )
    channels = result.shape[1]
    ours = {
        "mid.pose_uncond": inputs[1][:, channels + 1 :],
        "mid.sigmas": scheduler.sigmas,
        "mid.timesteps": scheduler.timesteps,
        "mid.net_input_step0": inputs[0][:, :channels],
        "mid.net_input_last": inputs[-1][:, :channels],
        "mid.prev_samples": torch.stack(latents),
        "out.latent": result,
    }
    for name, value in ours.items():
        yield compare(name, value, tensors[name], gate=_GATE)


@golden("vae*.safetensors")
def tokenizer(path: Path) -> Iterator[Comparison]:
    """Check that the tokenizer encodes and decodes as the official one."""
    tensors = load(path)
    network = CosmosTokenizer(json.loads(_metadata(path)["config"]))
    load_weights(network.network, tensors, "weights.")
    with torch.no_grad():
        yield compare("out.latent", network.encode(tensors["in.video"]), tensors["out.latent"], gate=_GATE)
        yield compare("out.video", network.decode(tensors["out.latent"]), tensors["out.video"], gate=_GATE)


def load_denoiser(path: Path) -> CosmosTransformer3DModel:
    """Build the denoiser that a golden file describes in its metadata, with the weights that it holds."""
    provide_mask_resize()
    size = json.loads(_metadata(path)["config"])
    network = CosmosTransformer3DModel(
        **{
            **FULL_CONFIGURATION,
            "num_attention_heads": size["heads"],
            "attention_head_dim": size["hd"],
            "num_layers": size["blocks"],
            "text_embed_dim": size["text"],
            "adaln_lora_dim": size["lora"],
            "max_size": (size["max_t"], size["max_h"], size["max_w"]),
        }
    )
    load_weights(network, load(path), "weights.")
    return network


def _toy_encode(video: Tensor, mix: Tensor) -> Tensor:
    """Encode as the golden file's stand-in tokenizer: means over 8x8 pixels and 1, 8, 8, ... frames, mixed."""
    cells = F.avg_pool3d(video, (1, 8, 8))
    frames = [group.mean(dim=2) for group in (cells[:, :, :1], *cells[:, :, 1:].split(8, dim=2))]
    return 0.5 * torch.einsum("oc,bcthw->bothw", mix, torch.stack(frames, dim=2))


def _metadata(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise LyraSimError(f"{path.name} is missing")
    with safe_open(path, "pt") as file:
        return file.metadata() or {}
