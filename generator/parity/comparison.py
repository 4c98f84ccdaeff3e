"""One number of ours beside the official one, and the gate between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Comparison:
    """Hold the outcome for one tensor."""

    tensor: str
    """Name of the tensor in the golden file, with what was varied in brackets."""
    error: float
    """Largest absolute error; infinite when the tensor is missing or has another shape."""
    gate: str
    """The gate in words."""
    passed: bool
    note: str = ""
    """What went wrong, when there is no number."""


def failure(tensor: str, note: str) -> Comparison:
    """Return a failed comparison without a number."""
    return Comparison(tensor, float("inf"), "-", False, note)


def compare(tensor: str, ours: Tensor, golden: Tensor, *, gate: float, relative: float = 0.0) -> Comparison:
    """Compare elementwise: |ours - golden| <= max(gate, relative * |golden|), and NaN only where golden has it."""
    if ours.shape != golden.shape:
        return failure(tensor, f"shape {tuple(ours.shape)}, golden has {tuple(golden.shape)}")
    ours, golden = ours.detach().double(), golden.double()
    same = (ours == golden) | (ours.isnan() & golden.isnan())
    error = torch.where(same, 0.0, (ours - golden).abs())
    allowed = (relative * golden.abs()).clamp_min(gate).nan_to_num(gate)
    words = f"{gate:.1e}" + (f" or {relative:.0e} relative" if relative else "")
    largest = float(error.nan_to_num(torch.inf).max()) if error.numel() else 0.0
    return Comparison(tensor, largest, words, bool((error <= allowed).all()))


def compare_scaled(tensor: str, ours: Tensor, golden: Tensor, *, share: float) -> Comparison:
    """Compare with a gate that is a share of the golden tensor's largest magnitude (gradients)."""
    return compare(tensor, ours, golden, gate=share * max(float(golden.abs().max()), 1e-30))


def compare_exact(tensor: str, ours: Tensor, golden: Tensor) -> Comparison:
    """Compare values that must agree bit for bit."""
    return compare(tensor, ours, golden, gate=0.0)
