"""Golden files around the network: rays, time maps, encode order, preprocessing, frame choice, PLY."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from generator import metrics
from generator.decoder.frames import VIEW_ORDER, fit_depths, fit_intrinsics, mirror_indices, target_frames
from generator.decoder.latents import denormalize_latents, encode_plucker_maps, encode_time_maps
from generator.decoder.prune import OPACITY
from generator.decoder.rays import pixel_rays, plucker_maps
from generator.decoder.time_maps import embed_times, normalised_times, spread_times
from generator.inputs import relative_c2w
from generator.parity.comparison import Comparison, compare, compare_exact
from generator.parity.lyra_parts import BF16_STEP
from generator.parity.registry import golden, load
from lyra_sim.files.ply import read_ply

RAY_GATE = 1e-6


@golden("plucker_f32*.safetensors")
def plucker_float32(path: Path) -> Iterator[Comparison]:
    """Check Plücker maps and the rays of every stored cell size."""
    tensors = load(path)
    c2w, intrinsics = tensors["c2ws"], tensors["intrinsics"]
    size = (tensors["plucker"].shape[-2], tensors["plucker"].shape[-1])
    yield compare(
        "plucker", plucker_maps(c2w, intrinsics, size), tensors["plucker"], gate=RAY_GATE, relative=1e-6
    )
    for name in sorted(tensors):
        if match := re.fullmatch(r"rays_(os|ds)_f(\d+)", name):
            rays = pixel_rays(c2w, intrinsics, size, cell=int(match[2]))
            yield compare(name, rays[match[1] == "ds"], tensors[name], gate=RAY_GATE)


@golden("plucker_bf16*.safetensors")
def plucker_bfloat16(path: Path) -> Iterator[Comparison]:
    """Check the bfloat16 rays that the published weights know, beside the float32 ones."""
    tensors = load(path)
    size = (tensors["plucker_f32"].shape[-2], tensors["plucker_f32"].shape[-1])
    for suffix, dtype, gate, relative in (
        ("f32", torch.float32, RAY_GATE, 1e-6),
        ("bf16", torch.bfloat16, 2.0**-8, BF16_STEP),
    ):
        cameras = tensors["c2ws"].to(dtype), tensors["intrinsics"].to(dtype)
        name = f"plucker_{suffix}"
        yield compare(name, plucker_maps(*cameras, size), tensors[name], gate=gate, relative=relative)
        for name in sorted(tensors):
            if match := re.fullmatch(rf"rays_(os|ds)_{suffix}_f(\d+)", name):
                rays = pixel_rays(*cameras, size, cell=int(match[2]))
                yield compare(name, rays[match[1] == "ds"], tensors[name], gate=gate, relative=relative)


@golden("ray_condition_flip*.safetensors")
def mirrored_rays(path: Path) -> Iterator[Comparison]:
    """Check rays whose flagged frames run through the columns from right to left."""
    tensors = load(path)
    size = (tensors["plucker"].shape[-2], tensors["plucker"].shape[-1])
    cameras = tensors["c2ws"], tensors["intrinsics"]
    flipped = tensors["flip_flag"][None, :, None, None, None]

    def mirror(maps: Tensor) -> Tensor:
        return torch.where(flipped, maps.flip(-1), maps)

    origins, directions = pixel_rays(*cameras, size)
    ours = {"rays_os": origins, "rays_ds": directions, "plucker": plucker_maps(*cameras, size)}
    for name, maps in ours.items():
        yield compare(name, mirror(maps), tensors[name], gate=RAY_GATE, relative=1e-6)


@golden("time_embedding*.safetensors")
def time_embedding(path: Path) -> Iterator[Comparison]:
    """Check the sinusoids (with and without the raw value) and the maps the encoder sees."""
    tensors = load(path)
    times = tensors["t"]
    for name in sorted(tensors):
        if match := re.fullmatch(r"emb(\d+)(_orig)?", name):
            ours = embed_times(times, int(match[1]), keep_raw=bool(match[2]))
            yield compare(name, ours, tensors[name], gate=RAY_GATE)
    size = (tensors["map3"].shape[-2], tensors["map3"].shape[-1])
    maps = spread_times(embed_times(times)[None], size)
    yield compare("map3", maps, tensors["map3"], gate=RAY_GATE)
    yield compare("vae_input", 2 * maps - 1, tensors["vae_input"], gate=RAY_GATE)


@golden("encode_order_fake_vae*.safetensors")
def encode_order(path: Path) -> Iterator[Comparison]:
    """Check the order of operations around the encoder, with the file's stand-in for it."""
    tensors = load(path)

    def encode(video: Tensor) -> Tensor:
        return 0.5 * video[:, ::2] + 0.1

    size = (tensors["time_out"].shape[-2], tensors["time_out"].shape[-1])
    ours = encode_time_maps(encode, tensors["time_in"], tensors["time_target_in"], size)
    yield compare("time_out", ours, tensors["time_out"], gate=RAY_GATE)
    frames, encoded = tensors["plucker_in"].shape[1], tensors["plucker_out"].shape[1]
    views = next(
        (v for v in range(1, frames + 1) if frames % v == 0 and -(-frames // v // 2) * v == encoded), 1
    )
    ours = encode_plucker_maps(encode, tensors["plucker_in"], views)
    yield compare("plucker_out", ours, tensors["plucker_out"], gate=RAY_GATE)


@golden("denormalize_latents*.safetensors")
def denormalize(path: Path) -> Iterator[Comparison]:
    """Check the way from diffusion-space latents to raw ones, axes included."""
    tensors = load(path)
    channels = tensors["mean"].shape[1]
    stored = tensors["latents_raw"].unflatten(0, (-1, channels))
    ours = denormalize_latents(stored, tensors["mean"], tensors["std"])
    yield compare("latents", ours, tensors["latents"], gate=RAY_GATE, relative=1e-6)


@golden("preprocess*.safetensors")
def preprocess(path: Path) -> Iterator[Comparison]:
    """Check canonical cameras, intrinsics of the resized images, depth cleaning and normalised times."""
    tensors = load(path)
    count, frames = len(tensors["c2ws_input"]), len(tensors["time_embeddings"])
    c2w = relative_c2w(tensors["c2ws_in"])
    yield compare("c2ws_input", c2w[:count], tensors["c2ws_input"], gate=1e-5)
    view_matrices = torch.linalg.inv(c2w[count:]).transpose(-1, -2)
    yield compare("cam_view", view_matrices, tensors["cam_view"], gate=1e-5)
    depths = tensors["depths_in"]
    source = (depths.shape[-2], depths.shape[-1])
    size = (tensors["depths_output"].shape[-2], tensors["depths_output"].shape[-1])
    intrinsics = fit_intrinsics(tensors["intrinsics_in"], source, size)
    yield compare("intrinsics_input", intrinsics[:count], tensors["intrinsics_input"], gate=1e-4)
    yield compare("intrinsics_target", intrinsics[count:], tensors["intrinsics_target"], gate=1e-4)
    yield compare_exact("depths_output", fit_depths(depths, size), tensors["depths_output"])
    steps = tensors["timesteps_in"]
    times = normalised_times(steps[:frames], steps[-1:])
    for name, ours in zip(("time_embeddings", "time_embeddings_target"), times, strict=True):
        yield compare(name, embed_times(ours), tensors[name], gate=RAY_GATE)


@golden("index_selection*.json")
def index_selection(path: Path) -> Iterator[Comparison]:
    """Check mirrored frame indices and the frames and views of the published demos."""
    facts = json.loads(path.read_text())
    for key, indices in facts["mirror_frame_indices"].items():
        wanted, available = ast.literal_eval(key)
        name = f"mirror_frame_indices{key}"
        yield compare_exact(name, torch.tensor(mirror_indices(wanted, available)), torch.tensor(indices))
    static = facts["static_infer"]
    frames = static["frame_indices_first_view"]
    yield compare_exact("targets", torch.tensor(target_frames(len(frames))), torch.tensor(static["targets"]))
    order = torch.tensor([int(view) for view in VIEW_ORDER])
    stored = torch.tensor([int(view) for view in static["view_indices"]])
    yield compare_exact("view_indices", order, stored)


@golden("ply*.safetensors", also=("gaussians_orig*.ply",))
def ply(path: Path) -> Iterator[Comparison]:
    """Check that the official PLY files read back as the stored Gaussians: as they are, cut, and scaled."""
    tensors = load(path)
    stored = tensors["gaussians"][0]
    yield compare(
        "loaded_back", _ply_rows(path.with_name("gaussians_orig.ply")), tensors["loaded_back"], gate=1e-5
    )
    opaque = stored[stored[:, OPACITY] >= 0.005]
    doubled = stored * torch.tensor([2.0] * 3 + [1.0] + [2.0] * 3 + [1.0] * 7)
    for name, wanted in (("gaussians_orig_pruned.ply", opaque), ("gaussians_orig_scale2.ply", doubled)):
        if path.with_name(name).exists():
            yield compare(f"gaussians[{name}]", _ply_rows(path.with_name(name)), wanted, gate=1e-5)


def _ply_rows(path: Path) -> Tensor:
    """Read a PLY file as (N, 14) Gaussians."""
    read = read_ply(path)
    parts = [read.means, read.opacities[:, None], read.scales, read.rotations, read.rgb]
    return torch.from_numpy(np.concatenate(parts, axis=1))


@golden("metrics*.safetensors")
def image_metrics(path: Path) -> Iterator[Comparison]:
    """Check PSNR and SSIM per image; the cropped and resized images of the file are not ours to make."""
    tensors = load(path)
    pairs = list(zip(*(tensors[name].permute(0, 2, 3, 1).numpy() for name in ("pred", "gt")), strict=True))
    psnr = torch.tensor([metrics.psnr(*pair) for pair in pairs])
    yield compare("psnr", psnr, tensors["psnr"], gate=1e-4)
    ssim = torch.tensor([metrics.ssim(*pair) for pair in pairs])
    yield compare("ssim_pred_clamped", ssim, tensors["ssim_pred_clamped"], gate=1e-5)
