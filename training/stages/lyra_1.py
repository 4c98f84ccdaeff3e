"""One view of 17 small frames, encoded on the way."""

from dataclasses import replace

from training.stages.lyra import ENCODED

STAGE = replace(ENCODED, name="lyra_1", steps=10_000, frames=17, targets=17, samples=4)
