"""Encode the frames of training scenes with a frozen tokenizer: `latents.npy` (V, t, C, h, w) float16 per scene."""

from __future__ import annotations

import argparse
import logging
import os
import time
from pathlib import Path

import numpy as np
import torch

from generator.tokenizer import CosmosTokenizer, load_tokenizer

log = logging.getLogger(__name__)


def encode_clip(tokenizer: CosmosTokenizer, rgb: np.ndarray) -> torch.Tensor:
    """Return the raw latents (t, C, h, w) of a clip (T, H, W, 3) uint8."""
    video = torch.from_numpy(np.ascontiguousarray(rgb)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.inference_mode():
        return tokenizer.encode(video)[0].transpose(0, 1)


def encode_scene(tokenizer: CosmosTokenizer, scene: Path) -> None:
    """Write the latents of one scene, whole or not at all."""
    latents = torch.stack(
        [encode_clip(tokenizer, clip) for clip in np.load(scene / "rgb.npy", mmap_mode="r")]
    )
    temporary = scene / ".latents.part.npy"
    np.save(temporary, latents.numpy().astype(np.float16))
    os.replace(temporary, scene / "latents.npy")


def main() -> None:
    """Encode every scene that has no latents yet; safe to stop and to start again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, help="card of the tokenizer; default the embedded one")
    parser.add_argument("--overwrite", action="store_true", help="encode again what has latents already")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    tokenizer, card = load_tokenizer(args.tokenizer)
    scenes = [p.parent for p in sorted(args.scenes.glob("[0-9]*/rgb.npy"))]
    todo = [s for s in scenes if args.overwrite or not (s / "latents.npy").exists()]
    began = time.monotonic()
    log.info("tokenizer %s, %d of %d scenes to encode", card["sha256"][:12], len(todo), len(scenes))
    for done, scene in enumerate(todo, start=1):
        encode_scene(tokenizer, scene)
        if done % 20 == 0:
            left = (time.monotonic() - began) / done * (len(todo) - done)
            log.info("%d of %d, %.0f min left", done, len(todo), left / 60)


if __name__ == "__main__":
    main()
