"""The chunked scan and its neighbours equal the plain definitions, values and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.decoder.chunked import ScanInputs, chunked_scan
from generator.decoder.elementwise import conv_silu, gate_norm
from generator.decoder.scan import ScanBackend, scan, scan_with_state, sequential_scan


def scan_inputs(length: int, *, dtype: torch.dtype = torch.float64) -> ScanInputs:
    """Return x, dt, a, b, c, d of two short sequences with three heads of four channels and state width 5."""
    generator = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    inputs = [
        normal(2, length, 3, 4),
        F.softplus(normal(2, length, 3) - 2),
        -8 * normal(3).abs() - 0.1,
        normal(2, length, 5),
        normal(2, length, 5),
        normal(3),
    ]
    return ScanInputs._make(tensor.requires_grad_() for tensor in inputs)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 3, 64, 150])
def test_chunked_scan_equals_the_recurrence(length: int, reverse: bool) -> None:
    """Outputs and all gradients agree in float64, for whole chunks, rests and several segments."""
    inputs = scan_inputs(length)
    expected = scan(inputs, reverse=reverse, backend="sequential")
    found = chunked_scan(inputs, reverse=reverse, chunk=4)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    weights = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(found, inputs, weights),
        torch.autograd.grad(expected, inputs, weights),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_scan_in_float32_stays_finite_at_extreme_steps() -> None:
    """Steps of 0 and of 100, where exp of the decay alone would overflow, give the recurrence's finite values."""
    steps = torch.where(torch.arange(130)[:, None] % 3 == 0, 0.0, 100.0).expand(2, 130, 3)
    inputs = scan_inputs(130, dtype=torch.float32)._replace(dt=steps.clone().requires_grad_())
    y = chunked_scan(inputs)
    grads = torch.autograd.grad(y.sum(), inputs)
    assert all(bool(tensor.isfinite().all()) for tensor in (y, *grads))
    torch.testing.assert_close(y, sequential_scan(inputs)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_causal(reverse: bool) -> None:
    """Tokens that come later in scan order do not change earlier outputs by a bit."""
    inputs = scan_inputs(100)
    later, earlier = (slice(0, 37), slice(37, 100)) if reverse else (slice(63, 100), slice(0, 63))
    bump = torch.zeros(100, dtype=torch.float64)
    bump[later] = 1
    changed = inputs._replace(
        x=inputs.x + bump[:, None, None],
        dt=inputs.dt + bump[:, None],
        b=inputs.b + bump[:, None],
        c=inputs.c + bump[:, None],
    )
    before, after = (chunked_scan(each, reverse=reverse, chunk=8) for each in (inputs, changed))
    assert torch.equal(before[:, earlier], after[:, earlier])
    assert not torch.allclose(before[:, later], after[:, later])


@pytest.mark.parametrize("backend", ["sequential", "chunked"])
@pytest.mark.parametrize("reverse", [False, True])
def test_stretches_that_hand_on_their_state_equal_the_whole(reverse: bool, backend: ScanBackend) -> None:
    """Scanning 100 tokens as 30 + 70, in scan order, gives the outputs of one scan."""
    inputs = scan_inputs(100)
    expected = scan(inputs, reverse=reverse, backend=backend)
    state, parts = None, []
    for tokens in (slice(70, 100), slice(0, 70)) if reverse else (slice(0, 30), slice(30, 100)):
        stretch = inputs._replace(
            **{name: getattr(inputs, name)[:, tokens] for name in ("x", "dt", "b", "c")}
        )
        y, state = scan_with_state(stretch, state, reverse=reverse, backend=backend)
        parts.append(y)
    found = torch.cat(parts[::-1] if reverse else parts, dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_half_precision_scan_is_the_float32_scan_rounded() -> None:
    """bfloat16 inputs are computed in float32, so the result is off by one rounding only."""
    inputs = ScanInputs._make(tensor.detach().bfloat16() for tensor in scan_inputs(70))
    found = chunked_scan(inputs)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, chunked_scan(inputs.widened()).bfloat16())


def plain_conv_silu(sequence: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return SiLU of the causal depthwise convolution, by PyTorch's own 1D convolution."""
    padded = F.pad(sequence.transpose(1, 2), (weight.shape[-1] - 1, 0))
    return F.silu(F.conv1d(padded, weight, bias, groups=len(weight))).transpose(1, 2)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [2, 9])
def test_conv_silu_equals_a_causal_convolution(length: int, reverse: bool) -> None:
    """Values equal PyTorch's convolution on the (reversed) sequence, and gradients pass gradcheck."""
    torch.manual_seed(0)
    arguments = [
        torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        for shape in ((2, length, 3), (3, 1, 4), (3,))
    ]
    sequence = arguments[0].flip(1) if reverse else arguments[0]
    expected = plain_conv_silu(sequence, *arguments[1:])
    expected = expected.flip(1) if reverse else expected
    torch.testing.assert_close(conv_silu(*arguments, reverse=reverse), expected)
    assert torch.autograd.gradcheck(lambda *a: conv_silu(*a, reverse=reverse), arguments)


def test_gate_norm_equals_its_definition() -> None:
    """Values equal RMSNorm(y SiLU(z)) over several slices, and gradients pass gradcheck."""
    torch.manual_seed(0)
    y, z = (torch.randn(2, 2500, 6, dtype=torch.float64) for _ in range(2))
    weight = torch.randn(6, dtype=torch.float64)
    expected = F.rms_norm(y * F.silu(z), (6,), weight, eps=1e-5)
    torch.testing.assert_close(gate_norm(y, z, weight, eps=1e-5), expected)
    small = [tensor.requires_grad_() for tensor in (y[:, :5].clone(), z[:, :5].clone(), weight)]
    assert torch.autograd.gradcheck(lambda *a: gate_norm(*a, eps=1e-5), small)
