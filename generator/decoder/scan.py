"""The selective scan of Mamba-2 (SSD): a readable recurrence, a chunked form, and the CUDA kernel.

All of them compute, per head with state S of shape (N, P), from a zero start,

    S_t = exp(dt_t a) S_{t-1} + dt_t b_t x_t^T,    y_t = c_t^T S_t + d x_t

(Dao and Gu, "Transformers are SSMs", section 6). Shapes: x (B, G, L, H, P), dt (B, G, L, H), a and d
(G, H), b and c (B, G, L, N); G scan directions with parameters of their own, H heads that share b and c.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Literal

import torch
from torch import Tensor

ScanBackend = Literal["auto", "chunked", "sequential", "cuda"]
"""Which form of the scan runs; `auto` takes the CUDA kernel where it can and the chunked form elsewhere."""

CHUNK = 64
"""Tokens per chunk of the chunked form."""
SEGMENT = 16
"""Chunks that are worked on together: their temporaries should fit a core's cache."""
_TINY = 1e-30
"""Smallest step dt that the chunked form tells from zero; it takes its logarithm."""


def scan(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, *, backend: ScanBackend
) -> Tensor:
    """Return y, shape of `x`, with the chosen backend."""
    if backend == "auto":
        backend = "cuda" if x.is_cuda and has_cuda_kernel() else "chunked"
    if backend == "sequential":
        return sequential_scan(x, dt, a, b, c, d)
    if backend == "cuda":
        return _cuda_scan(x, dt, a, b, c, d)
    return chunked_scan(x, dt, a, b, c, d)


@cache
def has_cuda_kernel() -> bool:
    """Return whether mamba-ssm is installed beside a CUDA device."""
    return torch.cuda.is_available() and importlib.util.find_spec("mamba_ssm") is not None


def sequential_scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Run the recurrence token by token: the definition, and the oracle of the tests."""
    state = x.new_zeros(*x.shape[:2], x.shape[3], b.shape[-1], x.shape[4])
    outputs = []
    for t in range(x.shape[2]):
        decay = torch.exp(dt[:, :, t] * a)[..., None, None]
        update = b[:, :, t, None, :, None] * (dt[:, :, t, :, None] * x[:, :, t])[..., None, :]
        state = decay * state + update
        outputs.append((c[:, :, t, None, None, :] @ state).squeeze(-2))
    return torch.stack(outputs, dim=2) + d[:, None, :, None] * x


def _cuda_scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Run the kernel of mamba-ssm; directions become its groups, so one launch serves both."""
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

    directions = x.shape[1]
    y = mamba_chunk_scan_combined(
        x.transpose(1, 2).flatten(2, 3),
        dt.transpose(1, 2).flatten(2, 3),
        a.flatten(),
        b.transpose(1, 2),
        c.transpose(1, 2),
        chunk_size=256,
        D=d.flatten(),
    )
    return y.unflatten(2, (directions, -1)).transpose(1, 2)


def chunked_scan(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, *, chunk: int = CHUNK
) -> Tensor:
    """Run the scan as matrix products within chunks and a short recurrence between them.

    Linear in L, with temporary memory of one segment of `SEGMENT` chunks. Gradients come from a
    hand-written adjoint that keeps the state at the start of every chunk. Halves are computed in float32.
    """
    dtype = x.dtype
    if dtype in (torch.bfloat16, torch.float16):
        x, dt, a, b, c, d = (tensor.float() for tensor in (x, dt, a, b, c, d))
    return _ChunkedScan.apply(x, dt, a, b, c, d, chunk).to(dtype)


class _ChunkedScan(torch.autograd.Function):
    """Loop over sequences and segments; `_Segment` holds the algebra of one of them."""

    @staticmethod
    def forward(ctx, x, dt, a, b, c, d, chunk):  # type: ignore[no-untyped-def]
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        keep = any(ctx.needs_input_grad)
        saved: list[Tensor] = []
        for i, j in _sequences(x):
            state = x.new_zeros(b.shape[-1], x.shape[3] * x.shape[4])
            for part, size in _segments(x.shape[2], chunk):
                segment = _Segment.cut(x, dt, b, c, a, d, where=(i, j, part), size=size)
                states, state = segment.states(state)
                segment.output(states, out=y[i, j, part])
                if keep:
                    saved.append(states)
        ctx.save_for_backward(x, dt, a, b, c, d, y, *saved)
        ctx.chunk = chunk
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_y):  # type: ignore[no-untyped-def]
        x, dt, a, b, c, d, y, *saved = ctx.saved_tensors
        grads = [torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (x, dt, b, c)]
        grad_a, grad_d = torch.zeros_like(a), torch.zeros_like(d)
        grad_y = grad_y.contiguous()
        segments = list(_segments(x.shape[2], ctx.chunk))
        for number, (i, j) in enumerate(_sequences(x)):
            grad_state = x.new_zeros(b.shape[-1], x.shape[3] * x.shape[4])
            for k in reversed(range(len(segments))):
                part, size = segments[k]
                segment = _Segment.cut(x, dt, b, c, a, d, where=(i, j, part), size=size)
                outs = [grad[i, j, part] for grad in grads]
                states = saved[number * len(segments) + k]
                grad_state, da, dd = segment.adjoint(
                    states, y[i, j, part], grad_y[i, j, part], grad_state, outs
                )
                grad_a[j] += da
                grad_d[j] += dd
        grad_x, grad_dt, grad_b, grad_c = grads
        return grad_x, grad_dt, grad_a, grad_b, grad_c, grad_d, None


def _sequences(x: Tensor) -> list[tuple[int, int]]:
    """Return the (batch, direction) pairs of x."""
    return [(i, j) for i in range(x.shape[0]) for j in range(x.shape[1])]


def _segments(length: int, chunk: int) -> list[tuple[slice, int]]:
    """Cut a sequence into runs of whole chunks and a shorter rest; each comes with its chunk length."""
    whole = length // chunk * chunk
    step = chunk * SEGMENT
    runs = [(slice(i, min(i + step, whole)), chunk) for i in range(0, whole, step)]
    return runs + ([(slice(whole, length), length - whole)] if whole < length else [])


class _Segment:
    """Hold K chunks of Q tokens of one sequence, and what forward and adjoint both need of them.

    With l the running sum of dt*a within a chunk, token j reaches token i >= j of its chunk through
    exp(l_i - l_j) dt_j c_i.b_j, and the chunk's end through exp(l_Q - l_j) dt_j. Both exponents are
    formed as differences first, because exp(-l_j) alone overflows; dt_j goes in as its logarithm.
    """

    def __init__(self, x: Tensor, dt: Tensor, b: Tensor, c: Tensor, a: Tensor, d: Tensor, size: int) -> None:
        self.x, self.b, self.c = (t.unflatten(0, (-1, size)) for t in (x, b, c))
        self.dt = dt.unflatten(0, (-1, size)).clamp_min(_TINY)
        self.a, self.d = a, d
        self.log_decay = (self.dt * a).cumsum(1)
        self.log_weight = self.dt.log() - self.log_decay

    @classmethod
    def cut(
        cls, x: Tensor, dt: Tensor, b: Tensor, c: Tensor, a: Tensor, d: Tensor, *, where: tuple, size: int
    ) -> _Segment:
        """Take one segment, `where` = (batch, direction, tokens), out of whole sequences."""
        direction = where[1]
        return cls(x[where], dt[where], b[where], c[where], a[direction], d[direction], size)

    def to_end(self) -> Tensor:
        """Return the weight of each token in the state at its chunk's end, (K, Q, H, 1)."""
        return torch.exp(self.log_decay[:, -1:] + self.log_weight)[..., None]

    def decay(self) -> Tensor:
        """Return exp(l_i), (K, Q, H, 1)."""
        return torch.exp(self.log_decay)[..., None]

    def reach(self) -> Tensor:
        """Return the weight of token j at token i, zero above the diagonal, (H, K, Q, Q)."""
        rows, columns = (t.permute(2, 0, 1).contiguous() for t in (self.log_decay, self.log_weight))
        reach = rows[..., None] + columns[..., None, :]
        reach.add_(_upper(reach.shape[-1], reach.dtype, reach.device))
        return reach.exp_()

    def states(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states at the start of every chunk, (K, N, H*P), and at the end of the last one."""
        inputs = torch.bmm(self.b.transpose(1, 2), (self.x * self.to_end()).flatten(2))
        decays = self._chunk_decays()
        states = torch.empty_like(inputs)
        for k in range(len(inputs)):
            states[k] = start
            start = torch.addcmul(inputs[k], start, decays[k])
        return states, start

    def _chunk_decays(self) -> Tensor:
        """Return the decay over each whole chunk per state column, (K, H*P)."""
        return torch.exp(self.log_decay[:, -1]).repeat_interleave(self.x.shape[3], dim=1)

    def mixing(self, reach: Tensor) -> Tensor:
        """Return the matrices (H, K, Q, Q) from inputs to outputs of a chunk, skip term included."""
        matrices = reach * torch.bmm(self.c, self.b.transpose(1, 2))
        matrices.diagonal(dim1=2, dim2=3).add_(self.d[:, None, None])
        return matrices

    def output(self, states: Tensor, *, out: Tensor) -> None:
        """Write y of these chunks, (K*Q, H, P)."""
        matrices = self.mixing(self.reach())
        inside = torch.empty(*matrices.shape[:3], self.x.shape[3], dtype=out.dtype, device=out.device)
        for h in range(len(matrices)):
            torch.bmm(matrices[h], self.x[:, :, h], out=inside[h])
        before = torch.bmm(self.c, states).view(self.x.shape)
        torch.addcmul(inside.permute(1, 2, 0, 3), before, self.decay(), out=out.view(self.x.shape))

    def adjoint(
        self, states: Tensor, y: Tensor, grad_y: Tensor, grad_end: Tensor, outs: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Write the gradients of x, dt, b, c into `outs`; return those of the start state, a and d."""
        grad_x, grad_dt, grad_b, grad_c = (out.unflatten(0, self.dt.shape[:2]) for out in outs)
        y, grad_y = y.view(self.x.shape), grad_y.view(self.x.shape)
        grad_y_decayed = (grad_y * self.decay()).flatten(2)
        end_grads, grad_start = self._state_gradients(grad_y_decayed, grad_end)
        reach = self.reach()
        matrices = self.mixing(reach)
        scores = torch.zeros_like(matrices[0])
        inside = torch.empty(*matrices.shape[:3], self.x.shape[3], dtype=y.dtype, device=y.device)
        for h in range(len(matrices)):
            torch.bmm(matrices[h].transpose(1, 2), grad_y[:, :, h], out=inside[h])
            scores.addcmul_(torch.bmm(grad_y[:, :, h], self.x[:, :, h].transpose(1, 2)), reach[h])
        to_end = self.to_end()
        through_end = torch.bmm(self.b, end_grads).view(self.x.shape)
        torch.addcmul(inside.permute(1, 2, 0, 3), through_end, to_end, out=grad_x)
        torch.baddbmm(torch.bmm(grad_y_decayed, states.transpose(1, 2)), scores, self.b, out=grad_c)
        weighted = (self.x * to_end).flatten(2)
        torch.baddbmm(
            torch.bmm(weighted, end_grads.transpose(1, 2)), scores.transpose(1, 2), self.c, out=grad_b
        )
        grad_a, grad_d = self._decay_gradients(states, y, grad_y, grad_x, end_grads, grad_dt)
        return grad_start, grad_a, grad_d

    def _state_gradients(self, grad_y_decayed: Tensor, grad_end: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients at the end of every chunk, (K, N, H*P), and at the segment's start."""
        reads = torch.bmm(self.c.transpose(1, 2), grad_y_decayed)
        decays = self._chunk_decays()
        ends = torch.empty_like(reads)
        for k in reversed(range(len(reads))):
            ends[k] = grad_end
            grad_end = torch.addcmul(reads[k], grad_end, decays[k])
        return ends, grad_end

    def _decay_gradients(
        self, states: Tensor, y: Tensor, grad_y: Tensor, grad_x: Tensor, end_grads: Tensor, grad_dt: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Write the gradient of dt; return those of a and d.

        No (Q, Q) gradient is needed: l_i scales all that reaches y_i, and -l_j all that x_j reaches, so
        the gradient of l is y.grad_y - x.grad_x (skip term aside), plus state.grad_state at chunk ends.
        """
        skip = (grad_y * self.x).sum(-1)
        from_x = (self.x * grad_x).sum(-1) - self.d * skip
        from_y = (y * grad_y).sum(-1) - self.d * skip
        grad_log = from_y - from_x
        ends = torch.bmm(self.b.transpose(1, 2), (self.x * self.to_end()).flatten(2))
        ends.addcmul_(states, self._chunk_decays()[:, None])
        grad_log[:, -1] += (ends * end_grads).sum(1).unflatten(1, (self.x.shape[2], -1)).sum(-1)
        grad_log = grad_log.flip(1).cumsum(1).flip(1)
        torch.addcmul(from_x / self.dt, grad_log, self.a, out=grad_dt)
        return (grad_log * self.dt).sum((0, 1)), skip.sum((0, 1))


@cache
def _upper(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a (size, size) matrix with -inf above the diagonal and 0 elsewhere."""
    return torch.full((size, size), -torch.inf, dtype=dtype, device=device).triu(1)
