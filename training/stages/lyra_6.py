"""One to six views fused; late frames, which see most that is new, are rendered more often."""

from dataclasses import replace

from training.stages.lyra import FUSED

STAGE = replace(FUSED, name="lyra_6", steps=7_000, after="lyra_5", targets=9, late_targets=True)
