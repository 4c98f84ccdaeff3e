"""What an evaluation leaves: a table beside the paper's, JSON, and a grid of pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from training.evaluation.judge import Samples
from training.evaluation.scores import METRICS, SceneScores, average

PUBLISHED = (
    ("Lyra, full, Lyra's own test set, as its authors report it", 24.77, 0.837, 0.224),
    ("Lyra, full, against its own teacher (paper, ablations)", 24.92, 0.834, None),
)
"""Published figures: who and on what, PSNR [dB], SSIM, LPIPS. Other pictures and sizes than ours: not a ranking."""
GRID_WIDTH, GRID_GAP, GRID_HEADER = 320, 6, 26


def table(scenes: Sequence[SceneScores], *, perceptual: str, what: str) -> str:
    """Write the scores as Markdown, the average last, and the published ones below."""
    lines = [f"{what}. LPIPS: {perceptual}.", ""]
    lines += [
        "| scene | frames | PSNR [dB] | SSIM | LPIPS | metres per unit (fitted) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for scene in scenes:
        fitted = "" if scene.fitted_scale is None else f"{scene.fitted_scale:.4g}"
        lines.append(f"| {scene.name} | {len(scene.ssim)} | {_cells(scene.means())} | {fitted} |")
    lines.append(
        f"| **average of {len(scenes)}** (per frame index, then over frames) | | {_cells(average(scenes))} | |"
    )
    lines += ["", "Published, on other pictures and at 704x1280, for orientation:", ""]
    lines += ["| who, on what | PSNR [dB] | SSIM | LPIPS |", "| --- | --- | --- | --- |"]
    for name, *figures in PUBLISHED:
        lines.append(f"| {name} | {_cells(dict(zip(METRICS, figures, strict=True)))} |")
    return "\n".join(lines) + "\n"


def _cells(values: dict[str, Any]) -> str:
    forms = {"psnr_db": "{:.2f}", "ssim": "{:.3f}", "lpips": "{:.3f}"}
    return " | ".join(
        "-" if values[name] is None or not np.isfinite(values[name]) else form.format(values[name])
        for name, form in forms.items()
    )


def write_report(
    folder: Path, scenes: Sequence[SceneScores], samples: Samples, *, perceptual: str, what: str
) -> None:
    """Write `eval.json`, `eval.md` and `eval.png` into a folder."""
    document = {
        "what": what,
        "perceptual": perceptual,
        "average": _finite(average(scenes)),
        "scenes": [_finite(asdict(scene)) for scene in scenes],
    }
    (folder / "eval.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    (folder / "eval.md").write_text(table(scenes, perceptual=perceptual, what=what))
    grid(samples).save(folder / "eval.png")


def _finite(value: Any) -> Any:
    """Put None in the place of numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def grid(samples: Samples) -> Image.Image:
    """Draw prediction above truth, a column per frame, a pair of rows per scene."""
    columns = max(len(pairs) for _, pairs in samples.rows)
    tiles = [(name, [[_tile(image) for image in pair] for pair in pairs]) for name, pairs in samples.rows]
    heights = [GRID_HEADER + 2 * (pairs[0][0].height + GRID_GAP) for _, pairs in tiles if pairs]
    sheet = Image.new(
        "RGB", (columns * (GRID_WIDTH + GRID_GAP) + GRID_GAP, sum(heights) + GRID_GAP), (24, 24, 28)
    )
    draw, top = ImageDraw.Draw(sheet), 0
    for name, pairs in tiles:
        if not pairs:
            continue
        draw.text((GRID_GAP, top + 6), f"{name}: scene above, truth below", (230, 230, 230))
        for column, pair in enumerate(pairs):
            for row, tile in enumerate(pair):
                place = (
                    GRID_GAP + column * (GRID_WIDTH + GRID_GAP),
                    top + GRID_HEADER + row * (tile.height + GRID_GAP),
                )
                sheet.paste(tile, place)
        top += GRID_HEADER + 2 * (pairs[0][0].height + GRID_GAP)
    return sheet


def _tile(image: np.ndarray) -> Image.Image:
    picture = Image.fromarray((image.clip(0, 1) * 255).round().astype(np.uint8))
    return picture.resize((GRID_WIDTH, round(GRID_WIDTH * picture.height / picture.width)))
