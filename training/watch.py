"""Pictures of a run in its folder: what the decoder renders now, beside the truth, and the curves so far."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from lyra_sim.atomic import atomic_path
from training.dataset import Batch, SceneArrays, Source, make_batch
from training.objective import render_targets
from training.stage import Stage

FRAMES = 3
"""Frames shown of a batch."""
GAP, TITLE, BACKGROUND, TEXT = 6, 24, (24, 24, 28), (230, 230, 230)
PANEL_WIDTH, PANEL_HEIGHT = 420, 200
TERM_COLOUR = (120, 190, 250)


@dataclass(frozen=True)
class Watched:
    """Hold a batch that is looked at again and again."""

    name: str
    """What the picture says about it."""
    batch: Batch
    """Input views and frames to render."""


def choose(source: Source, stage: Stage, *, seed: int, held_out: Path | None) -> list[Watched]:
    """Return what to look at: one draw of the training data, and a scene that is not among it where one is given.

    Args:
        source: The training data.
        stage: Decides views and size of the draw.
        seed: Decides which scene it is.
        held_out: Folder of a prepared scene that training does not draw from.
    """
    plain = replace(
        stage, targets=FRAMES, same_targets=False, cache_noise=0.0, cache_errors=False, window=None
    )
    watched = [Watched("training data", source.draw(plain, seed, 0))]
    if held_out is not None:
        scene = SceneArrays.of(held_out)
        views, frames = scene.rgb.shape[:2]
        targets = [(view % views, frames - 1) for view in range(FRAMES)]
        watched.append(
            Watched(f"held-out scene {held_out.name}", make_batch(scene, np.arange(views), targets))
        )
    return watched


@torch.no_grad()
def draw_samples(
    watched: list[Watched], decode: Callable[[Batch], torch.Tensor], path: Path, *, title: str
) -> None:
    """Write a picture: for every batch a row of true frames above a row of rendered ones.

    Args:
        watched: What to show.
        decode: Gives the pruned Gaussians (1, K, 14) of a batch.
        path: The picture.
        title: Its first line.
    """
    rows: list[tuple[str, np.ndarray]] = []
    for one in watched:
        batch, kept = one.batch, decode(one.batch)[0].float().cpu()
        views = render_targets(kept, batch)
        rows += [(f"{one.name}: truth", _strip(batch.target_rgb)), ("rendered", _strip(views.rgb))]
    size = max(strip.shape[1] for _, strip in rows), sum(strip.shape[0] + TITLE for _, strip in rows) + TITLE
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 4), title, TEXT, ImageFont.load_default(14))
    top = TITLE
    for name, strip in rows:
        draw.text((GAP, top + 4), name, TEXT, ImageFont.load_default(14))
        sheet.paste(Image.fromarray(strip), (0, top + TITLE))
        top += strip.shape[0] + TITLE
    path.parent.mkdir(exist_ok=True)
    with atomic_path(path) as part:
        sheet.save(part, format="PNG")


def _strip(frames: torch.Tensor) -> np.ndarray:
    """Return up to `FRAMES` frames side by side, (H, n W, 3) uint8."""
    pictures = (frames[:FRAMES].cpu().numpy().clip(0, 1) * 255).round().astype(np.uint8)
    return np.concatenate(list(pictures), axis=1)


def draw_curves(run: Path) -> None:
    """Write `curve.png` from the lines of `log.jsonl`: a panel per term over all steps, a rule where a stage begins."""
    path = run / "log.jsonl"
    if not path.exists():
        return
    records = [json.loads(line) for line in path.read_text().splitlines()]
    steps, begins = all_steps(records)
    names = sorted({name for record in records for name in record} - {"stage", "step", "s_per_step"})
    names = ["loss", *(name for name in names if name != "loss")]
    columns = 2
    lines = -(-len(names) // columns)
    sheet = Image.new("RGB", (columns * PANEL_WIDTH, lines * PANEL_HEIGHT), BACKGROUND)
    for index, name in enumerate(names):
        points = [(at, r[name]) for at, r in zip(steps, records, strict=True) if r.get(name) is not None]
        panel = _panel(name, points, begins, steps[-1])
        sheet.paste(panel, (index % columns * PANEL_WIDTH, index // columns * PANEL_HEIGHT))
    with atomic_path(run / "curve.png") as part:
        sheet.save(part, format="PNG")


def all_steps(records: list[dict[str, Any]]) -> tuple[list[int], dict[str, int]]:
    """Return every record's step counted over all stages, and the step that each stage begins at."""
    begins: dict[str, int] = {}
    last, steps = 0, []
    for record in records:
        begins.setdefault(record["stage"], last)
        last = begins[record["stage"]] + record["step"]
        steps.append(last)
    return steps, begins


def _panel(name: str, points: list[tuple[int, float]], begins: dict[str, int], end: int) -> Image.Image:
    """Draw one term with a logarithmic axis, and its first, lowest and last value in words."""
    panel = Image.new("RGB", (PANEL_WIDTH, PANEL_HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(panel)
    values = np.maximum([value for _, value in points], 1e-9)
    left, right, top, bottom = 8, PANEL_WIDTH - 8, 28, PANEL_HEIGHT - 22
    low, high = np.log(values.min()), np.log(values.max())

    def place(at: int, value: float) -> tuple[float, float]:
        share = (np.log(value) - low) / max(high - low, 1e-6)
        return left + (right - left) * at / max(end, 1), bottom - (bottom - top) * float(share)

    for stage, at in begins.items():
        x = place(at, values[0])[0]
        draw.line([(x, top), (x, bottom)], (70, 70, 80))
        draw.text((x + 3, bottom + 4), stage, (150, 150, 160), ImageFont.load_default(11))
    draw.line([place(at, v) for (at, _), v in zip(points, values, strict=True)], TERM_COLOUR, width=2)
    text = f"{name}   first {values[0]:.4g}, lowest {values.min():.4g}, last {values[-1]:.4g}"
    draw.text((left, 6), text, TEXT, ImageFont.load_default(13))
    return panel
