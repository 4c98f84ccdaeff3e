"""The chunked form of the Mamba-2 scan: matrix products within chunks, a short recurrence between them.

Shapes and the recurrence are those of `generator.decoder.scan`. Time is linear in the length, temporary
memory that of one segment, and gradients come from a hand-written adjoint.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 64
"""Tokens per chunk."""
SEGMENT = 16
"""Chunks that are worked on together: their temporaries should fit a core's cache."""
_TINY = 1e-30
"""Smallest step dt that is told from zero; the adjoint divides by dt."""


class ScanInputs(NamedTuple):
    """Hold what one scan reads."""

    x: Tensor
    """Values, (B, L, H, P)."""
    dt: Tensor
    """Steps >= 0, (B, L, H)."""
    a: Tensor
    """Decay rates < 0, (H,)."""
    b: Tensor
    """Where x enters the state, shared by all heads, (B, L, N)."""
    c: Tensor
    """Where y reads the state, shared by all heads, (B, L, N)."""
    d: Tensor
    """Share of x that goes to y directly, (H,)."""

    def widened(self) -> ScanInputs:
        """Return halves as float32 and everything else as it is."""
        return ScanInputs._make(at_least_float32(tensor) for tensor in self)

    def reversed(self) -> ScanInputs:
        """Return the sequences with their tokens in reverse order."""
        return self._replace(x=self.x.flip(1), dt=self.dt.flip(1), b=self.b.flip(1), c=self.c.flip(1))

    def segment(self, item: int, tokens: slice, size: int, reverse: bool) -> _Segment:
        """Return some whole chunks of `size` tokens of one batch item."""
        x, dt, b, c = (t[item, tokens].unflatten(0, (-1, size)) for t in (self.x, self.dt, self.b, self.c))
        return _Segment(x, dt, b, c, self.a, self.d, reverse)


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return halves as float32 and everything else as it is."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def chunked_scan(inputs: ScanInputs, *, reverse: bool = False, chunk: int = CHUNK) -> Tensor:
    """Return y of a whole sequence, shape of x; differentiable. Halves are computed in float32."""
    # Inside of `forward` gradient mode is always off, and needs_input_grad ignores it.
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    return _ChunkedScan.apply(*inputs.widened(), reverse, chunk, keep).to(inputs.x.dtype)


@torch.no_grad()
def chunked_scan_with_state(
    inputs: ScanInputs, state: Tensor | None, *, reverse: bool = False, chunk: int = CHUNK
) -> tuple[Tensor, Tensor]:
    """Return y of a stretch and the state (B, H, N, P) after it, given the one before; no gradients."""
    wide = inputs.widened()
    start = _no_state(wide) if state is None else at_least_float32(state).transpose(1, 2).flatten(2)
    y, end, _ = _run(wide, start, reverse, chunk, keep=False)
    return y.to(inputs.x.dtype), end.unflatten(2, inputs.x.shape[2:]).transpose(1, 2)


def _no_state(inputs: ScanInputs) -> Tensor:
    """Return zero states (B, N, H*P)."""
    return inputs.x.new_zeros(len(inputs.x), inputs.b.shape[-1], inputs.x.shape[2] * inputs.x.shape[3])


def _run(
    inputs: ScanInputs, start: Tensor, reverse: bool, chunk: int, *, keep: bool
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return y, the last states (B, N, H*P) and, with `keep`, the states before all chunks of each segment."""
    y = torch.empty(inputs.x.shape, dtype=inputs.x.dtype, device=inputs.x.device)
    end, saved = torch.empty_like(start), []
    for i in range(len(y)):
        state = start[i]
        for tokens, size in _segments(y.shape[1], chunk, reverse):
            segment = inputs.segment(i, tokens, size, reverse)
            states, state = segment.states(state)
            segment.output(states, out=y[i, tokens])
            if keep:
                saved.append(states)
        end[i] = state
    return y, end, saved


class _ChunkedScan(torch.autograd.Function):
    """Loop over sequences and segments; `_Segment` holds the algebra of one of them."""

    @staticmethod
    def forward(ctx, x, dt, a, b, c, d, reverse, chunk, keep):  # type: ignore[no-untyped-def]
        inputs = ScanInputs(x, dt, a, b, c, d)
        y, _, saved = _run(inputs, _no_state(inputs), reverse, chunk, keep=keep)
        ctx.save_for_backward(*inputs, y, *saved)
        ctx.reverse, ctx.chunk = reverse, chunk
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_y):  # type: ignore[no-untyped-def]
        x, dt, a, b, c, d, y, *saved = ctx.saved_tensors
        inputs = ScanInputs(x, dt, a, b, c, d)
        grads = [torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (x, dt, b, c)]
        grad_a, grad_d = torch.zeros_like(a), torch.zeros_like(d)
        grad_y = grad_y.contiguous()
        segments = _segments(x.shape[1], ctx.chunk, ctx.reverse)
        for i in range(len(x)):
            grad_state = _no_state(inputs)[i]
            for k in reversed(range(len(segments))):
                tokens, size = segments[k]
                segment = inputs.segment(i, tokens, size, ctx.reverse)
                outs = [grad[i, tokens] for grad in grads]
                states = saved[i * len(segments) + k]
                grad_state, da, dd = segment.adjoint(
                    states, y[i, tokens], grad_y[i, tokens], grad_state, outs
                )
                grad_a += da
                grad_d += dd
        grad_x, grad_dt, grad_b, grad_c = grads
        return grad_x, grad_dt, grad_a, grad_b, grad_c, grad_d, None, None, None


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
        self, x: Tensor, dt: Tensor, b: Tensor, c: Tensor, a: Tensor, d: Tensor, reverse: bool
    ) -> None:
        """Take x (K, Q, H, P), dt (K, Q, H), b and c (K, Q, N), a and d (H,)."""
        self.x, self.dt, self.b, self.c = x, dt.clamp_min(_TINY), b, c
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
