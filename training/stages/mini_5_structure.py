"""End with structure weighed higher: edges and textures are what is still soft."""

from training.stage import LossWeights, Stage

STAGE = Stage(
    name="mini_5_structure",
    steps=250,
    learning_rate=3e-4,
    warmup=30,
    size=None,
    views=(1, 4),
    targets=2,
    prune_ratio=0.8,
    weights=LossWeights(
        mse=10.0, ssim=0.4, depth=0.02, metric_depth=0.2, distance=0.5, colour=0.3, coverage=0.5
    ),
)
