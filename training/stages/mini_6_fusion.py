"""End with many views fused and structure weighed higher still: what a scene of six paths is judged by."""

from training.stage import LossWeights, Stage

STAGE = Stage(
    name="mini_6_fusion",
    steps=400,
    learning_rate=4e-4,
    warmup=30,
    size=None,
    views=(2, 6),
    targets=3,
    prune_ratio=0.8,
    weights=LossWeights(
        mse=10.0, ssim=0.6, depth=0.02, metric_depth=0.2, distance=0.5, colour=0.3, coverage=0.5
    ),
)
