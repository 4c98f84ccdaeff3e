"""The rows of the table: what each takes away from the full decoder and its training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from generator.decoder import DecoderConfig
from training.stage import LossWeights, Stage

DIRECT_SHARE = 1 / 3
"""Share of the steps that come before the renderer."""
WINDOW = (80, 160)
"""Height and width [px] of the window of the frames that a training step sees, a quarter of them at 176x320."""
SCALE_ERROR = 0.1
"""Standard deviation of the log-scale error of the cache in the row that trains with errors."""


@dataclass(frozen=True)
class Row:
    """Describe one decoder of the table, its training and how it is used."""

    name: str
    """Name of the row's folder."""
    about: str
    """What the table says."""
    config: DecoderConfig
    """The network."""
    stages: tuple[Stage, ...]
    """Its training."""
    seed: int
    """Decides its first weights and what every step sees."""
    apart: bool = False
    """Whether every view is decoded by itself, and the sets are joined."""
    paper: tuple[float, float, float] | None = None
    """PSNR [dB], SSIM and LPIPS of the paper's row at 704x1280 on Lyra's test set."""
    cache_question: bool = False
    """Whether the row takes part in the second table, on wrong depth and on a real picture."""


def make_rows(config: DecoderConfig, *, steps: int, seed: int) -> list[Row]:
    """Return all rows for a full decoder's configuration and a number of training steps."""
    direct, render = make_stages(steps)

    def changed(change: Callable[[LossWeights], LossWeights]) -> tuple[Stage, ...]:
        return tuple(replace(stage, weights=change(stage.weights)) for stage in (direct, render))

    blind = changed(lambda weights: replace(weights, depth=0, metric_depth=0, distance=0))
    unstructured = changed(lambda weights: replace(weights, ssim=0))
    alone = tuple(replace(s, views=(1, 1)) for s in (direct, render))
    unpruned = (
        replace(direct, weights=replace(direct.weights, keep=0.0)),
        replace(render, prune_ratio=0.0, random_share=0.0),
    )
    wrong = tuple(replace(s, cache_noise=SCALE_ERROR, cache_errors=True) for s in (direct, render))
    attention = replace(config, attention_every=1)
    no_cache = replace(config, cache_branch=False)
    both = (direct, render)
    return [
        Row("full", "full", config, both, seed, paper=(24.77, 0.837, 0.224), cache_question=True),
        Row(
            "no_cache",
            "without the cache branch (the paper's form)",
            no_cache,
            both,
            seed,
            cache_question=True,
        ),
        Row("no_fusion", "without multi-view fusion", config, alone, seed, True, (17.73, 0.632, 0.446)),
        Row("no_depth", "without depth loss", config, blind, seed, paper=(24.31, 0.811, 0.247)),
        Row(
            "no_perceptual",
            "without perceptual loss (1 - SSIM)",
            config,
            unstructured,
            seed,
            paper=(23.74, 0.766, 0.370),
        ),
        Row(
            "no_pruning",
            "without pruning",
            replace(config, prune_ratio=0.0),
            unpruned,
            seed,
            paper=(24.55, 0.820, 0.237),
        ),
        Row(
            "no_mamba", "without Mamba-2 (all attention)", attention, both, seed, paper=(24.58, 0.818, 0.241)
        ),
        Row(
            "cache_errors",
            "cache branch, trained with errors on its depth",
            config,
            wrong,
            seed,
            cache_question=True,
        ),
        Row("full_again", "full, another seed", config, both, seed + 1),
    ]


def make_stages(steps: int) -> tuple[Stage, Stage]:
    """Return the short form of the mini stages: direct supervision, then through the renderer with up to four views."""
    first = max(round(steps * DIRECT_SHARE), 1)
    direct = Stage(
        name="direct",
        steps=first,
        learning_rate=1.5e-3,
        warmup=max(first // 8, 1),
        views=(1, 2),
        size=None,
        window=WINDOW,
        weights=LossWeights(mse=0, distance=1.0, colour=2.0, scale=0.1, keep=0.2),
    )
    render = Stage(
        name="render",
        steps=max(steps - first, 1),
        learning_rate=1e-3,
        warmup=max(first // 8, 1),
        views=(1, 4),
        size=None,
        window=WINDOW,
        targets=2,
        prune_ratio=0.8,
        random_share=0.1,
        weights=LossWeights(mse=10.0, ssim=0.2, depth=0.02, metric_depth=0.2, distance=0.5, colour=0.3),
    )
    return direct, render
