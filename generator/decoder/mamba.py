"""The Mamba-2 block with a forward and a backward scan (names as in the published weights)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.decoder.chunked import ScanInputs, at_least_float32
from generator.decoder.elementwise import conv_silu, gate_norm
from generator.decoder.scan import ScanBackend, scan, scan_with_state


class ScanParameters(nn.Module):
    """Run one scan direction: convolution, scan, gate, norm; hold the parameters of that direction."""

    def __init__(self, inner: int, heads: int, state_size: int, conv_width: int, *, reverse: bool) -> None:
        super().__init__()
        self.widths = [inner, state_size, state_size]
        self.reverse = reverse
        channels = sum(self.widths)
        self.conv1d = nn.Conv1d(channels, channels, conv_width, groups=channels, padding=conv_width - 1)
        self.norm = nn.RMSNorm(inner, eps=1e-5)
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(heads))
        steps = torch.exp(torch.empty(heads).uniform_(math.log(0.001), math.log(0.1))).clamp(min=1e-4)
        # Inverse of softplus, so that softplus(dt_bias) is the step drawn above.
        self.dt_bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))

    def forward(self, z: Tensor, xbc: Tensor, dt: Tensor, *, backend: ScanBackend = "auto") -> Tensor:
        """Return (B, L, 2 D) in token order, from the three parts of the projected tokens."""
        y = scan(self._scan_inputs(self._filter(xbc), dt), reverse=self.reverse, backend=backend)
        return gate_norm(y.flatten(2), z, self.norm.weight, eps=1e-5)

    def stretch(
        self, z: Tensor, xbc: Tensor, dt: Tensor, state: Tensor | None, inner: slice, *, backend: ScanBackend
    ) -> tuple[Tensor, Tensor]:
        """Return outputs and last state of the tokens `inner`, the state before them given; no gradients.

        The tokens outside of `inner` are those before it in scan order that the convolution reaches.
        """
        inputs = self._scan_inputs(self._filter(xbc)[:, inner], dt[:, inner])
        y, state = scan_with_state(inputs, state, reverse=self.reverse, backend=backend)
        return gate_norm(y.flatten(2), z[:, inner], self.norm.weight, eps=1e-5), state

    def _filter(self, xbc: Tensor) -> Tensor:
        """Run the causal convolution."""
        assert self.conv1d.bias is not None
        return conv_silu(xbc, self.conv1d.weight, self.conv1d.bias, reverse=self.reverse)

    def _scan_inputs(self, xbc: Tensor, dt: Tensor) -> ScanInputs:
        """Split the filtered tokens; steps and decays are at least float32, as in the official kernel."""
        x, b, c = xbc.split(self.widths, dim=-1)
        steps = F.softplus(at_least_float32(dt) + at_least_float32(self.dt_bias))
        decay = -torch.exp(at_least_float32(self.A_log))
        return ScanInputs(x.unflatten(-1, (len(self.D), -1)), steps, decay, b, c, self.D)


class Mixer(nn.Module):
    """Mix tokens along the sequence: project, scan both ways, sum, project."""

    def __init__(self, embed_dim: int, state_size: int, head_dim: int, conv_width: int) -> None:
        super().__init__()
        inner = 2 * embed_dim
        heads = inner // head_dim
        self.conv_width = conv_width
        self.widths = [inner, inner + 2 * state_size, heads]
        self.in_proj = nn.Linear(embed_dim, sum(self.widths), bias=False)
        self.mamba_scans = nn.ModuleList(
            ScanParameters(inner, heads, state_size, conv_width, reverse=reverse) for reverse in (False, True)
        )
        self.out_proj = nn.Linear(inner, embed_dim, bias=False)
        for linear in (self.in_proj, self.out_proj):
            nn.init.trunc_normal_(linear.weight, std=0.02)

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return gate z, scan input [x|B|C] and step dt, each contiguous, (B, L, width)."""
        z, xbc, dt = (F.linear(tokens, rows) for rows in self.in_proj.weight.split(self.widths))
        return z, xbc, dt

    def forward(self, tokens: Tensor, *, backend: ScanBackend = "auto") -> Tensor:
        """Return (B, L, D) mixed tokens."""
        parts = self.project(tokens)
        forward, backward = (scan_way(*parts, backend=backend) for scan_way in self.mamba_scans)
        return self.out_proj(forward + backward)

    def stretch(
        self, tokens: Tensor, way: int, state: Tensor | None, inner: slice, *, backend: ScanBackend
    ) -> tuple[Tensor, Tensor]:
        """Return one scan's share of the mixed tokens `inner`, and the state after them; no gradients."""
        scan_way = self.mamba_scans[way]
        assert isinstance(scan_way, ScanParameters)
        y, state = scan_way.stretch(*self.project(tokens), state, inner, backend=backend)
        return self.out_proj(y), state


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

    def forward_in_slices(self, tokens: Tensor, size: int, *, backend: ScanBackend = "auto") -> Tensor:
        """Return what `forward` does with temporary memory of `size` tokens only; no gradients.

        Each scan runs through the slices in its own order and hands its state on. The projection runs
        once per scan, so this takes about half as much time again.
        """
        length, reach = tokens.shape[1], self.mamba.conv_width - 1
        out = tokens.clone()
        for way in range(2):
            state: Tensor | None = None
            for start in range(0, length, size)[:: -1 if way else 1]:
                stop = min(start + size, length)
                first, last = (start, min(stop + reach, length)) if way else (max(start - reach, 0), stop)
                inner = slice(start - first, stop - first)
                normed = self.norm(tokens[:, first:last])
                share, state = self.mamba.stretch(normed, way, state, inner, backend=backend)
                out[:, start:stop] += share
        return out
