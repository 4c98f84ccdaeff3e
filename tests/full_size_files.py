"""Tiny checkpoints of everything that the full size uses, in the layouts of the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from depth_files import write_depth_anything
from diffusers import AutoencoderKLCosmos, CosmosTransformer3DModel
from image_pipeline_files import write_text_to_image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import T5Config, T5EncoderModel
from weights_files import DECODER, native_name

from generator.decoder import DecoderConfig, LyraDecoder
from generator.teachers.gen3c.keys import diffusers_key
from generator.teachers.gen3c.transformer import FULL_CONFIGURATION
from generator.weights.pull import import_file
from generator.weights.registry import find_entry
from generator.weights.store import Store

DENOISER: dict[str, Any] = {
    **FULL_CONFIGURATION,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 1,
    "text_embed_dim": 8,
    "adaln_lora_dim": 4,
    "max_size": (8, 16, 16),
}
"""Arguments of a denoiser with the published input channels and every part of the published network."""
TOKENIZER: dict[str, Any] = {
    "encoder_block_out_channels": [4, 8, 8, 8],
    "decode_block_out_channels": [8, 8, 8, 8],
    "attention_resolutions": [32],
    "resolution": 64,
    "num_layers": 1,
}
"""Arguments of a tokenizer with the published 16 channels and arrangement of levels."""
T5 = {
    "vocab_size": 32,
    "d_model": 8,
    "d_kv": 4,
    "d_ff": 16,
    "num_layers": 1,
    "num_heads": 2,
    "feed_forward_proj": "relu",
}
"""Arguments of a text encoder as wide as the denoiser's text."""


def official_name(name: str) -> str:
    """Return the official name of a diffusers weight of a one-block denoiser, found by trying official names."""
    attention = [f"attn.{part}" for part in ("to_q.0", "to_q.1", "to_k.0", "to_k.1", "to_v.0", "to_out.0")]
    names = ["x_embedder.proj.1", "t_embedder.1.linear_1", "t_embedder.1.linear_2", "affline_norm"]
    names += ["final_layer.linear", "final_layer.adaLN_modulation.1", "final_layer.adaLN_modulation.2"]
    names += [f"blocks.block0.blocks.{b}.block.{part}" for b in (0, 1) for part in attention]
    names += [f"blocks.block0.blocks.2.block.layer{i}" for i in (1, 2)]
    names += [f"blocks.block0.blocks.{b}.adaLN_modulation.{i}" for b in (0, 1, 2) for i in (1, 2)]
    table = {diffusers_key(f"{n}.weight"): f"{n}.weight" for n in names}
    table |= {f"learnable_pos_embed.pos_emb_{axis}": f"extra_pos_embedder.pos_emb_{axis}" for axis in "thw"}
    return f"net.{table[name]}"


def import_denoiser(folder: Path, store: Store) -> None:
    """Write GEN3C's `model.pt` with official names and training leftovers, and import it."""
    torch.manual_seed(0)
    network = CosmosTransformer3DModel(**DENOISER)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    state = {official_name(n): v.to(torch.bfloat16) for n, v in network.state_dict().items()}
    torch.save({"model": {**state, "net.accum_image_sample_counter": torch.zeros(1)}}, folder / "model.pt")
    entry = find_entry("gen3c")
    import_file(entry, folder / "model.pt", store, configuration=DENOISER, any_version=True)


def import_tokenizer(folder: Path, store: Store) -> None:
    """Write the tokenizer's native `model.pt` with `mean_std.pt`, and import it."""
    torch.manual_seed(1)
    state = AutoencoderKLCosmos(**TOKENIZER).to(torch.bfloat16).state_dict()
    torch.save({native_name(name): value for name, value in state.items()}, folder / "model.pt")
    # Per channel and latent frame, as published: 16 channels x 20 frames, of which 16 are used.
    mean = torch.linspace(-0.5, 0.5, 16 * 20)
    torch.save((mean, 1.5 + mean), folder / "mean_std.pt")
    import_file(
        find_entry("cosmos-tokenizer"), folder / "model.pt", store, configuration=TOKENIZER, any_version=True
    )


def import_text_encoder(folder: Path, store: Store) -> None:
    """Write T5's `pytorch_model.bin`, decoder half included, with `tokenizer.json`, and import it."""
    torch.manual_seed(2)
    state = dict(T5EncoderModel(T5Config(**T5)).state_dict())
    state["decoder.final_layer_norm.weight"] = torch.ones(8)
    torch.save(state, folder / "pytorch_model.bin")
    tokenizer_file().save(str(folder / "tokenizer.json"))
    entry = find_entry("t5-text-encoder")
    import_file(entry, folder / "pytorch_model.bin", store, configuration={"network": T5}, any_version=True)


def tokenizer_file() -> Tokenizer:
    """Return a tokenizer that knows a few words and ends every text with </s>, as T5's does."""
    words = ["<pad>", "</s>", "<unk>", "a", "hall", "with", "shelves", "fog", "The", "video"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def import_decoder(folder: Path, store: Store) -> None:
    """Write the static decoder's file, of a decoder that puts opaque Gaussians near distance 1, and import it."""
    torch.manual_seed(3)
    decoder = LyraDecoder(DecoderConfig.from_dict(DECODER))
    with torch.no_grad():
        decoder.deconv.weight.mul_(0.05)
        decoder.deconv.bias.copy_(torch.tensor([-4.6, 0, 0, 0, -1, -1, -1, 1, 0, 0, 0, 6]))
    torch.save({"module": decoder.to(torch.bfloat16).state_dict()}, folder / "lyra_static.pt")
    import_file(
        find_entry("lyra-static"), folder / "lyra_static.pt", store, configuration=DECODER, any_version=True
    )


def fill_store(folder: Path) -> Path:
    """Import a tiny file or folder of everything that the full size needs; return the weights folder."""
    store = Store(folder / "store")
    files = {
        "a": import_denoiser,
        "b": import_tokenizer,
        "c": import_text_encoder,
        "d": import_decoder,
    }
    for name, write in files.items():
        (folder / name).mkdir()
        write(folder / name, store)
    import_file(find_entry("depth-anything-v2"), write_depth_anything(folder / "depth"), store)
    import_file(find_entry("z-image"), write_text_to_image(folder / "image"), store)
    return store.folder
