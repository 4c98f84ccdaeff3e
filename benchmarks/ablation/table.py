"""The ablation as Markdown, with what of the paper's order it repeats."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import torch

from benchmarks.ablation.rows import WINDOW, Row

Measured = dict[str, dict[str, dict[str, float]]]
"""Per row and condition (`exact`, `disturbed`, `picture`, `photographs`): the means of the figures."""


def write_table(rows: list[Row], measured: Measured, facts: dict[str, Any]) -> str:
    """Return the report of the rows that are measured."""
    done = [row for row in rows if row.name in measured]
    lines = [
        f"`{facts['command']}`, decoder of {facts['parameters']:,} parameters, {facts['machine']},",
        f"torch {torch.__version__}, Python {platform.python_version()}, {facts['date']}.",
        "",
        f"Every row: {facts['steps']} steps from fresh weights on the same {facts['scenes']} prepared scenes of",
        f"{facts['size']} px, one window of {WINDOW[0]}x{WINDOW[1]} px per step, seed {facts['seed']};",
        f"{facts['minutes']:.0f} minutes of training in all, on one core that others used too.",
        f"Measured on whole frames of {facts['worlds']} worlds that training never saw, six views in, at 12 held-out",
        "cameras each, pruned as in use, before floaters are dropped. The perceptual term is 1 - SSIM. So few steps",
        "give soft pictures: the differences count, not the level.",
        "Paper: arXiv 2509.19296, 704x1280 on its own test set; read from two public notes on the paper that agree.",
        "",
        "| row | Gaussians | PSNR [dB] | against full | SSIM | median depth error | paper: PSNR | against full |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_row(row, measured) for row in done]
    if "full" in measured:
        lines += ["", *_order(done, measured)]
    question = [row for row in done if row.cache_question and "photographs" in measured[row.name]]
    if question:
        lines += ["", *_cache_table(question, measured)]
    return "\n".join(lines) + "\n"


def drop(name: str, measured: Measured) -> float:
    """Return how many dB a row lies below the full one."""
    return measured["full"]["exact"]["psnr_db"] - measured[name]["exact"]["psnr_db"]


def _row(row: Row, measured: Measured) -> str:
    figures = measured[row.name]["exact"]
    against = f"{-drop(row.name, measured):+.2f}" if "full" in measured and row.name != "full" else ""
    paper = ("", "")
    if row.paper:
        full = 24.77
        paper = (f"{row.paper[0]:.2f}", "" if row.name == "full" else f"{row.paper[0] - full:+.2f}")
    return (
        f"| {row.about} | {figures['gaussians']:,.0f} | {figures['psnr_db']:.2f} | {against} | {figures['ssim']:.3f}"
        f" | {figures['depth_error']:.1%} | {paper[0]} | {paper[1]} |"
    )


def _order(done: list[Row], measured: Measured) -> list[str]:
    """Say where the order of the losses agrees with the paper's."""
    compared = [row for row in done if row.paper and row.name != "full"]
    if not compared:
        return []
    ours = sorted(compared, key=lambda row: -drop(row.name, measured))
    papers = sorted(compared, key=lambda row: row.paper[0] if row.paper else 0.0)
    noise = abs(drop("full_again", measured)) if "full_again" in measured else 0.0
    worse = [row for row in compared if drop(row.name, measured) > noise]
    better = [row for row in compared if drop(row.name, measured) < -noise]
    unclear = [row for row in compared if row not in worse and row not in better]
    lines = [
        f"What costs most, first: **here** {_names(ours)}; **in the paper** {_names(papers)}.",
        f"Leaving it out costs quality here as in the paper: {_names(worse) or 'none'}.",
        f"Leaving it out helps here, other than in the paper: {_names(better) or 'none'}.",
    ]
    if noise:
        lines.append(
            f"Another seed of the full row differs by {noise:.2f} dB, and so little says nothing about:"
            f" {_names(unclear) or 'none of the rows'}."
        )
    return lines


def _names(rows: list[Row]) -> str:
    return ", ".join(row.about.removeprefix("without ") for row in rows)


def _cache_table(rows: list[Row], measured: Measured) -> list[str]:
    """Compare the rows with and without the cache branch on right, wrong, measured and guessed depth."""
    lines = [
        "The branch for the conditioning depth, by the kind of depth (PSNR, median depth error). *Disturbed*: smooth",
        "errors, displaced edges and a wrong scale, as an estimator makes them. *RGB-D*: the motorcycle pair, left",
        "photograph and its measured depth in, the right photograph as judge (PSNR, SSIM). *Photographs*: those of",
        "scikit-image and scikit-learn, depth and lens guessed; no view but the teacher's own frames can judge them.",
        "",
        "| row | worlds, exact depth | worlds, disturbed depth | RGB-D | photographs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [
            f"{f['psnr_db']:.2f} dB, {f['depth_error']:.1%}"
            for f in (measured[row.name]["exact"], measured[row.name]["disturbed"])
        ]
        cells += [
            f"{f['psnr_db']:.2f} dB, {f['ssim']:.3f}"
            for f in (measured[row.name]["picture"], measured[row.name]["photographs"])
        ]
        lines.append(f"| {row.about} | {' | '.join(cells)} |")
    return lines


def mean_of(figures: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of every figure over the trials."""
    return {name: float(np.mean([f[name] for f in figures])) for name in figures[0]}
