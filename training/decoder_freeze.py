"""Turn a decoder run into a checkpoint: `python -m training.decoder_freeze --run RUN [--metrics QUALITY.json]`.

Stores half precision and a card. `benchmarks.quality --out QUALITY` measures the stored weights; freezing again with
its numbers puts them on the card and leaves the weights' bytes as they are.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import torch

from generator.weights import mini
from generator.weights.checkpoint import load_card
from training.card import write_checkpoint

log = logging.getLogger(__name__)


def curve(run: Path, *, points: int = 40) -> list[dict[str, Any]]:
    """Return some evenly spaced reports of a run: its learning curve."""
    reports = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    step = max(1, len(reports) // points)
    return reports[::step]


def freeze(run: Path, out: Path, *, tokenizer: Path, scenes: int, note: str, metrics: dict[str, Any]) -> None:
    """Write `decoder.safetensors` and its card."""
    facts = json.loads((run / "run.json").read_text())
    state = torch.load(run / "checkpoint.pt", weights_only=True, map_location="cpu")
    training = {
        "command": "python -m training.distill, then python -m training.decoder_freeze",
        "stages": facts["stages"],
        "seed": facts["seed"],
        "stopped_at": {"stage": state["stage"], "step": state["step"]},
        "steps": state["total_steps"],
        "hours": round(state["seconds"] / 3600, 2),
        "scenes": scenes,
        "data": "procedural worlds (training.scenes), seeds from 1,000,000",
        "form": "with the cache branch (not in the paper)"
        if facts["config"]["cache_branch"]
        else "the paper's",
        "perceptual_loss": "1 - SSIM in place of LPIPS",
        "tokenizer_sha256": load_card(tokenizer)["sha256"],
        "note": note,
        "curve": curve(run),
        "start": facts.get("start", {}),
    }
    card = write_checkpoint(
        out, "decoder", state["decoder"], facts["config"], training=training, metrics=metrics
    )
    log.info("wrote %s, %s", out / card["file"], card["sha256"][:12])


def main() -> None:
    """Freeze a run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="run folder of training.distill")
    parser.add_argument("--out", type=Path, default=mini.FOLDER)
    parser.add_argument(
        "--tokenizer", type=Path, default=mini.TOKENIZER, help="card of the tokenizer it used"
    )
    parser.add_argument("--scenes", type=int, default=0, help="number of scenes it was trained on")
    parser.add_argument("--metrics", type=Path, help="JSON of benchmarks.quality for these weights")
    parser.add_argument("--note", default="", help="what else the card should say")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    metrics = json.loads(args.metrics.read_text()) if args.metrics else {}
    freeze(args.run, args.out, tokenizer=args.tokenizer, scenes=args.scenes, note=args.note, metrics=metrics)


if __name__ == "__main__":
    main()
