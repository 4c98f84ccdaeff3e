"""The Lyra decoder: tokenizer latents and cameras to 3D Gaussians."""

from generator.decoder.config import DecoderConfig
from generator.decoder.inputs import DecoderInputs, build_inputs
from generator.decoder.model import LyraDecoder

__all__ = ["DecoderConfig", "DecoderInputs", "LyraDecoder", "build_inputs"]
