"""A tiny SANA-WM pipeline of the real classes with random weights, in diffusers' layout."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLLTX2Video,
    FlowMatchEulerDiscreteScheduler,
    SanaWMPipeline,
    SanaWMTransformer3DModel,
)
from transformers import Gemma2Config, Gemma2ForCausalLM, GemmaTokenizer


def write_sana_wm(folder: Path) -> Path:
    """Write the pipeline: 32x32 pixels and 8 frames per latent cell, as published."""
    torch.manual_seed(0)
    vae = AutoencoderKLLTX2Video(
        latent_channels=8,
        block_out_channels=(8, 16, 32, 64),
        decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1,) * 5,
        decoder_layers_per_block=(1,) * 4,
        spatial_compression_ratio=32,
        temporal_compression_ratio=8,
    )
    transformer = SanaWMTransformer3DModel(
        in_channels=8,
        num_layers=2,
        hidden_size=64,
        num_attention_heads=2,
        linear_head_dim=32,
        softmax_every_n=2,
        chunk_plucker_post_attn_blocks=2,
        caption_channels=16,
        image_size=64,
    )
    for parameter in transformer.parameters():
        if not parameter.any():
            # The camera branch starts at zero; a trained one does not.
            torch.nn.init.normal_(parameter, std=0.05)
    text = Gemma2Config(
        vocab_size=16,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "a", "h", "l", "\u2581"]
    tokenizer = GemmaTokenizer({word: i for i, word in enumerate(words)})
    scheduler = FlowMatchEulerDiscreteScheduler()
    pipeline = SanaWMPipeline(tokenizer, Gemma2ForCausalLM(text), vae, transformer, scheduler)
    pipeline.save_pretrained(folder)
    return folder
