"""Which weights fit the latents of a request, and where they run."""

from __future__ import annotations

import torch

from generator.decoder.latent_folder import tokenizer_of
from generator.from_latents.request import DecodeRequest
from generator.pipeline import LyraPipeline
from generator.weights import mini
from generator.weights.checkpoint import load_card


def load_pipeline(request: DecodeRequest, scene: str) -> LyraPipeline:
    """Load the weights of a request, on a GPU in bfloat16 where there is one, else on the CPU in float32.

    Raises:
        LyraSimError: Weights are missing or damaged, or the latents are of another tokenizer.
    """
    cuda = torch.cuda.is_available()
    pipeline = LyraPipeline.from_pretrained(
        choose_weights(request, scene),
        device="cuda" if cuda else "cpu",
        dtype=torch.bfloat16 if cuda else torch.float32,
        local_files_only=True,
    )
    pipeline.decoder.head_precision = request.head
    return pipeline


def choose_weights(request: DecodeRequest, scene: str) -> str:
    """Return the weights that a request names, or those whose tokenizer made the latents."""
    if request.weights is not None:
        return request.weights
    size = request.size
    if size == "auto":
        # Files of the published sets do not name their tokenizer; ours do.
        ours = load_card(mini.TOKENIZER)["sha256"]
        size = "mini" if tokenizer_of(request.folder, scene, request.views) == ours else "full"
    if size == "mini":
        return "mini"
    return "lyra-dynamic" if request.times else "lyra-static"
