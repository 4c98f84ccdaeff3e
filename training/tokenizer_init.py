"""Start a tokenizer as the best linear one, found in seconds from a few clips, instead of from noise.

Every residual branch starts closed, so that the network is a chain of linear maps: principal components going
down, least squares coming up. Normalisation and SiLU in front of both output convolutions are made transparent by
carrying each value x as the pair (x, -x), for silu(x) - silu(-x) = x, beside a constant that dominates the norm.
"""

from __future__ import annotations

import torch
from diffusers.models.autoencoders import autoencoder_kl_cosmos as stock
from torch import Tensor, nn
from torch.nn import functional as F

from generator.tokenizer import CosmosTokenizer, accelerate_cpu

CONSTANT = 4.0
"""The constant that steadies a normalisation, in units of the root mean square of what it is beside."""
RIDGE = 1e-4
"""Ridge of the least squares, relative to the mean variance of the inputs."""


@torch.no_grad()
def initialize_linear(tokenizer: CosmosTokenizer, video: Tensor) -> None:
    """Set the weights so that the tokenizer reconstructs linearly.

    Args:
        tokenizer: Changed in place; one spatial and one temporal resampling, as with patches of 4 and 8x8x8.
        video: Clips to fit to, (B, 3, T, H, W) in [-1, 1]; some 100,000 blocks of 4x4x4 pixels are plenty.
    """
    network = accelerate_cpu(tokenizer.network)
    _close_branches(network)
    fine, coarse = _fit_encoder(network.encoder, video)
    for conv in (network.quant_conv, network.post_quant_conv):
        _assign(conv, torch.eye(conv.weight.shape[0])[..., None, None, None])
    _fit_decoder(network, network.encoder(video), video, fine, coarse)


def _close_branches(network: nn.Module) -> None:
    """Make every residual branch return zero, and every time convolution of a projection the identity."""
    for name, module in network.named_modules():
        if isinstance(module, stock.CosmosConvProjection3d):
            kernel = torch.zeros_like(module.conv_t.weight)
            if not name.endswith("conv2"):
                kernel[:, :, -1, 0, 0] = torch.eye(len(kernel))
            _assign(module.conv_t, kernel)
        if isinstance(module, stock.CosmosCausalAttention):
            module.to_out[0].weight.zero_()
            module.to_out[0].bias.zero_()


def _fit_encoder(encoder: nn.Module, video: Tensor) -> tuple[Tensor, Tensor]:
    """Set the encoder; return its features before any downsampling and after that of space, (B, C, T, H, W)."""
    patches = encoder.patch_embed(video)
    width = encoder.conv_in.conv_s.out_channels
    basis = _components(patches.movedim(1, -1).flatten(0, -2), width)
    # Haar coefficients come as an orthonormal basis over patch_size.
    _assign(encoder.conv_in.conv_s, _centre(basis.T * encoder.patch_embed.patch_size))
    first, *others = encoder.down_blocks
    for resnet in first.resnets:
        _assign(resnet.conv_shortcut, _embed(resnet.conv_shortcut))
    fine = encoder.conv_in(patches)

    down = first.downsamplers[0]
    features = _embed_features(first.resnets, fine)
    windows = F.pad(features, (0, 1, 0, 1)).unfold(3, 2, 2).unfold(4, 2, 2)
    channels = features.shape[1]
    basis = _components(windows.movedim(1, -3).flatten(0, 3).flatten(1), channels)
    kernel = torch.zeros(channels, channels, 3, 3)
    kernel[:, :, :2, :2] = (
        basis.T.unflatten(1, (channels, 2, 2)) - 0.25 * torch.eye(channels)[..., None, None]
    )
    _assign(down.conv1, kernel.unsqueeze(2))
    coarse = down.conv1(F.pad(features, (0, 1, 0, 1))) + F.avg_pool3d(features_padded(features), (1, 2, 2))

    doubled = torch.cat([coarse[:, :, :1], coarse], dim=2)
    windows = doubled.unfold(2, 2, 2)
    basis = _components(windows.movedim(1, -2).flatten(0, 3).flatten(1), channels)
    kernel = torch.zeros(channels, channels, 3)
    kernel[:, :, 1:] = basis.T.unflatten(1, (channels, 2)) - 0.5 * torch.eye(channels)[..., None]
    _assign(down.conv2, kernel[..., None, None])
    _assign(down.conv3, torch.eye(channels)[..., None, None, None])

    deep = down(features)
    _pair(others[0].resnets[0].conv_shortcut, encoder.norm_out, deep)
    for block in others:
        deep = block(deep)
    values = _paired_values(F.silu(encoder.norm_out(encoder.mid_block(deep))))
    latents = encoder.conv_out.conv_s.out_channels
    scale = values[:, :latents].square().mean((0, 2, 3, 4)).rsqrt()
    weight = torch.zeros(latents, values.shape[1])
    weight[:, :latents] = torch.diag(scale)
    _assign(encoder.conv_out.conv_s, _unpair(_centre(weight), encoder.conv_out.conv_s))
    return fine, coarse


def features_padded(features: Tensor) -> Tensor:
    return F.pad(features, (0, 1, 0, 1))


def _fit_decoder(network: nn.Module, latents: Tensor, video: Tensor, fine: Tensor, coarse: Tensor) -> None:
    """Set the decoder, stage by stage, to regress the encoder's features and in the end the patches."""
    decoder = network.decoder
    count = latents.shape[1]
    _assign(decoder.conv_in.conv_s, _embed_kernel(decoder.conv_in.conv_s))
    x = decoder.mid_block(decoder.conv_in(latents))
    blocks = list(decoder.up_blocks)
    up = next(b.upsamplers[0] for b in blocks if b.upsamplers and b.upsamplers[0].temporal_upsample)
    width = up.conv1.out_channels

    repeated = x.repeat_interleave(2, dim=2)[:, :, 1:]
    padded = torch.cat([repeated[:, :, :1].expand(-1, -1, 2, -1, -1), repeated], dim=2)[:, :count]
    inputs = padded.unfold(2, 3, 1).movedim(1, -2).flatten(0, 3).flatten(1)
    fitted = min(width - count, coarse.shape[1])
    kernel = torch.zeros(width, width, 3)
    kernel[:fitted, :count] = _regress(inputs, _rows(coarse[:, :fitted])).unflatten(1, (count, 3))
    kernel[fitted : fitted + count, :count, 2] = torch.eye(count)
    kernel[:, :, 2] -= torch.eye(width)
    _assign(up.conv1, kernel[..., None, None])

    x = up.conv1(repeated) + repeated
    used = fitted + count
    x = x.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
    target = fine[:, : min(width - fitted, fine.shape[1])]
    weight = _regress_windows(x[:, :used], target)
    kernel = torch.zeros(width, width, 3, 3)
    kernel[: len(weight), :used] = weight
    rest = width - len(weight)
    kernel[len(weight) :, :rest, 1, 1] = torch.eye(rest)
    kernel[:, :, 1, 1] -= torch.eye(width)
    _assign(up.conv2, kernel.unsqueeze(2))
    _assign(up.conv3, torch.eye(width)[..., None, None, None])
    x = up.conv3(up.conv2(x) + x)

    last = blocks[-1]
    _pair(last.resnets[0].conv_shortcut, decoder.norm_out, x)
    x = F.silu(decoder.norm_out(last(x)))
    patches = network.encoder.patch_embed(video)
    weight = _regress_windows(_paired_values(x), patches)
    _assign(decoder.conv_out.conv_s, _unpair(weight, decoder.conv_out.conv_s))


def _assign(conv: nn.Module, kernel: Tensor) -> None:
    conv.weight.copy_(kernel)
    conv.bias.zero_()


def _rows(x: Tensor) -> Tensor:
    return x.movedim(1, -1).flatten(0, -2)


def _components(rows: Tensor, count: int) -> Tensor:
    """Return the leading `count` eigenvectors of the second moment of (N, D) rows, (D, count)."""
    moment = rows.T.double() @ rows.double() / len(rows)
    vectors = torch.linalg.eigh(moment).eigenvectors.flip(1)[:, :count].float()
    return F.pad(vectors, (0, count - vectors.shape[1]))


def _regress(inputs: Tensor, target: Tensor) -> Tensor:
    """Return the (O, D) matrix that maps (N, D) inputs to (N, O) targets with least squares."""
    moment = (inputs.T @ inputs).double()
    moment += RIDGE * moment.diagonal().mean() * torch.eye(len(moment))
    return torch.linalg.solve(moment, (inputs.T @ target).double()).float().T


def _regress_windows(x: Tensor, target: Tensor) -> Tensor:
    """Return the (O, C, 3, 3) kernel that maps x (B, C, T, H, W) to target (B, O, T, H, W)."""
    channels = x.shape[1]
    inputs, outputs = [], []
    for clip, wanted in zip(x, target, strict=True):
        columns = F.unfold(clip.transpose(0, 1), 3, padding=1)
        inputs.append(columns.transpose(1, 2).flatten(0, 1))
        outputs.append(_rows(wanted[None]))
    return _regress(torch.cat(inputs), torch.cat(outputs)).unflatten(1, (channels, 3, 3))


def _centre(matrix: Tensor) -> Tensor:
    """Return a (O, C, 1, 3, 3) kernel that applies (O, C) at its centre."""
    kernel = torch.zeros(*matrix.shape, 1, 3, 3)
    kernel[:, :, 0, 1, 1] = matrix
    return kernel


def _embed(conv: nn.Module) -> Tensor:
    return torch.eye(conv.out_channels, conv.in_channels)[..., None, None, None]


def _embed_kernel(conv: nn.Module) -> Tensor:
    return _centre(torch.eye(conv.out_channels, conv.in_channels))


def _embed_features(resnets: nn.ModuleList, x: Tensor) -> Tensor:
    for resnet in resnets:
        x = resnet(x)
    return x


def _pair(shortcut: nn.Module, norm: nn.Module, x: Tensor) -> None:
    """Make a shortcut carry the leading channels of x as (x, -x) and a constant pair, and a norm undo its scale."""
    width = shortcut.out_channels
    half = (width - 2) // 2
    half = min(half, shortcut.in_channels)
    power = float(x[:, :half].square().sum(1).mean())
    kernel = torch.zeros(width, shortcut.in_channels)
    kernel[:half, :half] = torch.eye(half)
    kernel[half : 2 * half, :half] = -torch.eye(half)
    _assign(shortcut, kernel[..., None, None, None])
    constant = CONSTANT * power**0.5
    shortcut.bias[-2], shortcut.bias[-1] = constant, -constant
    norm.norm.weight.fill_((2 * (power + constant**2) / width) ** 0.5)
    norm.norm.bias.zero_()


def _paired_values(x: Tensor) -> Tensor:
    """Return what pairs of channels carry after SiLU, (B, (C - 2) / 2, T, H, W)."""
    half = (x.shape[1] - 2) // 2
    return x[:, :half] - x[:, half : 2 * half]


def _unpair(kernel: Tensor, conv: nn.Module) -> Tensor:
    """Return the kernel on pairs that equals `kernel` on the values they carry."""
    kernel = kernel if kernel.ndim == 5 else kernel.unsqueeze(2)
    half = kernel.shape[1]
    full = torch.zeros_like(conv.weight)
    full[:, :half] = kernel
    full[:, half : 2 * half] = -kernel
    return full
