"""The selective scan of Mamba-2 (SSD): a readable recurrence, a chunked form, and the CUDA kernel.

All of them compute, per head with a state S of shape (N, P) that starts at zero,

    S_t = exp(dt_t a) S_{t-1} + dt_t b_t x_t^T,    y_t = c_t^T S_t + d x_t

(Dao and Gu, "Transformers are SSMs", section 6). Shapes: x (B, L, H, P), dt (B, L, H), a and d (H,),
b and c (B, L, N): H heads that share b and c. A reversed scan runs from the last token to the first.
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
"""Smallest step dt that the chunked form tells from zero; its adjoint divides by dt."""


def scan(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor,
    *,
    reverse: bool = False,
    backend: ScanBackend = "auto",
) -> Tensor:
    """Return y, shape of `x`, with the chosen backend."""
    if backend == "auto":
        backend = "cuda" if x.is_cuda and has_cuda_kernel() else "chunked"
    if backend == "chunked":
        return chunked_scan(x, dt, a, b, c, d, reverse=reverse)
    run = sequential_scan if backend == "sequential" else _cuda_scan
    if reverse:
        return run(x.flip(1), dt.flip(1), a, b.flip(1), c.flip(1), d).flip(1)
    return run(x, dt, a, b, c, d)


@cache
def has_cuda_kernel() -> bool:
    """Return whether mamba-ssm is installed beside a CUDA device."""
    return torch.cuda.is_available() and importlib.util.find_spec("mamba_ssm") is not None


def sequential_scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Run the recurrence token by token: the definition, and the oracle of the tests."""
    state = x.new_zeros(x.shape[0], x.shape[2], b.shape[-1], x.shape[3])
    outputs = []
    for t in range(x.shape[1]):
        decay = torch.exp(dt[:, t] * a)[..., None, None]
        update = b[:, t, None, :, None] * (dt[:, t, :, None] * x[:, t])[..., None, :]
        state = decay * state + update
        outputs.append((c[:, t, None, None, :] @ state).squeeze(-2))
    return torch.stack(outputs, dim=1) + d[:, None] * x


def _cuda_scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Run the kernel of mamba-ssm."""
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

    return mamba_chunk_scan_combined(x, dt, a, b[:, :, None], c[:, :, None], chunk_size=256, D=d)


def chunked_scan(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor,
    *,
    reverse: bool = False,
    chunk: int = CHUNK,
) -> Tensor:
    """Run the scan as matrix products within chunks and a short recurrence between them.

    Linear in L, with temporary memory of one segment of `SEGMENT` chunks. Gradients come from a
    hand-written adjoint that keeps the state before every chunk. Halves are computed in float32.
    """
    dtype = x.dtype
    if dtype in (torch.bfloat16, torch.float16):
        x, dt, a, b, c, d = (tensor.float() for tensor in (x, dt, a, b, c, d))
    return _ChunkedScan.apply(x, dt, a, b, c, d, reverse, chunk).to(dtype)


class _ChunkedScan(torch.autograd.Function):
    """Loop over sequences and segments; `_Segment` holds the algebra of one of them."""

    @staticmethod
    def forward(ctx, x, dt, a, b, c, d, reverse, chunk):  # type: ignore[no-untyped-def]
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        keep = any(ctx.needs_input_grad)
        saved: list[Tensor] = []
        for i in range(len(x)):
            state = x.new_zeros(b.shape[-1], x.shape[2] * x.shape[3])
            for part, size in _segments(x.shape[1], chunk, reverse):
                segment = _Segment(x[i, part], dt[i, part], b[i, part], c[i, part], a, d, size, reverse)
                states, state = segment.states(state)
                segment.output(states, out=y[i, part])
                if keep:
                    saved.append(states)
        ctx.save_for_backward(x, dt, a, b, c, d, y, *saved)
        ctx.reverse, ctx.chunk = reverse, chunk
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_y):  # type: ignore[no-untyped-def]
        x, dt, a, b, c, d, y, *saved = ctx.saved_tensors
        grads = [torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (x, dt, b, c)]
        grad_a, grad_d = torch.zeros_like(a), torch.zeros_like(d)
        grad_y = grad_y.contiguous()
        segments = _segments(x.shape[1], ctx.chunk, ctx.reverse)
        for i in range(len(x)):
            grad_state = x.new_zeros(b.shape[-1], x.shape[2] * x.shape[3])
            for k in reversed(range(len(segments))):
                part, size = segments[k]
                segment = _Segment(x[i, part], dt[i, part], b[i, part], c[i, part], a, d, size, ctx.reverse)
                outs = [grad[i, part] for grad in grads]
                states = saved[i * len(segments) + k]
                grad_state, da, dd = segment.adjoint(states, y[i, part], grad_y[i, part], grad_state, outs)
                grad_a += da
                grad_d += dd
        grad_x, grad_dt, grad_b, grad_c = grads
        return grad_x, grad_dt, grad_a, grad_b, grad_c, grad_d, None, None


def _segments(length: int, chunk: int, reverse: bool) -> list[tuple[slice, int]]:
    """Cut a sequence, in scan order, into runs of whole chunks and a shorter rest, each with its chunk size."""
    whole = length // chunk * chunk
    step = chunk * SEGMENT
    runs = [(slice(i, min(i + step, whole)), chunk) for i in range(0, whole, step)]
    if whole < length:
        runs.append((slice(whole, length), length - whole))
    return runs[::-1] if reverse else runs


class _Segment:
    """Hold K chunks of Q tokens of one sequence, and what forward and adjoint both need of them.

    With l the sum of dt*a from a chunk's first token (in scan order) on, token j reaches a later token i
    of its chunk through exp(l_i - l_j) dt_j c_i.b_j, and the chunk's end through exp(l_end - l_j) dt_j.
    The difference comes before the exponential: exp(-l_j) alone overflows, and on the diagonal it is 0.
    """

    def __init__(
        self, x: Tensor, dt: Tensor, b: Tensor, c: Tensor, a: Tensor, d: Tensor, size: int, reverse: bool
    ) -> None:
        self.x, self.b, self.c = (t.unflatten(0, (-1, size)) for t in (x, b, c))
        self.dt = dt.unflatten(0, (-1, size)).clamp_min(_TINY)
        self.a, self.d, self.reverse = a, d, reverse
        self.order = range(len(self.x))[:: -1 if reverse else 1]
        self.last = 0 if reverse else -1
        self.log_decay = _cumulate(self.dt * a, from_end=reverse)
        self.decay = torch.exp(self.log_decay)[..., None]
        to_end = torch.exp(self.log_decay[:, self.last, None] - self.log_decay)
        self.to_end = to_end.mul_(self.dt)[..., None]
        self.chunk_decay = self.decay[:, self.last].expand(-1, -1, x.shape[-1]).flatten(1)

    def reach(self) -> Tensor:
        """Return the weight of token j at token i, zero where j comes later, (H, K, Q, Q)."""
        log_decay, dt = (t.permute(2, 0, 1).contiguous() for t in (self.log_decay, self.dt))
        reach = log_decay[..., None] - log_decay[..., None, :]
        reach.add_(_future(reach.shape[-1], self.reverse, reach.dtype, reach.device))
        return reach.exp_().mul_(dt[..., None, :])

    def mixing(self, reach: Tensor) -> Tensor:
        """Return the matrices (H, K, Q, Q) from inputs to outputs of a chunk, skip term included."""
        matrices = reach * torch.bmm(self.c, self.b.transpose(1, 2))
        matrices.diagonal(dim1=2, dim2=3).add_(self.d[:, None, None])
        return matrices

    def contributions(self) -> Tensor:
        """Return what each chunk adds to the state at its end, (K, N, H*P)."""
        return torch.bmm(self.b.transpose(1, 2), (self.x * self.to_end).flatten(2))

    def states(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states before every chunk, (K, N, H*P), and after the last one."""
        added = self.contributions()
        states = torch.empty_like(added)
        for k in self.order:
            states[k] = start
            start = torch.addcmul(added[k], start, self.chunk_decay[k])
        return states, start

    def output(self, states: Tensor, *, out: Tensor) -> None:
        """Write y of these chunks, (K*Q, H, P)."""
        matrices = self.mixing(self.reach())
        inside = torch.empty(*matrices.shape[:3], self.x.shape[3], dtype=out.dtype, device=out.device)
        for h in range(len(matrices)):
            torch.bmm(matrices[h], self.x[:, :, h], out=inside[h])
        before = torch.bmm(self.c, states).view(self.x.shape)
        torch.addcmul(inside.permute(1, 2, 0, 3), before, self.decay, out=out.view(self.x.shape))

    def adjoint(
        self, states: Tensor, y: Tensor, grad_y: Tensor, grad_end: Tensor, outs: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Write the gradients of x, dt, b, c into `outs`; return those of the start state, a and d."""
        grad_x, grad_dt, grad_b, grad_c = (out.unflatten(0, self.dt.shape[:2]) for out in outs)
        y, grad_y = y.view(self.x.shape), grad_y.view(self.x.shape)
        decayed = (grad_y * self.decay).flatten(2)
        end_grads, grad_start = self._state_gradients(decayed, grad_end)
        reach = self.reach()
        matrices = self.mixing(reach)
        scores = torch.zeros_like(matrices[0])
        inside = torch.empty(*matrices.shape[:3], self.x.shape[3], dtype=y.dtype, device=y.device)
        for h in range(len(matrices)):
            torch.bmm(matrices[h].transpose(1, 2), grad_y[:, :, h], out=inside[h])
            scores.addcmul_(torch.bmm(grad_y[:, :, h], self.x[:, :, h].transpose(1, 2)), reach[h])
        through_end = torch.bmm(self.b, end_grads).view(self.x.shape)
        torch.addcmul(inside.permute(1, 2, 0, 3), through_end, self.to_end, out=grad_x)
        torch.baddbmm(torch.bmm(decayed, states.transpose(1, 2)), scores, self.b, out=grad_c)
        weighted = (self.x * self.to_end).flatten(2)
        torch.baddbmm(
            torch.bmm(weighted, end_grads.transpose(1, 2)), scores.transpose(1, 2), self.c, out=grad_b
        )
        grad_a, grad_d = self._decay_gradients(states, y, grad_y, grad_x, end_grads, grad_dt)
        return grad_start, grad_a, grad_d

    def _state_gradients(self, decayed: Tensor, grad_end: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of the states after every chunk, (K, N, H*P), and before the first one."""
        reads = torch.bmm(self.c.transpose(1, 2), decayed)
        ends = torch.empty_like(reads)
        for k in reversed(self.order):
            ends[k] = grad_end
            grad_end = torch.addcmul(reads[k], grad_end, self.chunk_decay[k])
        return ends, grad_end

    def _decay_gradients(
        self, states: Tensor, y: Tensor, grad_y: Tensor, grad_x: Tensor, end_grads: Tensor, grad_dt: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Write the gradient of dt; return those of a and d.

        No (Q, Q) gradient is needed: l_i scales all that reaches y_i, and -l_j all that x_j reaches, so
        the gradient of l is y.grad_y - x.grad_x (the skip term cancels), plus that of the end state.
        """
        skip = (grad_y * self.x).sum(-1)
        from_x = (self.x * grad_x).sum(-1) - self.d * skip
        grad_log = (y * grad_y).sum(-1) - self.d * skip - from_x
        ends = self.contributions().addcmul_(states, self.chunk_decay[:, None])
        per_head = (ends * end_grads).sum(1).unflatten(1, (self.x.shape[2], -1)).sum(-1)
        grad_log[:, self.last] += per_head
        grad_log = _cumulate(grad_log, from_end=not self.reverse)
        torch.addcmul(from_x / self.dt, grad_log, self.a, out=grad_dt)
        return (grad_log * self.dt).sum((0, 1)), skip.sum((0, 1))


def _cumulate(values: Tensor, *, from_end: bool) -> Tensor:
    """Return running sums over axis 1, from its start or from its end."""
    return values.flip(1).cumsum(1).flip(1) if from_end else values.cumsum(1)


@cache
def _future(size: int, reverse: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a (size, size) matrix with -inf where column j comes after row i, and 0 elsewhere."""
    blocked = torch.full((size, size), -torch.inf, dtype=dtype, device=device)
    return blocked.tril(-1) if reverse else blocked.triu(1)
