"""Ship what makes scenes from pictures: `python -m training.picture_freeze teacher|compositor|depth --run RUN`.

Stores the running average of a run's weights in half precision, with a card. Freezing again with `--metrics` puts
what was measured with the stored weights on the card and leaves their bytes as they are.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import torch

from generator.sizes import MINI
from generator.weights import mini
from generator.weights.checkpoint import Card, load_card
from generator.weights.write import write_pair
from training.card import git_commit, machine
from training.decoder_freeze import curve

KINDS = {"teacher": "gen3c-transformer", "compositor": "gen3c-compositor", "depth": "depth"}
"""Kind on the card of what is frozen."""

log = logging.getLogger(__name__)


def freeze(
    name: str,
    run: Path,
    out: Path,
    *,
    note: str = "",
    metrics: dict[str, Any] | None = None,
    sampling: dict[str, Any] | None = None,
) -> Card:
    """Write `<name>.safetensors` and its card, and return the card.

    Args:
        name: A key of `KINDS`.
        run: Run folder of the training of that name.
        out: Where to write.
        note: What else the card should say.
        metrics: What was measured with these weights (JSON types).
        sampling: Steps and guidance that the teacher is used with, whether what the cache shows is put back, and
            the width and height [px] that it learned.
    """
    facts = json.loads((run / "run.json").read_text())
    state = torch.load(run / "checkpoint.pt", weights_only=True, map_location="cpu")
    training = {
        "command": f"python -m training.{name}, then python -m training.picture_freeze {name}",
        "options": facts["options"],
        "steps": state["step"],
        "hours": round(state["seconds"] / 3600, 2),
        "data": "procedural worlds (training.scenes), seeds from 1,000,000",
        "examples": facts.get("clips") or {"scenes": facts["scenes"]},
        "machine": machine(),
        "note": note,
        "curve": curve(run),
        "start": facts.get("start", {}),
    }
    if name == "teacher":
        training["tokenizer_sha256"] = load_card(mini.TOKENIZER)["sha256"]
    if name == "compositor":
        training["denoiser_sha256"] = facts["denoiser_sha256"]
    extra: dict[str, Any] = {"sampling": sampling} if sampling else {}
    extra |= {"training": training, "metrics": metrics or {}, "git_commit": git_commit()}
    tensors = {key: value.half().contiguous() for key, value in state["average"].items()}
    return write_pair(out, name, KINDS[name], tensors, facts["configuration"], extra)


def main() -> None:
    """Freeze a run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=list(KINDS))
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=mini.FOLDER)
    parser.add_argument("--steps", type=int, default=12, help="sampling steps of the teacher")
    parser.add_argument("--guidance", type=float, default=0.0, help="guidance of the teacher")
    parser.add_argument(
        "--composited", action=argparse.BooleanOptionalAction, default=True, help="put the warp back"
    )
    parser.add_argument("--metrics", type=Path, help="JSON of the benchmark that measured these weights")
    parser.add_argument("--note", default="", help="what else the card should say")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    metrics = json.loads(args.metrics.read_text()) if args.metrics else None
    sampling = None
    if args.name == "teacher":
        sampling = {
            "steps": args.steps,
            "guidance": args.guidance,
            "composited": args.composited,
            "frame_px": [MINI.width, MINI.height],
        }
    card = freeze(args.name, args.run, args.out, note=args.note, metrics=metrics, sampling=sampling)
    log.info("wrote %s, %s", args.out / card["file"], card["sha256"][:12])


if __name__ == "__main__":
    main()
