"""Start a tokenizer as a principal component analysis of its patches, found in seconds, instead of from noise.

For patches as large as a latent cell (no resampling between). The residual branches start closed; what is left is a
chain of linear maps. SiLU in front of the output convolutions is made transparent by carrying each value x as the
pair (x, -x), for silu(x) - silu(-x) = x; the normalisation there by constant channels that dominate its statistics.
"""

from __future__ import annotations

import torch
from diffusers.models.autoencoders import autoencoder_kl_cosmos as stock
from torch import Tensor, nn

from generator.tokenizer import CosmosTokenizer, accelerate_cpu

CONSTANT = 40.0
"""Value of the two constant channels; the others have unit variance."""


@torch.no_grad()
def start_from_components(tokenizer: CosmosTokenizer, video: Tensor) -> None:
    """Set the weights so that the latents are the leading principal components, scaled to unit variance.

    Args:
        tokenizer: Changed in place; its patch size equals both of its compressions.
        video: Clips to fit to, (B, 3, T, H, W) in [-1, 1]; some 20,000 patches are plenty.
    """
    network = accelerate_cpu(tokenizer.network)
    for module in network.modules():
        if isinstance(module, stock.CosmosConvProjection3d):
            _identity_in_time(module.conv_t)
    for module in network.modules():
        if isinstance(module, stock.CosmosCausalGroupNorm):
            _see_past_constants(module)
    for module in network.modules():
        _close_branch(module)
    patches = network.encoder.patch_embed(video).movedim(1, -1).flatten(0, -2)
    mean = patches.mean(0)
    variance, basis = torch.linalg.eigh(torch.cov(patches.T.double()))
    variance, basis = variance.flip(0).float(), basis.flip(1).float()
    down = (basis / variance.clamp_min(1e-12).sqrt()).T
    latents = network.config.latent_channels
    encoder, decoder = network.encoder, network.decoder
    _project(encoder.conv_in, down, -down @ mean, pairs=latents)
    _gather(encoder.conv_out, torch.eye(latents), torch.zeros(latents))
    for conv in (network.quant_conv, network.post_quant_conv):
        _assign(conv, torch.eye(latents)[..., None, None, None], torch.zeros(latents))
    _project(decoder.conv_in, torch.eye(latents), torch.zeros(latents), pairs=latents)
    _gather(decoder.conv_out, (basis * variance.clamp_min(0).sqrt())[:, :latents], mean)


def _close_branch(module: nn.Module) -> None:
    """Make a residual branch return zero."""
    if isinstance(module, stock.CosmosResnetBlock3d):
        module.conv2.conv_t.weight.zero_()
        module.conv2.conv_t.bias.zero_()
        # What reaches its second normalisation carries no constants.
        module.norm2.norm.weight.fill_(1.0)
    if isinstance(module, stock.CosmosCausalAttention):
        module.to_out[0].weight.zero_()
        module.to_out[0].bias.zero_()


def _see_past_constants(module: stock.CosmosCausalGroupNorm) -> None:
    """Undo what the constant channels do to a normalisation: features pass at unit scale, constants shrink to 1."""
    channels = len(module.norm.weight)
    scale = CONSTANT * (2 / channels) ** 0.5
    module.norm.weight.fill_(scale)
    module.norm.weight[-2:] = scale / CONSTANT
    module.norm.bias.zero_()


def _identity_in_time(conv: stock.CosmosCausalConv3d) -> None:
    kernel = torch.zeros_like(conv.weight)
    kernel[:, :, -1, 0, 0] = torch.eye(len(kernel))
    _assign(conv, kernel, torch.zeros_like(conv.bias))


def _project(projection: stock.CosmosConvProjection3d, matrix: Tensor, offset: Tensor, *, pairs: int) -> None:
    """Set the first rows of `matrix` as pairs (x, -x), then further rows, then the two constants."""
    conv = projection.conv_s
    width = conv.out_channels
    rows = torch.cat([matrix[:pairs], -matrix[:pairs], matrix[pairs : width - 2 - pairs]])
    bias = torch.cat([offset[:pairs], -offset[:pairs], offset[pairs : width - 2 - pairs]])
    kernel, full = torch.zeros_like(conv.weight), torch.zeros(width)
    kernel[: len(rows), :, 0, 1, 1] = rows
    full[: len(rows)] = bias
    full[-2:] = torch.tensor([CONSTANT, -CONSTANT])
    _assign(conv, kernel, full)


def _gather(projection: stock.CosmosConvProjection3d, matrix: Tensor, offset: Tensor) -> None:
    """Apply `matrix` to what the pairs carry after SiLU, and add the offset."""
    conv = projection.conv_s
    kernel = torch.zeros_like(conv.weight)
    count = matrix.shape[1]
    kernel[:, :count, 0, 1, 1] = matrix
    kernel[:, count : 2 * count, 0, 1, 1] = -matrix
    _assign(conv, kernel, offset)


def _assign(conv: stock.CosmosCausalConv3d, kernel: Tensor, bias: Tensor) -> None:
    conv.weight.copy_(kernel)
    conv.bias.copy_(bias)
