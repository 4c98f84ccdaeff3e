"""GEN3C's pipeline from the cards of its networks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import CosmosTransformer3DModel
from torch import Tensor, nn

from generator.memory import Offload
from generator.placement import place
from generator.sizes import Size
from generator.teachers.gen3c.pipeline import Gen3CPipeline
from generator.teachers.gen3c.sampler import make_scheduler
from generator.tokenizer import load_tokenizer
from generator.weights.checkpoint import Card, load_checkpoint
from lyra_sim.errors import LyraSimError

Cards = dict[str, Card]
Network = TypeVar("Network", bound=nn.Module)

T5_CONFIGURATION: dict[str, Any] = {
    "vocab_size": 32128,
    "d_model": 1024,
    "d_kv": 128,
    "d_ff": 65536,
    "num_layers": 24,
    "num_heads": 128,
    "feed_forward_proj": "relu",
}
"""Arguments of transformers' `T5Config` that make the encoder of google-t5/t5-11b."""


def load_pipeline(
    size: Size, *, safety_checker: object | None = None, offload: Offload | None = None
) -> tuple[Gen3CPipeline, Cards]:
    """Load GEN3C's networks of a size and put them on its device.

    Args:
        size: Says which cards, device and precision. A text encoder whose card is absent is left out; the pipeline
            then takes no prompt and samples with the zero embedding.
        safety_checker: diffusers' `CosmosSafetyChecker`, or None for no checks.
        offload: How the networks share the device; None chooses by its memory.

    Returns:
        The pipeline, and the cards by the names `denoiser`, `tokenizer` and, where there is one, `text_encoder`.

    Raises:
        LyraSimError: Weights are missing, damaged, or do not belong to each other or to the device.
    """
    dtype = getattr(torch, size.precision)
    transformer, denoiser_card = load_denoiser(size.denoiser, dtype=dtype)
    tokenizer, tokenizer_card = load_tokenizer(size.tokenizer)
    expected = denoiser_card.get("training", {}).get("tokenizer_sha256")
    if expected and expected != tokenizer_card["sha256"]:
        raise LyraSimError(
            f"{size.denoiser}: trained on latents of tokenizer {expected[:12]}, got "
            f"{tokenizer_card['sha256'][:12]}; give the tokenizer that belongs to it"
        )
    cards = {"denoiser": denoiser_card, "tokenizer": tokenizer_card}
    text: dict[str, Any] = {}
    if size.text_encoder is not None and size.text_encoder.is_file():
        text["text_encoder"], text["tokenizer"], cards["text_encoder"] = load_text_encoder(
            size.text_encoder, dtype=dtype
        )
    # diffusers' own `to` warns of modules that it would keep in float32, although this network has none.
    network = nn.Module.to(tokenizer.network, dtype)
    pipeline = Gen3CPipeline(transformer, network, make_scheduler(), safety_checker=safety_checker, **text)
    pipeline.set_progress_bar_config(disable=True)
    place(pipeline, size.device, offload=offload)
    return pipeline, cards


def load_denoiser(
    card_path: Path, *, dtype: torch.dtype = torch.float32
) -> tuple[CosmosTransformer3DModel, Card]:
    """Load a denoiser of any configuration, in evaluation mode and without gradients, and its card.

    Raises:
        LyraSimError: The checkpoint is missing, damaged, of another kind, or does not fit its configuration.
    """
    state, card = load_checkpoint(card_path, "gen3c-transformer")
    with torch.device("meta"):
        network = CosmosTransformer3DModel(**card["configuration"])
    return _filled(network, state, card_path, dtype), card


def load_text_encoder(card_path: Path, *, dtype: torch.dtype) -> tuple[nn.Module, Any, Card]:
    """Load the encoder half of T5, its tokenizer, and their card.

    Raises:
        LyraSimError: The package transformers is missing, or the checkpoint is damaged or has no tokenizer.
    """
    try:
        from tokenizers import Tokenizer
        from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel
    except ImportError:
        raise LyraSimError(
            "GEN3C's text encoder needs the package transformers; install lyra-sim[teacher]"
        ) from None
    state, card = load_checkpoint(card_path, "text-encoder")
    configuration = card["configuration"]
    if "tokenizer" not in configuration:
        raise LyraSimError(
            f"{card_path}: has no tokenizer; put tokenizer.json of {card.get('source', {}).get('repository')} beside "
            "the weights and run lyra-sim weights import again"
        )
    with torch.device("meta"):
        network = T5EncoderModel(T5Config(**(T5_CONFIGURATION | configuration.get("network", {}))))
    state.setdefault("encoder.embed_tokens.weight", state["shared.weight"])
    network = _filled(network, state, card_path, dtype)
    words = Tokenizer.from_str(json.dumps(configuration["tokenizer"]))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    return network, tokenizer, card


def _filled(network: Network, state: Mapping[str, Tensor], card_path: Path, dtype: torch.dtype) -> Network:
    """Give a network that has no memory yet its weights; raises LyraSimError when they do not fit."""
    try:
        network.load_state_dict({name: value.to(dtype) for name, value in state.items()}, assign=True)
    except RuntimeError as error:
        raise LyraSimError(f"{card_path}: weights do not fit the configuration ({error})") from error
    return network.eval().requires_grad_(False)
