"""The whole decoder, at sizes of a few thousand parameters: stages, branches, laws."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from generator.decoder import DecoderConfig, DecoderInputs, LyraDecoder, build_inputs
from generator.decoder.head import GaussianActivation
from lyra_sim.errors import LyraSimError

TINY = DecoderConfig(
    embed_dim=32,
    depth=2,
    num_heads=2,
    attention_every=2,
    state_size=8,
    head_dim=16,
    patch_size_out_factor=(1, 4, 4),
    plucker_embedding_vae=False,
    time_embedding=False,
)
SIZE = (32, 48)


def tiny_inputs(config: DecoderConfig, *, views: int = 2, batch: int = 1, seed: int = 0) -> DecoderInputs:
    """Return random latents, cameras and, where the configuration asks, times and cache maps of 9 frames."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    c2w = torch.eye(4).repeat(batch, views * 9, 1, 1)
    c2w[..., :3, 3] = 0.1 * normal(batch, views * 9, 3)
    cells = (batch, views * 9, SIZE[0] // config.cell, SIZE[1] // config.cell)
    cache = config.cache_branch
    return build_inputs(
        config,
        normal(batch, views * 2, 16, 4, 6),
        c2w,
        torch.tensor([40.0, 40.0, 24.0, 16.0]).expand(batch, views * 9, 4),
        SIZE,
        views=views,
        plucker=normal(batch, views * 2, 32, 4, 6) if config.plucker_embedding_vae else None,
        times=normal(batch, 3, config.time_channels, 4, 6) if config.use_time_embedding else None,
        cache_depth=1 + 4 * torch.rand(cells, generator=generator) if cache else None,
        cache_mask=(torch.rand(cells, generator=generator) > 0.3).float() if cache else None,
    )


def randomised(config: DecoderConfig, *, seed: int = 0) -> LyraDecoder:
    """Return a decoder whose zero-initialised parameters are random as well."""
    torch.manual_seed(seed)
    model = LyraDecoder(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"patch_size_out_factor": (1, 8, 8)},
        {"patch_size_out_factor": (1, 2, 2), "cache_branch": True},
        {"plucker_embedding_vae": True, "time_embedding": True, "use_time_embedding": True},
        {"time_embedding": True, "use_time_embedding": True, "time_embedding_vae": False},
        {"attention_every": 0, "use_qk_norm": True},
        {"attention_every": 1, "use_qk_norm": True},
    ],
)
def test_every_variant_gives_one_gaussian_per_cell_and_frame(change: dict) -> None:
    """Shapes follow the output factor, values are in their ranges, and every used parameter gets a gradient."""
    config = replace(TINY, **change)
    model, inputs = randomised(config), tiny_inputs(config)
    gaussians = model(inputs)
    cells = (SIZE[0] // config.cell) * (SIZE[1] // config.cell)
    assert gaussians.shape == (1, 2 * 9 * cells, 14)
    opacity, scale, rotation, rgb = gaussians[..., 3:].split([1, 3, 4, 3], dim=-1)
    assert bool(((opacity > 0) & (opacity < 1)).all())
    assert bool(((scale > 0) & (scale <= config.scale_cap)).all())
    torch.testing.assert_close(rotation.norm(dim=-1), torch.ones_like(rotation[..., 0]))
    assert bool(((rgb > 0) & (rgb < 1)).all())
    gaussians.square().sum().backward()
    unused = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert unused == set()
    assert model.prune(gaussians).shape[1] == int(gaussians.shape[1] * (1 - 0.8))


def test_order_is_view_frame_row_column() -> None:
    """Gaussian n lies on ray n of the flattened (view, frame, row, column) grid."""
    model, inputs = randomised(TINY), tiny_inputs(TINY)
    origins, directions = (
        r.permute(0, 1, 3, 4, 2).flatten(1, 3) for r in (inputs.origins, inputs.directions)
    )
    positions = model(inputs)[..., :3]
    distance = (positions - origins).norm(dim=-1, keepdim=True)
    torch.testing.assert_close(positions, origins + distance * directions, rtol=1e-4, atol=1e-4)


def test_batch_items_do_not_see_each_other() -> None:
    """Decoding two scenes in one batch equals decoding them one by one."""
    config = replace(TINY, cache_branch=True, time_embedding=True, use_time_embedding=True)
    model = randomised(config)
    both = tiny_inputs(config, batch=2)
    gaussians = model(both)
    for item in range(2):
        pick = slice(item, item + 1)
        assert both.cache is not None
        assert both.times is not None
        single = replace(
            both,
            latents=both.latents[pick],
            plucker=both.plucker[pick],
            origins=both.origins[pick],
            directions=both.directions[pick],
            times=both.times[pick],
            cache=both.cache.select(pick),
        )
        torch.testing.assert_close(gaussians[pick], model(single), rtol=1e-4, atol=1e-4)


def test_views_share_information() -> None:
    """Changing the last view's latents changes the first view's Gaussians: one sequence holds all views."""
    model, inputs = randomised(TINY), tiny_inputs(TINY)
    changed = inputs.latents.clone()
    changed[:, 2:] += 1
    first = slice(0, 9 * 8 * 12)
    assert not torch.equal(model(inputs)[:, first], model(replace(inputs, latents=changed))[:, first])


def test_one_view_in_the_batch_axis_is_the_identity() -> None:
    """With V = 1 folding views is a no-op: tokens are those of the embeddings, in order."""
    model, inputs = randomised(TINY), tiny_inputs(TINY, views=1)
    tokens = model.patch_embed(inputs.latents) + model.patch_plucker_embed(inputs.plucker)
    assert torch.equal(model.embed(inputs), tokens)


def test_cache_branch_starts_without_effect() -> None:
    """A fresh cache branch leaves the network as it is, and its gates reproduce the cache when opened."""
    config = replace(TINY, cache_branch=True)
    torch.manual_seed(0)
    model = LyraDecoder(config)
    inputs = tiny_inputs(config)
    assert inputs.cache is not None
    assert torch.equal(model(inputs), model(replace(inputs, cache=None)))
    with torch.no_grad():
        model.deconv.weight.zero_()
        model.deconv.bias.zero_()  # type: ignore[union-attr]
        model.cache_gate.fill_(1.0)
    positions = model(inputs)[..., :3]
    origins = inputs.origins.permute(0, 1, 3, 4, 2).flatten(1, 3)
    expected = inputs.cache.distance.flatten(1)
    torch.testing.assert_close((positions - origins).norm(dim=-1), expected, rtol=1e-3, atol=1e-3)


def test_gates_tell_seen_from_filled_cells() -> None:
    """The first gate acts where the cache was filled, the second where it was seen."""
    config = replace(TINY, cache_branch=True)
    torch.manual_seed(0)
    model, inputs = LyraDecoder(config), tiny_inputs(config)
    assert inputs.cache is not None
    closed = model.raw_volume(inputs)[:, :, 0].flatten(1, 2)
    with torch.no_grad():
        model.cache_gate[1] = 1.0
    changed = (model.raw_volume(inputs)[:, :, 0].flatten(1, 2) - closed).abs() > 0
    assert torch.equal(changed, inputs.cache.mask > 0.5)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    """Recomputing blocks in the backward pass gives the same gradients."""
    config = replace(TINY, cache_branch=True)
    grads = []
    for checkpointing in (False, True):
        model, inputs = randomised(config), tiny_inputs(config)
        model.gradient_checkpointing = checkpointing
        model(inputs).square().mean().backward()
        grads.append([parameter.grad for parameter in model.parameters()])
    for plain, recomputed in zip(*grads, strict=True):
        assert torch.equal(plain, recomputed)


def test_scan_backends_agree_in_the_whole_network() -> None:
    """The chunked scan and the recurrence give the same Gaussians in float64."""
    model, inputs = randomised(TINY).double(), tiny_inputs(TINY).to(torch.float64)
    chunked = model(inputs)
    model.scan_backend = "sequential"
    torch.testing.assert_close(model(inputs), chunked, rtol=1e-9, atol=1e-9)


def test_distance_activation_round_trips() -> None:
    """`raw_distance` inverts `distance` over the whole range, and clamps what lies outside."""
    activation = GaussianActivation.of(DecoderConfig())
    distances = torch.logspace(-0.9, 2.6, 50, dtype=torch.float64)
    torch.testing.assert_close(activation.distance(activation.raw_distance(distances)), distances)
    outside = activation.raw_distance(torch.tensor([-1.0, 0.0, 1e6]))
    assert bool(outside.isfinite().all())


def test_raw_zero_gives_the_documented_start() -> None:
    """Raw zeros give opacity sigmoid(-2), scale cap / e, grey, and the distance of the shifted sigmoid."""
    activation = GaussianActivation.of(DecoderConfig())
    start = activation(torch.zeros(1, 12), torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]]))[0]
    u = torch.sigmoid(torch.tensor(-1.65)).item()
    assert start[2].item() == pytest.approx(0.1 * (1 - u) + 500 * u, rel=1e-5)
    assert start[3].item() == pytest.approx(0.11920292, rel=1e-5)
    assert start[4].item() == pytest.approx(0.3 / 2.718281828, rel=1e-5)
    assert start[11].item() == 0.5


def test_bfloat16_network_keeps_positions_in_float32() -> None:
    """Halves in the network give float32 Gaussians near those of the float32 network; the official head rounds."""
    config = replace(TINY, cache_branch=True)
    model, inputs = randomised(config), tiny_inputs(config)
    with torch.no_grad():
        expected = model(inputs)
        model.bfloat16()
        found = model(inputs)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found[..., 3:], expected[..., 3:], rtol=0.1, atol=0.1)
        assert not torch.equal(found, found.bfloat16().float())
        model.head_precision = "bfloat16"
        assert model(inputs).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"plucker_embedding_vae": True}, "needs plucker"),
        ({"time_embedding": True, "use_time_embedding": True}, "needs times"),
        ({"cache_branch": True}, "needs cache_depth"),
    ],
)
def test_missing_inputs_are_named(change: dict, words: str) -> None:
    """A decoder that needs an optional input says which one is missing."""
    inputs = tiny_inputs(TINY)
    c2w = torch.eye(4).expand(1, 18, 4, 4)
    intrinsics = torch.ones(1, 18, 4)
    with pytest.raises(LyraSimError, match=words):
        build_inputs(replace(TINY, **change), inputs.latents, c2w, intrinsics, SIZE, views=2)
    with pytest.raises(LyraSimError, match="no use for plucker"):
        build_inputs(TINY, inputs.latents, c2w, intrinsics, SIZE, views=2, plucker=inputs.plucker)
