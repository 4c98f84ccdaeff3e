"""Whole clips of the teacher, from its own latents: most of the training."""

from dataclasses import replace

from training.stages.lyra import FULL_SIZE

STAGE = replace(FULL_SIZE, name="lyra_5", steps=57_500, after="lyra_4", targets=9)
