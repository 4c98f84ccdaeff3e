"""Time the CPU renderer against its PyTorch twin, a Taichi twin and the arithmetic it cannot do without.

Run `python -m benchmarks.render` for all cases, or name some (`cloud:100000:176x320 compile`): cases are kept in
benchmarks/results/render.json, and the table beside it is written anew from all that are there. Every time is of
whole calls: projection, sorting and binning included. `wall` is the best of several calls on two threads, which
a busy machine inflates; `busy` is the best processor time of a call on one thread, which it hardly does. All
backends of one case are timed one after another in one run, each in a process of its own. A first call that compiles
is not counted, except for the reference, which has none.

Scenes: `cloud` fills a box that the camera looks through from one end (about a quarter is visible; the prototypes
of the targets saw about 30%); `room` lies on the walls around a camera, in cells of 4 pixels, as the decoder's
Gaussians do. The floor is the number of (Gaussian, pixel) pairs that contribute, times 42 operations forward and 75
backward, over the rate of fused multiply-adds measured in the same run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from benchmarks.render_table import CASES, case_rows, table, verdicts
from generator.render import cpu, rasterize
from generator.render.cpu_blend import LOG2_ALPHA_LIMIT, STOP, exponent_rows
from generator.render.cpu_layout import TILE_HEIGHT, TILE_WIDTH, Bins, Shapes
from generator.render.kernel import serial
from generator.render.request import Request
from generator.render.simd import spread, store

KEPT = Path(__file__).parent / "results" / "render.json"


def cloud(count: int) -> list[np.ndarray]:
    """Return Gaussians in a box of 10 x 5 x 8 m, of which the camera stands 1 m inside."""
    random = np.random.default_rng(0)
    means = random.random((count, 3)) * [10, 5, 8] - [5, 2.5, 1]
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
    """Return the least time of a call [ms], over `seconds` of calls."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    while not times or (time.perf_counter() < until and len(times) < 200):
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
        for leaf in leaves:
            leaf.grad = None
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


def time_one(kind: str, scene: str, count: int, height: int, width: int, seconds: float) -> dict[str, Any]:
    """Return the wall times of a backend on two threads, and its processor times on one [ms]."""
    arrays = {"cloud": cloud, "room": room}[scene](count)
    if kind == "taichi":
        import taichi

        taichi.init(arch=taichi.cpu, cpu_max_num_threads=2, log_level=taichi.WARN)
        return {
            "wall": [best(call, time.perf_counter, seconds) for call in taichi_calls(arrays, height, width)]
        }
    makers = calls(arrays, height, width, kind)
    torch.set_num_threads(2)
    if kind == "reference":
        return {"wall": [best(call, time.perf_counter, seconds) for call in makers]}
    for call in makers:
        call()
    torch.set_num_threads(1)
    busy = [best(call, time.process_time, seconds) for call in makers]
    torch.set_num_threads(2)
    return {"busy": busy, "wall": [best(call, time.perf_counter, seconds) for call in makers]}


def in_child(*arguments: object) -> dict[str, Any]:
    """Run `time_one` in its own process, so that the thread pools of one backend do not disturb another."""
    command = [sys.executable, "-m", "benchmarks.render", "--one", json.dumps(arguments)]
    child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(child.stdout.splitlines()[-1]))


def measure(case: str, seconds: float) -> dict[str, Any]:
    """Return what is kept of one case, such as `cloud:100000:176x320`."""
    if case == "compile":
        return {"case": case, "machine": machine(), "seconds": compile_seconds()}
    scene, count, size = case.split(":")
    height, width = (int(side) for side in size.split("x"))
    rate, load = machine_rate(), os.getloadavg()[0]
    visible, pairs = contributing_pairs({"cloud": cloud, "room": room}[scene](int(count)), height, width)
    kinds = ["cpu", *(["taichi"] if importlib.util.find_spec("taichi") else []), "reference"]
    times = {kind: in_child(kind, scene, int(count), height, width, seconds) for kind in kinds}
    facts = {"visible": visible, "pairs": pairs, "rate": rate, "load": load}
    return {"case": case, "machine": machine(), **facts, "times": times}


def compile_seconds() -> dict[str, float]:
    """Return the seconds of the first call with and without compiled kernels on disk, and of the import."""
    code = (
        "import time; a = time.perf_counter(); import torch; b = time.perf_counter(); import generator.render\n"
        "c = time.perf_counter(); from benchmarks.render import calls, cloud\n"
        "both = calls(cloud(1000), 48, 64, 'cpu')[1]; d = time.perf_counter(); both()\n"
        "print(c - b, time.perf_counter() - d)"
    )
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        for name in ("first call, nothing on disk", "first call, kernels on disk"):
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
            imported, called = (float(word) for word in done.stdout.split())
            found |= {"import, after torch": imported, name: called}
    return found


def main() -> None:
    """Time the cases, keep them, and write the table of all that are kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "cases", nargs="*", metavar="CASE", help=f"some of {', '.join(CASES)}; all when left out"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="time spent on each figure")
    parser.add_argument("--table", action="store_true", help="only write the table anew")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        sys.stdout.write(json.dumps(time_one(*json.loads(options.one))) + "\n")
        return
    kept: dict[str, dict[str, Any]] = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    for case in [] if options.table else options.cases or CASES:
        kept[case] = measure(case, options.seconds)
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
        rows = case_rows(kept[case]) if case != "compile" else verdicts({case: kept[case]})
        sys.stderr.write("\n".join(rows) + "\n")
    KEPT.with_suffix(".md").write_text(table(kept))


def machine() -> str:
    """Return the machine and the versions, in one line."""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, numba {numba.__version__}"
    return f"{processor()}, {os.cpu_count()} cores; {versions}."


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
