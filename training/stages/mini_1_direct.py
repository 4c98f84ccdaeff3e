"""Start without rendering: the worlds know distance and colour exactly."""

from training.stage import LossWeights, Stage

STAGE = Stage(
    name="mini_1_direct",
    steps=700,
    learning_rate=1.5e-3,
    views=(1, 2),
    weights=LossWeights(mse=0, distance=1.0, colour=2.0, scale=0.1, keep=0.2),
)
