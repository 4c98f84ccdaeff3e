"""Time our writers and readers beside plyfile, NVIDIA's usd-convert-gsplat and a plain copy of the same bytes.

Run `python -m benchmarks.usd [--count 2000000] [--peer PYTHON] [--out benchmarks/results/usd.md]`. PYTHON is the
interpreter of an environment with `usd-convert-gsplat[usd]`, which pins its own numpy; without it that row is left
out. Every task runs in a process of its own and reports the processor and wall seconds of the best of its repeats
and the peak of the process's memory beyond what it held before the data existed. Ratios of processor seconds carry
over between machines; wall seconds depend on the disk and on who else is running.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import report

TASK = """
import json, os, sys, time
import numpy as np

def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))

def peak():
    return status("VmHWM")

def forget_peak():
    # Making the data takes more memory than holding it, which is not what is measured.
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")

def make(count, degree):
    rng = np.random.default_rng(0)
    q = rng.normal(size=(count, 4)).astype(np.float32)
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    return (
        rng.normal(scale=4, size=(count, 3)).astype(np.float32),
        np.exp(rng.uniform(-6, -2, (count, 3))).astype(np.float32),
        q,
        rng.uniform(0.01, 0.99, count).astype(np.float32),
        rng.normal(scale=0.3, size=(count, (degree + 1) ** 2, 3)).astype(np.float32),
    )

def report(function, repeats, base, **facts):
    best = None
    forget_peak()
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        function()
        now = (time.process_time() - cpu, time.perf_counter() - wall)
        best = now if best is None or now < best else best
    print(json.dumps({"cpu": best[0], "wall": best[1], "memory": peak() - base, **facts}))

task, folder, count, degree, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
ply = os.path.join(folder, f"{degree}.ply")
"""

OURS = (
    TASK
    + """
from lyra_sim.files import read_ply, write_ply
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import Scene
import lyra_sim.usd.writer as writer
import lyra_sim.usd.reader as reader

base = status("VmRSS")
if task == "prepare":
    write_ply(ply, Gaussians(*make(count, degree)))
elif task == "read_ply":
    report(lambda: read_ply(ply), repeats, base)
elif task == "read_particles":
    report(lambda: reader.read_usd(os.path.join(folder, "isaac-6.usdz")), repeats, base)
elif task == "read_nurec":
    report(lambda: reader.read_usd(os.path.join(folder, "isaac-5.usdz")), repeats, base)
else:
    gaussians = Gaussians(*make(count, degree))
    held = sum(getattr(gaussians, f).nbytes for f in ("means", "scales", "rotations", "opacities", "sh"))
    if task == "write_ply":
        out = os.path.join(folder, "ours.ply")
        report(lambda: write_ply(out, gaussians), repeats, base, data=held, size=os.path.getsize(ply))
    elif task == "copy":
        content = bytes(held)
        def copy():
            with open(os.path.join(folder, "copy"), "wb") as file:
                file.write(content)
        report(copy, repeats, base, data=held, size=held)
    else:
        target = {"write_particles": "isaac-6", "write_nurec": "isaac-5"}[task]
        out = os.path.join(folder, target + ".usdz")
        write = lambda: writer.write_usdz(out, Scene(gaussians), target=target)
        write()
        report(write, repeats, base, data=held, size=os.path.getsize(out))
"""
)

PLYFILE = (
    TASK
    + """
from plyfile import PlyData, PlyElement

base = status("VmRSS")
def read():
    data = PlyData.read(ply)["vertex"].data
    take = lambda names: np.stack([data[n] for n in names], axis=1)
    rest = [n for n in data.dtype.names if n.startswith("f_rest")]
    q = take([f"rot_{i}" for i in range(4)])
    return (
        take("xyz"), np.exp(take([f"scale_{i}" for i in range(3)])), q / np.linalg.norm(q, axis=1, keepdims=True),
        1 / (1 + np.exp(-data["opacity"])), take([f"f_dc_{i}" for i in range(3)]),
        take(rest).reshape(len(data), 3, -1).transpose(0, 2, 1) if rest else None,
    )
if task == "read_ply":
    report(read, repeats, base)
else:
    means, scales, q, opacities, sh = make(count, degree)
    rest = 3 * (sh.shape[1] - 1)
    names = [*"xyz", *(f"f_dc_{i}" for i in range(3)), *(f"f_rest_{i}" for i in range(rest)), "opacity",
             *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    def write():
        columns = np.concatenate([means, sh[:, 0], sh[:, 1:].transpose(0, 2, 1).reshape(count, rest),
                                  np.log(opacities / (1 - opacities))[:, None], np.log(scales), q], axis=1)
        vertices = np.empty(count, [(n, "f4") for n in names])
        for i, name in enumerate(names):
            vertices[name] = columns[:, i]
        PlyData([PlyElement.describe(vertices, "vertex")]).write(os.path.join(folder, "plyfile.ply"))
    report(write, repeats, base)
"""
)

PEER = (
    TASK
    + """
from usd_convert_gsplat.ply_reader import read_ply
from usd_convert_gsplat.usd_writer import write_gaussian_splat_usd

base = status("VmRSS")
data = read_ply(ply)
out = os.path.join(folder, "peer." + task)
report(lambda: write_gaussian_splat_usd(data, out, up_axis="Z"), 1, base, size=0)
"""
)


def run(code: str, task: str, folder: str, count: int, degree: int, *, python: str = sys.executable) -> dict:
    """Run one task in a process of its own and return what it measured."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    arguments = [python, "-c", code, task, folder, str(count), str(degree), "3"]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{task} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}


AGAINST = {
    "write_ply": "plyfile write",
    "read_ply": "plyfile read",
    "write_particles": "usd-convert-gsplat usdc",
    "write_nurec": "usd-convert-gsplat usdc",
}
"""Which rival each of our tasks is compared with."""


def measure(count: int, degree: int, part: str, peer: str | None) -> list[str]:
    """Return the table rows of one SH degree."""
    found: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        run(OURS, "prepare", folder, count, degree)
        found["copy"] = run(OURS, "copy", folder, count, degree)
        if part != "usd":
            for task in ("write_ply", "read_ply"):
                found[task] = run(OURS, task, folder, count, degree)
                found[AGAINST[task]] = run(PLYFILE, task, folder, count, degree)
        if part != "ply":
            for task in ("write_particles", "write_nurec", "read_particles", "read_nurec"):
                found[task] = run(OURS, task, folder, count, degree)
            # Its .usdz holds a text layer; the crate layer is the faster rival, though not a package.
            suffixes = ("usdc", "usdz") if degree == 0 else ("usdc",)
            for suffix in suffixes if peer else ():
                found[f"usd-convert-gsplat {suffix}"] = run(
                    PEER, suffix, folder, count, degree, python=peer or ""
                )
    data = found["copy"]["data"]
    rows = []
    for task, result in found.items():
        rival = found.get(AGAINST.get(task, ""))
        faster = [f"{rival[k] / result[k]:.1f}x" if rival else "" for k in ("cpu", "wall")]
        rows.append(
            f"| {degree} | {task} | {result['cpu']:.2f} | {result['wall']:.2f} | "
            f"{result['cpu'] / found['copy']['cpu']:.1f} | {result['memory'] / data:.2f} | {' | '.join(faster)} |"
        )
    return rows


def main() -> None:
    """Measure both degrees and print or write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--count", type=int, default=2_000_000, metavar="N", help="number of Gaussians (2000000)"
    )
    parser.add_argument(
        "--degrees", type=int, nargs="+", default=[0, 3], metavar="D", help="SH degrees (0 3)"
    )
    parser.add_argument("--part", choices=("ply", "usd", "all"), default="all", help="which formats (all)")
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter that has usd-convert-gsplat")
    parser.add_argument("--out", type=Path, metavar="PATH", help="write the table there")
    args = parser.parse_args()
    rows = [row for degree in args.degrees for row in measure(args.count, degree, args.part, args.peer)]
    table = [
        f"{args.count} random Gaussians, {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.",
        "Seconds are of the best of 3 repeats (usd-convert-gsplat: of 1).",
        "",
        "| SH degree | task | processor s | wall s | x plain copy | peak memory / data | faster (processor) | (wall) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *rows,
    ]
    text = "\n".join(table) + "\n"
    report(text, args.out)


if __name__ == "__main__":
    main()
