"""Pruned to a fifth: this is lyra_static."""

from dataclasses import replace

from training.stages.lyra import PRUNED

STAGE = replace(PRUNED, name="lyra_7", after="lyra_6", targets=9, late_targets=True)
