"""Larger frames."""

from dataclasses import replace

from training.stages.lyra import ENCODED

STAGE = replace(ENCODED, name="lyra_3", steps=2_500, after="lyra_2", size=(352, 640), samples=2)
