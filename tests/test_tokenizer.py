"""The tokenizer: its shapes, its causality, and its CPU path against the stock network and the official one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLCosmos
from safetensors import safe_open

from generator.tokenizer import CosmosTokenizer, accelerate_cpu, fast
from lyra_sim.errors import LyraSimError

TINY = {
    "encoder_block_out_channels": [8, 16, 16, 16],
    "decode_block_out_channels": [8, 16, 16, 16],
    "num_layers": 1,
    "latents_mean": [0.5] * 16,
    "latents_std": [2.0] * 16,
}
GOLDEN = Path(__file__).parent / "data" / "gen3c" / "vae.safetensors"


@pytest.fixture(scope="module")
def tokenizer() -> CosmosTokenizer:
    torch.manual_seed(0)
    return CosmosTokenizer(TINY)


def video(frames: int = 17, height: int = 32, width: int = 48, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, 3, frames, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(("frames", "latent_frames"), [(1, 1), (9, 2), (17, 3)])
def test_shapes(tokenizer: CosmosTokenizer, frames: int, latent_frames: int) -> None:
    """1 + 8k frames become 1 + k latent frames of 16 channels, 8x8 pixels a cell, and come back."""
    with torch.no_grad():
        latents = tokenizer.encode(video(frames, batch=2))
        assert latents.shape == (2, 16, latent_frames, 4, 6)
        assert tokenizer.decode(latents).shape == (2, 3, frames, 32, 48)


def test_frames_are_encoded_as_video(tokenizer: CosmosTokenizer) -> None:
    """Bytes 0 to 255 become [-1, 1], also of arrays that are read only or reversed."""
    rgb = np.random.default_rng(0).integers(0, 256, (9, 16, 24, 3), dtype=np.uint8)
    rgb.flags.writeable = False
    for frames in (rgb, rgb[:, :, ::-1]):
        video = torch.tensor(frames.copy()).permute(3, 0, 1, 2)[None] / 127.5 - 1
        with torch.no_grad():
            expected = tokenizer.encode(video)[0]
        assert torch.equal(tokenizer.encode_frames(frames), expected)


def test_encoding_is_causal(tokenizer: CosmosTokenizer) -> None:
    """Editing frames from 9 on leaves latent frames 0 and 1 as they were, and changes latent frame 2."""
    edited = video()
    edited[:, :, 9:] = -edited[:, :, 9:]
    with torch.no_grad():
        before, after = tokenizer.encode(video()), tokenizer.encode(edited)
    torch.testing.assert_close(before[:, :, :2], after[:, :, :2])
    assert (before[:, :, 2] - after[:, :, 2]).abs().max() > 1e-3


def test_decoding_is_causal(tokenizer: CosmosTokenizer) -> None:
    """Editing latent frame 2 leaves the frames before 9 minus the decoder's look-ahead of none as they were."""
    latents = torch.randn(1, 16, 3, 4, 6, generator=torch.Generator().manual_seed(2))
    edited = latents.clone()
    edited[:, :, 2] += 1
    with torch.no_grad():
        before, after = tokenizer.decode(latents), tokenizer.decode(edited)
    torch.testing.assert_close(before[:, :, :9], after[:, :, :9])
    assert (before[:, :, 9:] - after[:, :, 9:]).abs().max() > 1e-3


@pytest.mark.parametrize("patch_type", ["haar", "rearrange"])
def test_cpu_path_equals_stock(patch_type: str) -> None:
    """The CPU path gives the stock network's latents, video and gradients, under the same parameter names."""
    torch.manual_seed(0)
    stock = AutoencoderKLCosmos(**TINY, patch_type=patch_type)
    fast = accelerate_cpu(stock)
    assert list(fast.state_dict()) == list(stock.state_dict())
    gradients = []
    for network in (stock, fast):
        stock.zero_grad()
        latents = network.encode(video(9)).latent_dist.mode()
        decoded = network.decode(latents).sample
        decoded.square().mean().backward()
        gradients.append((latents, decoded, [p.grad.clone() for p in stock.parameters()]))
    for expected, found in zip(*(g[:2] for g in gradients), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    scale = max(float(g.abs().max()) for g in gradients[0][2])
    for expected, found in zip(gradients[0][2], gradients[1][2], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * scale)


def test_cpu_path_leaves_the_stock_model_alone() -> None:
    """Accelerating makes a twin on the same parameters; the model handed in keeps its classes."""
    stock = AutoencoderKLCosmos(**TINY)
    fast = accelerate_cpu(stock)
    assert type(stock.encoder.patch_embed).__module__.startswith("diffusers")
    assert all(a is b for a, b in zip(stock.parameters(), fast.parameters(), strict=True))


def test_training_after_inference(tokenizer: CosmosTokenizer) -> None:
    """What the CPU path keeps from a run in inference mode does not stand in the way of gradients."""
    fast._haar_matrix.cache_clear()
    fast._inverse_haar_matrix.cache_clear()
    with torch.inference_mode():
        tokenizer(video(9))
    tokenizer(video(9).requires_grad_()).sum().backward()


@pytest.mark.parametrize("accelerated", [False, True])
def test_golden_of_the_official_tokenizer(accelerated: bool) -> None:
    """Stock and CPU path reproduce latents and video of NVIDIA's own code."""
    with safe_open(GOLDEN, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
        configuration = json.loads(file.metadata()["config"])
    network = AutoencoderKLCosmos(**configuration)
    weights = {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}
    network.load_state_dict(weights)
    network = accelerate_cpu(network) if accelerated else network
    with torch.no_grad():
        latents = network.encode(tensors["in.video"]).latent_dist.mode()
        decoded = network.decode(tensors["out.latent"]).sample
    torch.testing.assert_close(latents, tensors["out.latent"], rtol=0, atol=1e-4)
    torch.testing.assert_close(decoded, tensors["out.video"], rtol=0, atol=1e-4)


def test_normalize_round_trip(tokenizer: CosmosTokenizer) -> None:
    """Normalising subtracts the configured mean and divides by the deviation; denormalising undoes it."""
    latents = torch.randn(1, 16, 3, 2, 2)
    normal = tokenizer.normalize(latents)
    torch.testing.assert_close(normal, (latents - 0.5) / 2)
    torch.testing.assert_close(tokenizer.denormalize(normal), latents)


def test_statistics_may_vary_over_latent_frames() -> None:
    """The published 16 x 16 table applies column t to latent frame t."""
    statistics = {"latents_mean": list(range(256)), "latents_std": [1.0] * 256}
    tokenizer = CosmosTokenizer({**TINY, **statistics})
    shift = -tokenizer.normalize(torch.zeros(1, 16, 3, 1, 1))[0, :, :, 0, 0]
    torch.testing.assert_close(shift[2], torch.tensor([32.0, 33.0, 34.0]))


@pytest.mark.parametrize("shape", [(1, 3, 16, 32, 32), (1, 3, 9, 30, 32), (1, 4, 9, 32, 32), (3, 9, 32, 32)])
def test_bad_video_is_refused(tokenizer: CosmosTokenizer, shape: tuple[int, ...]) -> None:
    """Frames that are not 8k + 1, sides that are not multiples of 8 and wrong layouts raise a LyraSimError."""
    with pytest.raises(LyraSimError, match=r"give|encodes"):
        tokenizer.encode(torch.zeros(shape))


def test_bad_latents_are_refused(tokenizer: CosmosTokenizer) -> None:
    """Latents of another width raise a LyraSimError."""
    with pytest.raises(LyraSimError, match="decodes"):
        tokenizer.decode(torch.zeros(1, 4, 3, 4, 4))
