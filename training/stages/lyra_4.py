"""Full-size frames."""

from dataclasses import replace

from training.stages.lyra import ENCODED

STAGE = replace(ENCODED, name="lyra_4", steps=2_500, after="lyra_3", size=(704, 1280))
