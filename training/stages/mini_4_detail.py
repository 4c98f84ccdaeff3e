"""Sharpen on frames of 352x640 beside those of 176x320, so that one decoder serves both."""

from training.stage import LossWeights, Stage

STAGE = Stage(
    name="mini_4_detail",
    steps=1300,
    learning_rate=5e-4,
    size=None,
    views=(1, 3),
    targets=2,
    prune_ratio=0.8,
    weights=LossWeights(
        mse=10.0, ssim=0.2, depth=0.02, metric_depth=0.2, distance=0.5, colour=0.3, coverage=0.5
    ),
)
