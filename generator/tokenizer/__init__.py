"""Video to latents and back."""

from generator.tokenizer.checkpoint import load_tokenizer
from generator.tokenizer.fast import accelerate_cpu
from generator.tokenizer.tokenizer import CosmosTokenizer

__all__ = ["CosmosTokenizer", "accelerate_cpu", "load_tokenizer"]
