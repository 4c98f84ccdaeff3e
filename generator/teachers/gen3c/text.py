"""Prompts to the T5 embeddings that GEN3C attends to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

MAX_TOKENS = 512


def encode_prompts(
    tokenizer: Any, text_encoder: nn.Module, prompts: list[str], device: torch.device
) -> Tensor:
    """Return T5 embeddings, zero beyond the end of each prompt, (B, 512, D).

    The denoiser's cross-attention has no mask, so the zero tokens take part in it, as they did in training.
    """
    tokens = tokenizer(
        prompts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    )
    mask = tokens.attention_mask.bool().to(device)
    embeddings = text_encoder(tokens.input_ids.to(device), attention_mask=mask).last_hidden_state
    return embeddings * mask[..., None]


def default_negative_prompt() -> str:
    """Return the paragraph on bad video that Cosmos and GEN3C were published with."""
    from diffusers.pipelines.cosmos.pipeline_cosmos_video2world import DEFAULT_NEGATIVE_PROMPT

    return DEFAULT_NEGATIVE_PROMPT
