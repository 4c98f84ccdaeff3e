"""Moving scenes, one target time a step, seen from twelve views of which six run backwards."""

from dataclasses import replace

from training.stages.lyra import FUSED

STAGE = replace(FUSED, name="lyra_8", steps=8_000, after="lyra_6", dynamic=True, targets=12)
