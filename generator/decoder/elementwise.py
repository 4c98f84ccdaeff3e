"""The cheap parts of a Mamba-2 scan, with hand-written adjoints that keep their inputs only.

PyTorch's own backward passes of these small chains move many times the memory that the numbers need;
here every step runs on a slice of tokens that stays in a core's cache.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from generator.decoder.chunked import at_least_float32

SLICE = 1024
"""Tokens that are worked on together."""


def conv_silu(sequence: Tensor, weight: Tensor, bias: Tensor, *, reverse: bool = False) -> Tensor:
    """Filter every channel over its last tokens, then SiLU.

    Args:
        sequence: (B, L, C).
        weight: Taps per channel, oldest first, (C, 1, W); output t sees inputs t-W+1 to t, zeros before 0.
        bias: (C,).
        reverse: Whether "before" means "after" in token order: output t sees inputs t to t+W-1.
    """
    return _ConvSilu.apply(sequence, weight, bias, reverse)


def _filter(sequence: Tensor, weight: Tensor, bias: Tensor | None, reverse: bool) -> Tensor:
    """Run the depthwise convolution; (B, L, C) is a channels-last image, which has a fast CPU kernel."""
    reach = weight.shape[-1] - 1
    taps = (weight.flip(-1) if reverse else weight)[:, :, None]
    image = sequence.transpose(1, 2)[:, :, None]
    filtered = F.conv2d(image, taps, bias, padding=(0, reach), groups=len(weight))
    filtered = filtered.squeeze(2).transpose(1, 2)
    return filtered[:, reach:] if reverse else filtered[:, : sequence.shape[1]]


class _ConvSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, sequence, weight, bias, reverse):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(sequence, weight, bias)
        ctx.reverse = reverse
        return F.silu(_filter(sequence, weight, bias, reverse), inplace=True)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        sequence, weight, bias = ctx.saved_tensors
        filtered = _filter(sequence, weight, bias, ctx.reverse)
        grad = torch.ops.aten.silu_backward(grad, filtered)
        taps = [
            _tap_gradient(sequence, grad, weight.shape[-1] - 1 - k, ctx.reverse)
            for k in range(weight.shape[-1])
        ]
        grad_weight = torch.stack(taps, dim=-1)[:, None]
        return _filter(grad, weight, None, not ctx.reverse), grad_weight, grad.sum((0, 1)), None


def _tap_gradient(sequence: Tensor, grad: Tensor, lag: int, reverse: bool) -> Tensor:
    """Return the gradient of the tap that reads `lag` tokens back, (C,)."""
    length = sequence.shape[1] - lag
    seen, at = (lag, 0) if reverse else (0, lag)
    total = torch.zeros_like(grad[0, 0])
    for start in range(0, max(length, 0), SLICE):
        count = min(SLICE, length - start)
        product = sequence[:, seen + start : seen + start + count] * grad[:, at + start : at + start + count]
        total += product.sum((0, 1))
    return total


def gate_norm(y: Tensor, z: Tensor, weight: Tensor, *, eps: float) -> Tensor:
    """Return RMSNorm(y SiLU(z)) over the last axis; all (B, L, C), weight (C,)."""
    return _GateNorm.apply(y, z, weight, eps)


def _slices(values: Tensor) -> list[slice]:
    """Cut the token axis; a GPU has no small cache to fit, and wants few launches."""
    size = SLICE if values.device.type == "cpu" else 64 * SLICE
    return [slice(i, i + size) for i in range(0, values.shape[1], size)]


def _inverse_rms(values: Tensor, eps: float) -> Tensor:
    """Return 1 / sqrt(mean of squares + eps) over the last axis, kept as an axis of 1."""
    norm = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
    return torch.rsqrt(norm.square().div_(values.shape[-1]).add_(eps))


class _GateNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y, z, weight, eps):  # type: ignore[no-untyped-def]
        out = torch.empty(y.shape, dtype=y.dtype, device=y.device)
        for part in _slices(y):
            gated = F.silu(at_least_float32(z[:, part])) * y[:, part]
            out[:, part] = gated.mul_(_inverse_rms(gated, eps)).mul_(weight)
        ctx.save_for_backward(y, z, weight)
        ctx.eps = eps
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        all_y, all_z, weight = ctx.saved_tensors
        grad_y, grad_z = (torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (all_y, all_z))
        wide = at_least_float32(weight)
        grad_weight = torch.zeros_like(wide)
        for part in _slices(grad):
            y, z, flow = (at_least_float32(t[:, part]) for t in (all_y, all_z, grad))
            silu = F.silu(z)
            normed = silu * y
            scale = _inverse_rms(normed, ctx.eps)
            normed.mul_(scale)
            product = flow * normed
            grad_weight += product.sum((0, 1))
            # d(normed) = scale (g - normed mean(g normed)) with g = flow * weight.
            mean = (product @ wide).div_(len(weight))[..., None]
            through = torch.mul(flow, wide).addcmul_(normed, mean, value=-1).mul_(scale)
            grad_y[:, part] = silu.mul_(through)
            grad_z[:, part] = torch.ops.aten.silu_backward(through.mul_(y), z)
        return grad_y, grad_z, grad_weight.to(weight.dtype), None
