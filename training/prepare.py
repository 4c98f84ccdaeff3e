"""Derive from training scenes what the decoder sees: latents of a frozen tokenizer and the warped conditioning depth.

Adds per scene `cache_depth` (V, T, H/cell, W/cell) float16, `cache_mask` uint8 and, last, `latents`
(V, t, C, h, w) float16.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from pathlib import Path

import numpy as np

from generator.cameras import Cameras
from generator.inputs import warp_conditioning
from generator.tokenizer import CosmosTokenizer, load_tokenizer
from training.sdg.run import encode

log = logging.getLogger(__name__)


def add_cache(scene: Path) -> None:
    """Warp the conditioning depth of a scene into all of its frames."""
    depth = np.load(scene / "conditioning_depth.npy")
    cell = json.loads((scene / "scene.json").read_text())["cell"]
    pairs = zip(np.load(scene / "c2w.npy"), np.load(scene / "intrinsics.npy"), strict=True)
    warped = warp_conditioning(depth, [Cameras(c2w, k, *depth.shape) for c2w, k in pairs], cell=cell)
    _save(scene / "cache_depth.npy", warped.depth.numpy().astype(np.float16))
    _save(scene / "cache_mask.npy", warped.mask.numpy().astype(np.uint8))


def add_latents(tokenizer: CosmosTokenizer, scene: Path) -> None:
    """Encode all clips of a scene."""
    latents = [encode(tokenizer, clip).swapaxes(0, 1) for clip in np.load(scene / "rgb.npy", mmap_mode="r")]
    _save(scene / "latents.npy", np.stack(latents).astype(np.float16))


def _save(path: Path, array: np.ndarray) -> None:
    temporary = path.with_name(f".{path.name}.part.npy")
    np.save(temporary, array)
    os.replace(temporary, path)


def main() -> None:
    """Prepare every scene that is not prepared yet; safe to stop and to start again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, help="card of the tokenizer; default the embedded one")
    parser.add_argument("--overwrite", action="store_true", help="prepare again what is prepared already")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    tokenizer, card = load_tokenizer(args.tokenizer)
    scenes = [p.parent for p in sorted(args.scenes.glob("[0-9]*/rgb.npy"))]
    todo = [s for s in scenes if args.overwrite or not (s / "latents.npy").exists()]
    began = time.monotonic()
    log.info("tokenizer %s, %d of %d scenes to prepare", card["sha256"][:12], len(todo), len(scenes))
    for done, scene in enumerate(todo, start=1):
        if args.overwrite or not (scene / "cache_mask.npy").exists():
            add_cache(scene)
        add_latents(tokenizer, scene)
        if done % 20 == 0:
            left = (time.monotonic() - began) / done * (len(todo) - done)
            log.info("%d of %d, %.0f min left", done, len(todo), left / 60)


if __name__ == "__main__":
    main()
