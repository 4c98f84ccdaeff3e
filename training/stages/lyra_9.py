"""Moving scenes pruned to a fifth: this is lyra_dynamic."""

from dataclasses import replace

from training.stages.lyra import PRUNED

STAGE = replace(PRUNED, name="lyra_9", after="lyra_8", dynamic=True, targets=12)
