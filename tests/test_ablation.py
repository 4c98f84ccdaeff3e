"""The ablation's rows and table: each row leaves out one thing, and the table reads the order from the figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.ablation.rows import make_rows
from benchmarks.ablation.table import Measured, write_table
from training.distill import MINI

FACTS = {
    "command": "python -m benchmarks.ablation",
    "parameters": 1,
    "machine": "x",
    "date": "2026-01-01",
    "steps": 30,
    "scenes": 2,
    "size": "176x320",
    "seed": 1,
    "minutes": 1.0,
    "worlds": 1,
}


def figures(psnr: float) -> dict[str, dict[str, float]]:
    """Return what a row is measured with."""
    exact = {"gaussians": 100.0, "psnr_db": psnr, "ssim": 0.5, "depth_error": 0.01}
    return {"exact": exact, "disturbed": exact, "picture": exact, "photographs": exact}


def test_every_row_is_trained_equally_long_from_the_same_seed() -> None:
    """All rows have the same steps; all but the one that measures the noise have the same seed."""
    rows = make_rows(MINI, steps=30, seed=5)
    assert {sum(stage.steps for stage in row.stages) for row in rows} == {30}
    assert {row.name for row in rows if row.seed != 5} == {"full_again"}


def test_a_row_differs_from_the_full_one_in_what_it_names() -> None:
    """Rows differ from `full` in the configuration or the stages, each in another way."""
    full, *rest = make_rows(MINI, steps=30, seed=5)
    differences = {row.name: (row.config != full.config, row.stages != full.stages) for row in rest}
    assert differences == {
        "no_cache": (True, False),
        "no_fusion": (False, True),
        "no_depth": (False, True),
        "no_perceptual": (False, True),
        "no_pruning": (True, True),
        "no_mamba": (True, False),
        "cache_errors": (False, True),
        "full_again": (False, False),
    }
    by_name = {row.name: row for row in rest}
    assert replace(by_name["no_mamba"].config, attention_every=MINI.attention_every) == MINI
    assert all(stage.weights.ssim == 0 for stage in by_name["no_perceptual"].stages)


def test_the_table_says_where_the_order_agrees_and_where_not() -> None:
    """A row that is better than the full one is named as disagreeing, and one within the noise as unclear."""
    rows = make_rows(MINI, steps=30, seed=5)
    measured: Measured = {"full": figures(20.0), "no_fusion": figures(15.0), "no_mamba": figures(20.1)}
    measured |= {"no_depth": figures(19.0), "no_pruning": figures(21.0), "full_again": figures(20.3)}
    text = write_table(rows, measured, FACTS)
    assert "**here** multi-view fusion, depth loss, Mamba-2 (all attention), pruning" in text
    assert "as in the paper: multi-view fusion, depth loss." in text
    assert "other than in the paper: pruning." in text
    assert "differs by 0.30 dB, and so little says nothing about: Mamba-2 (all attention)." in text


def test_the_table_of_a_run_that_has_just_begun_is_readable() -> None:
    """With no row done there is a head and no comparison."""
    text = write_table(make_rows(MINI, steps=30, seed=5), {}, FACTS)
    assert "| row |" in text
    assert "What costs most" not in text


@pytest.mark.parametrize("steps", [1, 2, 300])
def test_stages_share_the_steps(steps: int) -> None:
    """Both stages have a step at least, whatever the number."""
    for row in make_rows(MINI, steps=steps, seed=5):
        assert all(stage.steps >= 1 for stage in row.stages)
