"""GEN3C's denoiser on diffusers' `CosmosTransformer3DModel`, without torchvision."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch.nn.functional as F
from diffusers.models.transformers import transformer_cosmos
from torch import Tensor

FULL_CONFIGURATION: dict[str, Any] = {
    "in_channels": 81,
    "out_channels": 16,
    "num_attention_heads": 32,
    "attention_head_dim": 128,
    "num_layers": 28,
    "mlp_ratio": 4.0,
    "text_embed_dim": 1024,
    "adaln_lora_dim": 256,
    "max_size": (128, 240, 240),
    "patch_size": (1, 2, 2),
    "rope_scale": (2.0, 1.0, 1.0),
    "concat_padding_mask": True,
    "extra_pos_embed_type": "learnable",
}
"""Arguments of `CosmosTransformer3DModel` that make the published GEN3C-Cosmos-7B network."""


def provide_mask_resize() -> None:
    """Let the stock network run where torchvision is missing.

    Its forward resizes the padding mask through torchvision's transforms, which diffusers leaves undefined when
    the package is not installed. All that it needs is a nearest resize of one channel, so that is what it gets.
    """
    if not hasattr(transformer_cosmos, "transforms"):
        stand_in = SimpleNamespace(
            functional=SimpleNamespace(resize=_resize_nearest),
            InterpolationMode=SimpleNamespace(NEAREST="nearest"),
        )
        transformer_cosmos.transforms = stand_in


def _resize_nearest(image: Tensor, size: list[int], *, interpolation: str) -> Tensor:
    return F.interpolate(image, size=size, mode=interpolation)
