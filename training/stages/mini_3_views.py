"""Finish with up to six views fused, and nothing of the background shining through."""

from training.stage import LossWeights, Stage

STAGE = Stage(
    name="mini_3_views",
    steps=700,
    learning_rate=6e-4,
    views=(2, 6),
    targets=3,
    prune_ratio=0.8,
    weights=LossWeights(
        mse=10.0, ssim=0.2, depth=0.02, metric_depth=0.2, distance=0.5, colour=0.3, coverage=0.5
    ),
)
