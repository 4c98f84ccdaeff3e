"""Go on through the renderer, pruned as in use; the direct terms stay as a guard on geometry."""

from training.stage import LossWeights, Stage

STAGE = Stage(
    name="mini_2_render",
    steps=1900,
    learning_rate=7e-4,
    views=(1, 2),
    targets=2,
    prune_ratio=0.8,
    random_share=0.1,
    weights=LossWeights(mse=10.0, ssim=0.2, depth=0.02, metric_depth=0.2, distance=0.5, colour=0.3),
)
