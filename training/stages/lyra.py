"""What the nine published stages share (Lyra's released configuration; paper section 4, implementation details)."""

from dataclasses import replace

from training.stage import LossWeights, Stage

WEIGHTS = LossWeights(mse=1.0, lpips=0.5, depth=0.05)
PRUNING = replace(WEIGHTS, opacity=0.1)

LYRA = Stage(
    name="lyra",
    steps=10_000,
    learning_rate=1e-4,
    schedule="constant",
    views=(1, 1),
    same_targets=True,
    weights=WEIGHTS,
)
ENCODED = replace(LYRA, stored_latents=False, frames=49, targets=49)
FULL_SIZE = replace(LYRA, size=(704, 1280), frames=121)
FUSED = replace(FULL_SIZE, views=(1, 6))
PRUNED = replace(FUSED, steps=1_000, prune_ratio=0.8, weights=PRUNING)
