"""A small network that fits what was sampled to the warp around it, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.weights.checkpoint import load_checkpoint
from lyra_sim.errors import LyraSimError

INPUTS = 10
"""Channels that it reads: sampled, matched and filled colours, and the mask."""


class Refiner(nn.Module):
    """Correct a composited frame in its holes: a U-Net on 2x2 pixel blocks, which starts by changing nothing.

    The tokenizer of the mini size keeps no detail finer than a few pixels, and most holes are no wider; their
    edges can be continued from the warp, which is sharp.
    """

    def __init__(self, channels: tuple[int, int, int] = (32, 64, 96)) -> None:
        super().__init__()
        fine, middle, coarse = channels
        self.fine = nn.Sequential(_convolution(4 * INPUTS, fine), _convolution(fine, fine))
        self.middle = nn.Sequential(_convolution(fine, middle, stride=2), _convolution(middle, middle))
        self.coarse = nn.Sequential(
            _convolution(middle, coarse, stride=2),
            _convolution(coarse, coarse, dilation=2),
            _convolution(coarse, coarse, dilation=4),
        )
        self.up_middle = _convolution(middle + coarse, middle)
        self.up_fine = _convolution(fine + middle, fine)
        self.out = nn.Conv2d(fine, 12, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, sampled: Tensor, matched: Tensor, filled: Tensor, seen: Tensor) -> Tensor:
        """Return the corrected frames.

        Args:
            sampled: What the denoiser made, in [0, 1], (B, 3, H, W); H and W are multiples of 8.
            matched: The same, with the difference to the warp carried into the holes.
            filled: The warp, its holes filled without a network.
            seen: 1 where the warp covers, (B, 1, H, W).
        """
        stacked = torch.cat([sampled - 0.5, matched - 0.5, filled - 0.5, seen], dim=1)
        fine = self.fine(F.pixel_unshuffle(stacked, 2))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.up_middle(torch.cat([middle, _resized(coarse, middle)], dim=1))
        fine = self.up_fine(torch.cat([fine, _resized(middle, fine)], dim=1))
        return matched + F.pixel_shuffle(self.out(fine), 2)


def load_refiner(card_path: Path) -> Refiner:
    """Load a trained refiner from its card; raises LyraSimError when it is missing or damaged."""
    state, card = load_checkpoint(card_path, "refiner")
    network = Refiner(tuple(card["configuration"]["channels"]))
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except RuntimeError as error:
        raise LyraSimError(f"{card_path}: weights do not fit its configuration ({error})") from None
    return network.eval().requires_grad_(False)


def _convolution(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation), nn.LeakyReLU(0.1)
    )


def _resized(values: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(values, size=like.shape[-2:], mode="bilinear", align_corners=False)
