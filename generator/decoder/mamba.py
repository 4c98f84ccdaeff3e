"""The Mamba-2 block with a forward and a backward scan (names as in the published weights)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.decoder.scan import ScanBackend, scan


class ScanParameters(nn.Module):
    """Hold what one scan direction does not share with the other."""

    def __init__(self, inner: int, heads: int, state_size: int, conv_width: int) -> None:
        super().__init__()
        channels = inner + 2 * state_size
        self.conv1d = nn.Conv1d(channels, channels, conv_width, groups=channels, padding=conv_width - 1)
        self.norm = nn.RMSNorm(inner, eps=1e-5)
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(heads))
        steps = torch.exp(torch.empty(heads).uniform_(math.log(0.001), math.log(0.1))).clamp(min=1e-4)
        # Inverse of softplus, so that softplus(dt_bias) is the step drawn above.
        self.dt_bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))


class Mixer(nn.Module):
    """Mix tokens along the sequence: project, scan both ways, gate and norm each, sum, project."""

    def __init__(self, embed_dim: int, state_size: int, head_dim: int, conv_width: int) -> None:
        super().__init__()
        self.inner = 2 * embed_dim
        self.heads = self.inner // head_dim
        self.state_size = state_size
        self.in_proj = nn.Linear(embed_dim, 2 * self.inner + 2 * state_size + self.heads, bias=False)
        self.mamba_scans = nn.ModuleList(
            ScanParameters(self.inner, self.heads, state_size, conv_width) for _ in range(2)
        )
        self.out_proj = nn.Linear(self.inner, embed_dim, bias=False)
        for linear in (self.in_proj, self.out_proj):
            nn.init.trunc_normal_(linear.weight, std=0.02)

    def forward(self, tokens: Tensor, *, backend: ScanBackend = "auto") -> Tensor:
        """Return (B, L, D) mixed tokens."""
        return self.out_proj(self.scan_outputs(tokens, backend=backend).sum(1))

    def scan_outputs(self, tokens: Tensor, *, backend: ScanBackend = "auto") -> Tensor:
        """Return both scans after gate and norm, (B, 2, L, 2 D), in token order."""
        widths = [self.inner, self.inner + 2 * self.state_size, self.heads]
        z, xbc, dt = self.in_proj(tokens).split(widths, dim=-1)
        xbc = causal_conv_silu(
            both_ways(xbc),
            self._stacked("conv1d.weight").squeeze(2),
            self._stacked("conv1d.bias"),
        )
        x, b, c = xbc.split([self.inner, self.state_size, self.state_size], dim=-1)
        y = scan(
            x.unflatten(-1, (self.heads, -1)),
            F.softplus(both_ways(dt) + self._stacked("dt_bias")[:, None]),
            -torch.exp(self._stacked("A_log")),
            b,
            c,
            self._stacked("D"),
            backend=backend,
        )
        # The gate acts token by token, so turning y back is the same as turning z for the scan.
        y = torch.stack([y[:, 0], y[:, 1].flip(1)], dim=1).flatten(3)
        gated = y * F.silu(z)[:, None]
        return F.rms_norm(gated, (self.inner,), eps=1e-5) * self._stacked("norm.weight")[:, None]

    def _stacked(self, name: str) -> Tensor:
        """Return a parameter of both scans stacked on a leading axis."""
        return torch.stack([scan.get_parameter(name) for scan in self.mamba_scans])


def both_ways(sequence: Tensor) -> Tensor:
    """Return (B, L, C) as (B, 2, L, C): as it is, and reversed along the sequence."""
    return torch.stack([sequence, sequence.flip(1)], dim=1)


def causal_conv_silu(sequence: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Filter every channel over its last tokens, then SiLU.

    Args:
        sequence: (B, G, L, C).
        weight: Taps per direction and channel, oldest first, (G, C, W).
        bias: (G, C).
    """
    length, taps = sequence.shape[2], weight.shape[-1]
    padded = F.pad(sequence, (0, 0, taps - 1, 0))
    out = torch.addcmul(bias[:, None], padded[:, :, :length], weight[:, None, :, 0])
    for k in range(1, taps):
        out = torch.addcmul(out, padded[:, :, k : k + length], weight[:, None, :, k])
    return F.silu(out)


class MambaBlock(nn.Module):
    """Add the mixer, behind an RMSNorm, to the tokens; there is no MLP in this block."""

    def __init__(
        self, embed_dim: int, *, state_size: int = 256, head_dim: int = 64, conv_width: int = 4
    ) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(embed_dim, eps=1e-5)
        self.mamba = Mixer(embed_dim, state_size, head_dim, conv_width)

    def forward(self, tokens: Tensor, *, backend: ScanBackend = "auto") -> Tensor:
        return tokens + self.mamba(self.norm(tokens), backend=backend)
