"""The selective scan of Mamba-2 (SSD): one front door, a readable recurrence, and the CUDA kernel.

All forms compute, per head with a state S of shape (N, P),

    S_t = exp(dt_t a) S_{t-1} + dt_t b_t x_t^T,    y_t = c_t^T S_t + d x_t

(Dao and Gu, "Transformers are SSMs", section 6), with the shapes that `ScanInputs` names and states
(B, H, N, P). A reversed scan runs from the last token to the first.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from generator.decoder.chunked import ScanInputs, chunked_scan, chunked_scan_with_state

ScanBackend = Literal["auto", "chunked", "sequential", "cuda"]
"""Which form of the scan runs; `auto` takes the CUDA kernel where it can and the chunked form elsewhere."""


def scan(inputs: ScanInputs, *, reverse: bool = False, backend: ScanBackend = "auto") -> Tensor:
    """Return y, shape of x, of a whole sequence that starts from a zero state; differentiable."""
    if choose(backend, inputs.x) == "chunked":
        return chunked_scan(inputs, reverse=reverse)
    return scan_with_state(inputs, None, reverse=reverse, backend=backend)[0]


def scan_with_state(
    inputs: ScanInputs, state: Tensor | None, *, reverse: bool = False, backend: ScanBackend = "auto"
) -> tuple[Tensor, Tensor]:
    """Return y and the last state of one stretch of a sequence, given the state before it (None: zero).

    The chunked form gives no gradients here; use `scan` for training.
    """
    backend = choose(backend, inputs.x)
    if backend == "chunked":
        return chunked_scan_with_state(inputs, state, reverse=reverse)
    run = sequential_scan if backend == "sequential" else _cuda_scan
    if not reverse:
        return run(inputs, state)
    y, state = run(inputs.reversed(), state)
    return y.flip(1), state


def choose(backend: ScanBackend, x: Tensor) -> ScanBackend:
    """Return the backend that `auto` stands for, for tensors where `x` is; others stay."""
    if backend != "auto":
        return backend
    return "cuda" if x.is_cuda and has_cuda_kernel() else "chunked"


@cache
def has_cuda_kernel() -> bool:
    """Return whether mamba-ssm is installed beside a CUDA device."""
    return torch.cuda.is_available() and importlib.util.find_spec("mamba_ssm") is not None


def sequential_scan(inputs: ScanInputs, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Run the recurrence token by token: the definition, and the oracle of the tests."""
    x, dt, a, b, c, d = inputs
    if state is None:
        state = x.new_zeros(x.shape[0], x.shape[2], b.shape[-1], x.shape[3])
    outputs = []
    for t in range(x.shape[1]):
        decay = torch.exp(dt[:, t] * a)[..., None, None]
        update = b[:, t, None, :, None] * (dt[:, t, :, None] * x[:, t])[..., None, :]
        state = decay * state + update
        outputs.append((c[:, t, None, None, :] @ state).squeeze(-2))
    return torch.stack(outputs, dim=1) + d[:, None] * x, state


def _cuda_scan(inputs: ScanInputs, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """Run the kernel of mamba-ssm, whose states are (B, H, P, N) and whose b and c have a group axis."""
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

    x, dt, a, b, c, d = inputs
    before = None if state is None else state.transpose(2, 3).contiguous()
    options = {"chunk_size": 256, "D": d, "initial_states": before, "return_final_states": True}
    y, last = mamba_chunk_scan_combined(x, dt, a, b[:, :, None], c[:, :, None], **options)
    return y, last.transpose(2, 3)
