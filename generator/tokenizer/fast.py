"""The CPU path of the Cosmos tokenizer: the stock network's numbers without 3D convolutions.

Nearly every convolution of the network is 1xkxk (space) or kx1x1 (time), and PyTorch runs both through a slow
generic 3D kernel on the CPU. Here activations lie in memory as (B, T, H, W, C), so that frames fold into
the batch for free, a 1x1x1 convolution is one matrix product, and a kx1x1 one is a 2D convolution over
the (T, H*W) plane. Pooling and skip connections that surround a resampling convolution are added to its kernel.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any, TypeVar

import torch
from diffusers.models.autoencoders import autoencoder_kl_cosmos as stock
from torch import Tensor, nn
from torch.nn import functional as F

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def accelerate_cpu(model: ModuleT) -> ModuleT:
    """Return a twin of a stock Cosmos network that computes the same numbers faster on the CPU.

    The twin shares every parameter and buffer with the given model, which stays as it is; state-dict keys and
    gradients are those of the stock network.

    Args:
        model: An `AutoencoderKLCosmos` or any part of one.
    """
    twin = copy.copy(model)
    twin.__class__ = _TWINS.get(type(model), type(model))
    twin._modules = {
        name: None if child is None else accelerate_cpu(child) for name, child in model._modules.items()
    }
    return twin


def _space_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1, padding: int = 0
) -> Tensor:
    """Convolve every frame of (B, C, T, H, W) with a (O, C, k, k) kernel."""
    frames = x.transpose(1, 2)
    out = F.conv2d(frames.flatten(0, 1), weight, bias, stride=stride, padding=padding)
    return out.unflatten(0, frames.shape[:2]).transpose(1, 2)


def _time_conv(x: Tensor, weight: Tensor, bias: Tensor | None, *, pad: int, stride: int = 1) -> Tensor:
    """Convolve (B, C, T, H, W) along time with a (O, C, k) kernel after repeating frame 0 `pad` times."""
    if pad:
        x = torch.cat([x[:, :, :1].expand(-1, -1, pad, -1, -1), x], dim=2)
    out = F.conv2d(x.flatten(3), weight.unsqueeze(-1), bias, stride=(stride, 1))
    return out.unflatten(3, x.shape[3:])


def _pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply a (O, C) matrix to the channels of (B, C, T, H, W)."""
    return F.linear(x.movedim(1, -1), weight, bias).movedim(-1, 1)


def _identity_taps(weight: Tensor, taps: tuple[tuple[int, ...], ...], value: float) -> Tensor:
    """Return a (C, C, *taps) kernel that is `value` times the identity at the given taps."""
    kernel = torch.zeros_like(weight)
    eye = value * torch.eye(weight.shape[0], dtype=weight.dtype, device=weight.device)
    for tap in taps:
        index: tuple[Any, ...] = (..., *tap)
        kernel[index] = eye
    return kernel


class CausalConv3d(stock.CosmosCausalConv3d):
    """Run 1xkxk, kx1x1 and 1x1x1 causal convolutions without the 3D kernel."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Convolve (B, C, T, H, W)."""
        time, height, width = self.kernel_size
        plain = self.groups == 1 and self.pad_mode == "constant" and max(self.dilation) == 1
        padding = self.spatial_pad[0]
        if not plain or self.stride[1] != self.stride[2]:
            return super().forward(hidden_states)
        if height == width == time == max(self.stride) == 1 and padding == 0:
            return _pointwise(hidden_states, self.weight[:, :, 0, 0, 0], self.bias)
        if time == 1 and self.stride[0] == 1:
            return _space_conv(
                hidden_states, self.weight[:, :, 0], self.bias, stride=self.stride[1], padding=padding
            )
        if height == width == 1 and padding == 0 and self.stride[1] == 1:
            weight = self.weight[..., 0, 0]
            return _time_conv(hidden_states, weight, self.bias, pad=self.temporal_pad, stride=self.stride[0])
        return super().forward(hidden_states)


class Downsample3d(stock.CosmosDownsample3d):
    """Halve space, then time, with the average pool added to each strided convolution's kernel."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Downsample (B, C, T, H, W)."""
        if not self.spatial_downsample and not self.temporal_downsample:
            return hidden_states
        if self.spatial_downsample:
            weight = self.conv1.weight[:, :, 0]
            pool = _identity_taps(weight, ((0, 0), (0, 1), (1, 0), (1, 1)), 0.25)
            padded = F.pad(hidden_states, (0, 1, 0, 1))
            hidden_states = _space_conv(padded, weight + pool, self.conv1.bias, stride=2)
        if self.temporal_downsample:
            weight = self.conv2.weight[..., 0, 0]
            pool = _identity_taps(weight, ((1,), (2,)), 0.5)
            # One frame is repeated by the block itself and one by its causal convolution.
            hidden_states = _time_conv(hidden_states, weight + pool, self.conv2.bias, pad=2, stride=2)
        return self.conv3(hidden_states)


class Upsample3d(stock.CosmosUpsample3d):
    """Double time, then space, with the skip connection added to each convolution's kernel."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Upsample (B, C, T, H, W)."""
        if not self.spatial_upsample and not self.temporal_upsample:
            return hidden_states
        if self.temporal_upsample:
            weight = self.conv1.weight[..., 0, 0]
            frames = hidden_states
            if frames.shape[2] > 1:
                frames = frames.repeat_interleave(2, dim=2)[:, :, 1:]
            hidden_states = _time_conv(
                frames, weight + _identity_taps(weight, ((2,),), 1.0), self.conv1.bias, pad=2
            )
        if self.spatial_upsample:
            hidden_states = self._space(hidden_states)
        return self.conv3(hidden_states)

    def _space(self, x: Tensor) -> Tensor:
        weight = self.conv2.weight[:, :, 0]
        weight = weight + _identity_taps(weight, ((1, 1),), 1.0)
        frames = x.transpose(1, 2)
        doubled = F.interpolate(frames.flatten(0, 1), scale_factor=2, mode="nearest")
        out = F.conv2d(doubled, weight, self.conv2.bias, padding=1)
        return out.unflatten(0, frames.shape[:2]).transpose(1, 2)


class PatchEmbed3d(stock.CosmosPatchEmbed3d):
    """Cut the video into p x p x p blocks and take their Haar transform as one matrix product."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Patch (B, C, T, H, W) into (B, C p^3, 1 + (T-1)/p, H/p, W/p); frame 0 is repeated p - 1 times."""
        if self.patch_method != "haar":
            return super().forward(hidden_states)
        p = self.patch_size
        x = hidden_states
        x = torch.cat([x[:, :, :1].expand(-1, -1, p - 1, -1, -1), x], dim=2)
        batch, channels, frames, height, width = x.shape
        blocks = x.view(batch, channels, frames // p, p, height // p, p, width // p, p)
        blocks = blocks.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(5)
        bands = blocks @ _haar_matrix(p).to(x)
        return bands.transpose(-1, -2).flatten(4).movedim(-1, 1)


class Unpatcher3d(stock.CosmosUnpatcher3d):
    """Undo `PatchEmbed3d` as one matrix product."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Turn (B, C p^3, t, h, w) into (B, C, p (t-1) + 1, p h, p w)."""
        if self.patch_method != "haar":
            return super().forward(hidden_states)
        p = self.patch_size
        bands = hidden_states.movedim(1, -1).unflatten(-1, (p**3, -1)).transpose(-1, -2).contiguous()
        blocks = (bands @ _inverse_haar_matrix(p).to(bands)).unflatten(-1, (p, p, p))
        video = blocks.permute(0, 4, 1, 5, 2, 6, 3, 7).flatten(6, 7).flatten(4, 5).flatten(2, 3)
        return video[:, :, p - 1 :]


@cache
def _haar_matrix(patch_size: int) -> Tensor:
    """Return the (p^3 pixels, p^3 bands) matrix of the stock transform, read off from unit impulses."""
    # A tensor made in inference mode could never take part in training, and this one outlives its first caller.
    with torch.inference_mode(False), torch.no_grad():
        impulses = torch.eye(patch_size**3).view(patch_size**3, 1, patch_size, patch_size, patch_size)
        transform = stock.CosmosPatchEmbed3d(patch_size, "haar")
        for _ in range(patch_size.bit_length() - 1):
            impulses = transform._dwt(impulses, rescale=True)
        return impulses.flatten(1)


@cache
def _inverse_haar_matrix(patch_size: int) -> Tensor:
    """Return the (p^3 bands, p^3 pixels) matrix of the stock inverse, read off from unit impulses."""
    with torch.inference_mode(False), torch.no_grad():
        impulses = torch.eye(patch_size**3).view(patch_size**3, patch_size**3, 1, 1, 1)
        transform = stock.CosmosUnpatcher3d(patch_size, "haar")
        for _ in range(patch_size.bit_length() - 1):
            impulses = transform._idwt(impulses, rescale=True)
        return impulses.flatten(1)


_TWINS: dict[type, Any] = {
    stock.CosmosCausalConv3d: CausalConv3d,
    stock.CosmosDownsample3d: Downsample3d,
    stock.CosmosUpsample3d: Upsample3d,
    stock.CosmosPatchEmbed3d: PatchEmbed3d,
    stock.CosmosUnpatcher3d: Unpatcher3d,
}
