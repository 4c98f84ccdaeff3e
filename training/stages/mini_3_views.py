"""Finish with all six views fused and the opacity loss."""

from training.stage import LossWeights, Stage

STAGE = Stage(
    name="mini_3_views",
    steps=750,
    learning_rate=4e-4,
    views=(2, 6),
    targets=3,
    prune_ratio=0.8,
    weights=LossWeights(
        mse=10.0, ssim=0.2, depth=0.02, metric_depth=0.2, distance=0.5, colour=0.3, opacity=0.01
    ),
)
