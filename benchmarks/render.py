"""Time the CPU renderer against its PyTorch twin, a Taichi twin and the arithmetic it cannot do without.

Run `python -m benchmarks.render [--quick] [--out benchmarks/results/render.md]`. Every time is of whole calls:
projection, sorting and binning included. `wall` is the best of several calls on two threads, which a busy
machine inflates; `busy` is the best processor time of a call on one thread, which it hardly does.

Scenes: `cloud` fills a box that the camera looks through from one end (about a third is visible, as in the
prototypes that the figures refer to); `room` lies on the walls around a camera, in cells of 4 pixels, as the
decoder's Gaussians do. The floor is the number of (Gaussian, pixel) pairs that contribute, times 42 operations
forward and 75 backward, over the rate of fused multiply-adds measured in the same run.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from generator.render import cpu, rasterize
from generator.render.cpu_blend import LOG2_ALPHA_LIMIT, STOP, exponent_rows
from generator.render.cpu_layout import TILE_HEIGHT, TILE_WIDTH, Bins, Shapes
from generator.render.kernel import serial
from generator.render.request import Request
from generator.render.simd import spread, store

FORWARD_OPERATIONS, BACKWARD_OPERATIONS = 42, 75
SIZES = ((176, 320), (352, 640))
COUNTS = (20_000, 100_000, 500_000)


def cloud(count: int) -> list[np.ndarray]:
    """Return Gaussians in a box of 8 x 4 x 8 m in front of the camera."""
    random = np.random.default_rng(0)
    means = random.random((count, 3)) * [8, 4, 8] - [4, 2, -0.2]
    scales = 0.02 * np.exp(0.4 * random.normal(size=(count, 3)))
    return _complete(random, means, scales)


def room(count: int) -> list[np.ndarray]:
    """Return Gaussians on the walls of a room of 6 x 3 x 6 m around the camera, 0.6 cells of 4 px wide."""
    random = np.random.default_rng(0)
    direction = random.normal(size=(count, 3))
    distance = (np.array([3.0, 1.5, 3.0]) / np.abs(direction)).min(axis=1)
    means = direction * distance[:, None] * (1 + 0.01 * random.normal(size=(count, 1)))
    cell = 4 * np.abs(means).max(axis=1) / 250
    scales = 0.6 * cell[:, None] * np.exp(0.3 * random.normal(size=(count, 3)))
    return _complete(random, means, scales)


def _complete(random: np.random.Generator, means: np.ndarray, scales: np.ndarray) -> list[np.ndarray]:
    count = len(means)
    opacities = 1 / (1 + np.exp(-1.5 * random.normal(size=count)))
    arrays = (means, scales, random.normal(size=(count, 4)), opacities, random.random((count, 3)))
    return [array.astype(np.float32) for array in arrays]


def camera(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one camera at the origin with a horizontal field of view of 65 degrees."""
    return torch.eye(4)[None], torch.tensor([[0.78 * width, 0.78 * width, width / 2, height / 2]])


def best(call: Callable[[], Any], clock: Callable[[], float], seconds: float) -> float:
    """Return the least time of a call [ms], over `seconds` of calls but at least two."""
    call()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 2 or (time.perf_counter() < until and len(times) < 200):
        start = clock()
        call()
        times.append(clock() - start)
    return 1e3 * min(times)


def calls(arrays: list[np.ndarray], height: int, width: int, backend: str) -> tuple[Callable[[], Any], ...]:
    """Return a forward call, and a forward and backward call, of one of our backends."""
    tensors = [torch.from_numpy(array) for array in arrays]
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    view = camera(height, width)
    grads = [torch.from_numpy(grad) for grad in image_gradients(height, width)]

    def forward() -> None:
        rasterize(*tensors, *view, height=height, width=width, backend=backend)

    def both() -> None:
        rendering = rasterize(*leaves, *view, height=height, width=width, backend=backend)
        torch.autograd.backward((rendering.rgb, rendering.depth, rendering.alpha), grads)

    return forward, both


def image_gradients(height: int, width: int) -> tuple[np.ndarray, ...]:
    """Return gradients of RGB (1, H, W, 3), depth and alpha (1, H, W)."""
    values = np.random.default_rng(1).normal(size=(1, height, width, 5)).astype(np.float32)
    return values[..., :3].copy(), values[..., 3].copy(), values[..., 4].copy()


def taichi_calls(arrays: list[np.ndarray], height: int, width: int) -> tuple[Callable[[], Any], ...]:
    """Return the Taichi twin's calls, after checking that it draws our picture and gradients."""
    from benchmarks.render_taichi import Twin

    request = Request(height, width)
    twin = Twin(arrays, np.array(cpu._views(*camera(height, width), request)[0], np.float32), height, width)
    rgb, depth, alpha = image_gradients(height, width)
    grads = np.concatenate([rgb, depth[..., None], alpha[..., None]], axis=-1)[0]
    tensors = [torch.from_numpy(array).requires_grad_() for array in arrays]
    rendering = rasterize(*tensors, *camera(height, width), height=height, width=width)
    torch.autograd.backward(
        (rendering.rgb, rendering.depth, rendering.alpha), [torch.from_numpy(g) for g in (rgb, depth, alpha)]
    )
    error = np.abs(twin.forward()[..., :3] - rendering.rgb[0].detach().numpy())
    assert np.quantile(error, 0.99) < 1e-3, f"the Taichi twin draws another picture: {error.max()}"
    for ours, theirs in zip(tensors, twin.backward(grads), strict=True):
        assert ours.grad is not None
        error = np.abs(theirs - ours.grad.numpy()) / np.abs(theirs).max()
        assert np.quantile(error, 0.99) < 1e-3, "the Taichi twin has other gradients"

    def both() -> None:
        twin.forward()
        twin.backward(grads)

    return twin.forward, both


@serial
def _contributing_pairs(splats: np.ndarray, bins: Bins, columns: int, height: int, width: int) -> int:
    """Count the (splat, pixel) pairs that are composited, by the blend's own arithmetic."""
    found = 0
    alphas = np.empty(TILE_WIDTH, np.float32)
    for tile in range(len(bins.starts) - 1):
        x0, y0 = (tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT
        transmittance = np.ones((TILE_HEIGHT, TILE_WIDTH), np.float32)
        for k in range(bins.starts[tile], bins.starts[tile + 1]):
            _, first_dy, level, cross, bend = exponent_rows(splats, bins.lists[k, 0], x0, y0)
            for row in range(bins.lists[k, 1] & 255, bins.lists[k, 1] >> 8):
                dy = np.float32(row) + first_dy
                powers = level + dy * (cross + bend * dy)
                store(alphas, 0, powers)
                for lane in range(min(TILE_WIDTH, width - x0)):
                    if alphas[lane] <= LOG2_ALPHA_LIMIT or y0 + row >= height:
                        continue
                    alpha = min(np.float32(0.999), np.float32(2.0 ** alphas[lane]))
                    after = transmittance[row, lane] * (np.float32(1) - alpha)
                    found += int(after > STOP)
                    transmittance[row, lane] = after if after > STOP else np.float32(0)
    return found


@serial
def _multiply_adds(rounds: int, out: np.ndarray) -> None:
    """Do 10 independent chains of fused multiply-adds on 8 lanes."""
    a, b = np.float32(0.999), np.float32(0.001)
    v0, v1, v2, v3, v4 = spread(a), spread(b), spread(a), spread(b), spread(a)
    v5, v6, v7, v8, v9 = spread(b), spread(a), spread(b), spread(a), spread(b)
    for _ in range(rounds):
        v0, v1, v2, v3, v4 = v0 * a + b, v1 * a + b, v2 * a + b, v3 * a + b, v4 * a + b
        v5, v6, v7, v8, v9 = v5 * a + b, v6 * a + b, v7 * a + b, v8 * a + b, v9 * a + b
    store(out, 0, v0 + v1 + v2 + v3 + v4 + v5 + v6 + v7 + v8 + v9)


def machine_rate() -> float:
    """Return the float32 operations per millisecond of one thread; a multiply-add counts as two."""
    out, rounds = np.empty(8, np.float32), 2_000_000
    return rounds * 10 * 8 * 2 / best(lambda: _multiply_adds(rounds, out), time.process_time, 1.0)


def contributing_pairs(arrays: list[np.ndarray], height: int, width: int) -> tuple[int, int]:
    """Return the number of visible Gaussians, and of pairs that contribute."""
    request = Request(height, width)
    view = cpu._views(*camera(height, width), request)[0]
    kept = cpu._bin_view(Shapes(*arrays[:4]), arrays[4], view, request)
    columns = -(-width // TILE_WIDTH)
    return len(kept.bins.slots), _contributing_pairs(kept.splats, kept.bins, columns, height, width)


def set_threads(count: int) -> None:
    """Give torch, and with it our kernels, this many threads."""
    torch.set_num_threads(count)


def taichi_problem() -> str | None:
    """Start Taichi on two threads; return why that is impossible, or None."""
    try:
        import taichi
    except ImportError:
        return "taichi is not installed, so its rows are missing: pip install taichi (in any environment on PYTHONPATH)"
    taichi.init(arch=taichi.cpu, cpu_max_num_threads=2, log_level=taichi.WARN)
    return None


def measure(
    scene: str, count: int, size: tuple[int, int], rate: float, options: argparse.Namespace
) -> list[str]:
    """Return the rows of one scene at one size."""
    height, width = size
    arrays = {"cloud": cloud, "room": room}[scene](count)
    visible, pairs = contributing_pairs(arrays, height, width)
    floors = pairs * FORWARD_OPERATIONS / rate, pairs * (FORWARD_OPERATIONS + BACKWARD_OPERATIONS) / rate
    head = f"{scene:5} {count:7} {height}x{width}"
    rows = [
        f"{head} floor     one thread{floors[0]:8.1f} {floors[1]:8.1f}   {visible} visible, {pairs / 1e6:.1f} M pairs"
    ]
    kinds = ["cpu"]
    if options.taichi:
        kinds.append("taichi")
    if count <= options.reference_limit:
        kinds.append("reference")
    for kind in kinds:
        makers = (
            taichi_calls(arrays, height, width) if kind == "taichi" else calls(arrays, height, width, kind)
        )
        set_threads(2)
        wall = [best(call, time.perf_counter, options.seconds) for call in makers]
        row = f"{head} {kind:9} wall      {wall[0]:8.1f} {wall[1]:8.1f}"
        if kind != "taichi":
            set_threads(1)
            busy = [best(call, time.process_time, options.seconds) for call in makers]
            row += f"   busy {busy[0]:8.1f} {busy[1]:8.1f}"
            set_threads(2)
        rows.append(row)
        sys.stderr.write(row + "\n")
    return rows


def main() -> None:
    """Print the table, and write it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20k and 100k at 176x320 only")
    parser.add_argument("--seconds", type=float, default=2.0, help="time spent on each figure")
    parser.add_argument(
        "--reference-limit", type=int, default=100_000, help="most Gaussians for the reference"
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    problem = taichi_problem()
    options.taichi = problem is None
    rate = machine_rate()
    before = os.getloadavg()[0]
    rows = []
    for size in SIZES[:1] if options.quick else SIZES:
        for count in COUNTS[:2] if options.quick else COUNTS:
            rows += measure("cloud", count, size, rate, options)
    for count in (72_000, 360_000):
        rows += measure("room", count, SIZES[0], rate, options)
    load = f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, numba {numba.__version__}"
    lines = [
        f"{processor()}, {os.cpu_count()} cores; {versions}; {load}.",
        f"One thread does {rate / 1e6:.1f} G float32 operations per second. Milliseconds per view.",
        "",
        "```",
        "scene   count size     what             forward      and backward",
        *rows,
        "```",
        *([problem] if problem else []),
    ]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text)


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
