"""Time the tokenizer's CPU path against the stock diffusers forward: `python -m benchmarks.tokenizer`.

One 17x176x320 clip per call; both paths take turns in one run, and the median of the processor time counts, so that
what else the machine does weighs little and on both. A training step is forward and backward on a 17x96x128 crop.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKLCosmos

from generator.tokenizer import accelerate_cpu
from training.card import machine
from training.tokenizer import MINI

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "mini": MINI,
    "patch 4, 32-64-64-64": {
        "encoder_block_out_channels": [32, 64, 64, 64],
        "decode_block_out_channels": [32, 64, 64, 64],
    },
}
"""The shipped configuration, and a small one with the published patches and resampling."""


def clock(call: Callable[[], object]) -> float:
    """Return the processor time of a call [s], over all threads."""
    began = time.process_time()
    call()
    return time.process_time() - began


def compare(stock: Callable[[], object], fast: Callable[[], object], rounds: int) -> dict[str, float]:
    """Return the median processor time [s] of both and their ratio."""
    fast()
    seconds = [(clock(stock), clock(fast)) for _ in range(rounds)]
    slow, quick = (statistics.median(column) for column in zip(*seconds, strict=True))
    return {"stock_s": round(slow, 3), "fast_s": round(quick, 3), "ratio": round(slow / quick, 2)}


def measure(configuration: dict[str, Any], *, rounds: int) -> dict[str, dict[str, float]]:
    """Return the comparison of encode, decode and a training step."""
    torch.manual_seed(0)
    stock = AutoencoderKLCosmos(**configuration)
    fast = accelerate_cpu(stock)
    clip, crop = torch.rand(1, 3, 17, 176, 320) * 2 - 1, torch.rand(1, 3, 17, 96, 128) * 2 - 1
    with torch.inference_mode():
        latents = fast.encode(clip).latent_dist.mode()
        table = {
            "encode": compare(lambda: stock.encode(clip), lambda: fast.encode(clip), rounds),
            "decode": compare(lambda: stock.decode(latents), lambda: fast.decode(latents), rounds),
        }
    steps = [lambda n=network: n(crop).sample.square().mean().backward() for network in (stock, fast)]
    return table | {"training step": compare(steps[0], steps[1], rounds)}


def main() -> None:
    """Measure and print one line per configuration and task, and JSON in the end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results: dict[str, Any] = {"machine": machine(), "threads": args.threads}
    for name, configuration in CONFIGURATIONS.items():
        results[name] = measure(configuration, rounds=args.rounds)
        for task, row in results[name].items():
            text = "  ".join(f"{key} {value:g}" for key, value in row.items())
            sys.stdout.write(f"{name:22s} {task:14s} {text}\n")
    sys.stdout.write(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
