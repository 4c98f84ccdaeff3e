"""Longer clips."""

from dataclasses import replace

from training.stages.lyra import ENCODED

STAGE = replace(ENCODED, name="lyra_2", steps=2_500, after="lyra_1", samples=4)
