"""The quality table and its picture."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from generator.teachers.teacher import TeacherVideo

COLUMNS = ("psnr_db", "ssim", "lpips", "depth_error", "depth_error_outside")
HEAD = "PSNR [dB] | SSIM | LPIPS | median depth error | ... outside the conditioning view"
GAP, TITLE, TILE_WIDTH = 8, 30, 480


def table(settings: list[list[dict[str, Any]]], card: dict[str, Any], *, lpips_frames: int) -> str:
    """Write the means of every setting, then the rows of each, as Markdown."""
    lines = [
        f"Decoder {card['sha256'][:12]}, {platform.processor() or platform.machine()}, torch {torch.__version__}.",
        f"LPIPS (VGG16) on {lpips_frames} of 12 held-out frames per scene.",
        "",
        f"| size | views | `--refine` | scenes | Gaussians | {HEAD} | decode [s] | refine [s]: gain on these scenes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    settings = [rows for rows in settings if rows]
    for rows in settings:
        first, mean = rows[0], means(rows)
        count = np.mean([row["gaussians"] for row in rows])
        seconds = f"{mean['decode_s']:.0f} | {_refined(rows, settings)}"
        lines.append(
            f"| {first['size']} | {first['views']} | {first['refine']} | {len(rows)} | {count:,.0f}"
            f" | {_numbers(mean)} | {seconds} |"
        )
    for rows in settings:
        first = rows[0]
        lines += ["", f"## {first['size']}, {first['views']} views, `--refine {first['refine']}`", ""]
        lines += [
            f"| prompt | seed | Gaussians | {HEAD} |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for row in rows:
            lines.append(f"| {row['prompt']} | {row['seed']} | {row['gaussians']:,} | {_numbers(row)} |")
        lines.append(f"| **mean of {len(rows)}** | | | {_numbers(means(rows))} |")
    return "\n".join(lines) + "\n"


def _refined(rows: list[dict[str, Any]], settings: list[list[dict[str, Any]]]) -> str:
    """Say what refining took, and how much it gained on the scenes that were measured without it too."""
    if not rows[0]["refine"]:
        return ""

    def scene(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["size"], row["views"], row["prompt"], row["seed"]

    plain = {scene(row): row for part in settings for row in part if not row["refine"]}
    both = [(plain[scene(row)], row) for row in rows if scene(row) in plain]
    took = f"{means(rows)['refine_s']:.0f}"
    if not both:
        return took
    gain = [np.mean([new[name] - old[name] for old, new in both]) for name in ("psnr_db", "ssim")]
    return f"{took}: {gain[0]:+.2f} dB, {gain[1]:+.3f} SSIM"


def means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean of every figure; None where it is nowhere known."""
    names = (*COLUMNS, "decode_s", "refine_s")
    known = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}


def _numbers(row: dict[str, Any]) -> str:
    forms = ("{:.2f}", "{:.3f}", "{:.3f}", "{:.1%}", "{:.1%}")
    cells = zip(COLUMNS, forms, strict=True)
    return " | ".join("-" if row[n] is None else form.format(row[n]) for n, form in cells)


def tile(video: TeacherVideo, rgb: np.ndarray, camera: int) -> Image.Image:
    """Return the truth and our render of one held-out camera side by side."""
    assert video.held_out is not None
    ours = (rgb[camera] * 255).round().astype(np.uint8)
    return Image.fromarray(np.concatenate([video.held_out.rgb[camera], ours], axis=1))


def sheet(tiles: list[tuple[str, Image.Image]], about: str, camera: int, *, columns: int = 2) -> Image.Image:
    """Lay out truth | ours of every prompt."""
    if not tiles:
        return Image.new("RGB", (TILE_WIDTH, TITLE), (24, 24, 28))
    small = [(p, t.resize((2 * TILE_WIDTH, round(2 * TILE_WIDTH * t.height / t.width)))) for p, t in tiles]
    height = small[0][1].height + TITLE
    lines = -(-len(small) // columns)
    size = (columns * (2 * TILE_WIDTH + GAP) + GAP, TITLE + lines * (height + GAP) + GAP)
    picture = Image.new("RGB", size, (24, 24, 28))
    draw = ImageDraw.Draw(picture)
    title = f"teacher (left) | scene rendered (right), held-out camera {camera}, {about}"
    draw.text((GAP, 6), title, (230, 230, 230), ImageFont.load_default(18))
    for index, (prompt, pair) in enumerate(small):
        x, y = GAP + index % columns * (pair.width + GAP), TITLE + index // columns * (height + GAP)
        draw.text((x + 2, y + 8), prompt, (230, 230, 230), ImageFont.load_default(16))
        picture.paste(pair, (x, y + TITLE))
    return picture
