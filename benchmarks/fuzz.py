"""Feed damaged files to every reader for as long as you like, and count what they say.

Run `python -m benchmarks.fuzz [--minutes 10] [--seed 0] [--out benchmarks/results/fuzz.md]`. Sound files of every
format are cut, overwritten, and filled with extreme numbers. A reader must return Gaussians or raise LyraSimError; any
other exception, a crash (the readers run in child processes), more than 20 s or more than 4 GB ends the run with the
seed that caused it.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import torch
import trimesh

from benchmarks.report import report
from lyra_sim.convert import load_scene
from lyra_sim.errors import LyraSimError
from lyra_sim.files import write_gaussians
from lyra_sim.files.meshes import read_named_mesh
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import LabelledMesh, Scene, TriangleMesh
from lyra_sim.usd.layout import TARGETS
from lyra_sim.usd.nurec import read_payload
from lyra_sim.usd.writer import write_usdz

EXTREMES = [
    b"\x00" * 8,
    b"\xff" * 8,
    b"\xff\xff\xff\x7f",
    b"\x7f\xff\xff\xff",
    b"\x00\x00\x80\x7f",
    b"9" * 12,
]
BATCH = 100
"""Files per child process."""


def sound_files(folder: Path) -> list[Path]:
    """Write one sound file of every format and return their paths."""
    rng = np.random.default_rng(0)
    count = 60
    quaternions = rng.normal(size=(count, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    gaussians = Gaussians(
        rng.normal(size=(count, 3)).astype(np.float32),
        rng.uniform(0.01, 0.1, (count, 3)).astype(np.float32),
        quaternions.astype(np.float32),
        rng.uniform(0, 1, count).astype(np.float32),
        rng.uniform(-0.5, 0.5, (count, 4, 3)).astype(np.float32),
    )
    corners = np.array([[0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    label = np.zeros(2, np.int32)
    scene = Scene(
        gaussians, TriangleMesh(corners, faces), LabelledMesh(corners, faces, label, ("floor",)), {"a": 1}
    )
    for suffix in (".ply", ".spz", ".safetensors"):
        write_gaussians(folder / f"sound{suffix}", gaussians)
    values = np.concatenate([gaussians.means, gaussians.opacities[:, None], gaussians.scales], axis=1)
    tensor = np.concatenate([values, gaussians.rotations, gaussians.rgb], axis=1)[None]
    torch.save(torch.from_numpy(tensor), folder / "sound.pt")
    np.save(folder / "sound.npy", rng.uniform(0.01, 1, (1, 50, 14)).astype(np.float32))
    for target in TARGETS:
        write_usdz(folder / f"{target}.usdz", scene, target=target)
    for suffix in (".glb", ".obj", ".stl", ".off"):
        trimesh.Trimesh(corners, faces, process=False).export(folder / f"mesh{suffix}")
    # Outside its package a layer or a payload has no checksum that would catch the damage first.
    with zipfile.ZipFile(folder / "both.usdz") as package:
        (folder / "layer.usdc").write_bytes(package.read("scene.usdc"))
        (folder / "payload.nurec").write_bytes(package.read("scene.nurec"))
        (folder / "inflated.msgpack").write_bytes(gzip.decompress(package.read("scene.nurec")))
    return sorted(p for p in folder.iterdir() if p.is_file())


def damage(content: bytes, random: Random) -> bytes:
    """Return the content with a few bytes changed, inserted, repeated or cut."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 6)):
        place = random.randrange(len(changed) + 1)
        kind = random.random()
        if kind < 0.4 and place < len(changed):
            changed[place] = random.randrange(256)
        elif kind < 0.75:
            value = random.choice(EXTREMES)
            changed[place : place + len(value)] = value
        elif kind < 0.85:
            changed[place:place] = changed[place : place + random.randrange(64)]
        elif kind < 0.95:
            del changed[place : place + random.randrange(64)]
        else:
            del changed[place:]
    return bytes(changed)


def child(sound: Path, seed: int) -> None:
    """Read a batch of damaged files and print what came of them; exit with the seed of a defect."""
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    content = sound.read_bytes()
    said: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"damaged{sound.suffix}"
        for number in range(seed, seed + BATCH):
            sys.stderr.write(f"{number}\n")
            path.write_bytes(damage(content, Random(number)))
            try:
                if sound.suffix in (".nurec", ".msgpack"):
                    held = path.read_bytes()
                    held = gzip.compress(held, 0) if sound.suffix == ".msgpack" else held
                    read_payload(io.BytesIO(held), len(held), name="payload")
                elif sound.stem == "mesh":
                    read_named_mesh(path)
                else:
                    load_scene(path)
                said["read"] += 1
            except LyraSimError:
                said["refused"] += 1
            path.unlink(missing_ok=True)
    sys.stdout.write(json.dumps(said))


def main() -> None:
    """Fuzz until the time is over and print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, metavar="PATH", help="write the counts there")
    parser.add_argument("--child", nargs=2, metavar=("FILE", "SEED"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(Path(args.child[0]), int(args.child[1]))
        return
    counts: dict[str, Counter[str]] = {}
    end, seed = time.monotonic() + 60 * args.minutes, args.seed
    with tempfile.TemporaryDirectory() as folder:
        files = sound_files(Path(folder))
        while time.monotonic() < end:
            for sound in files:
                arguments = [sys.executable, "-m", "benchmarks.fuzz", "--child", str(sound), str(seed)]
                done = subprocess.run(
                    arguments, capture_output=True, text=True, timeout=20 * BATCH, check=False
                )
                if done.returncode:
                    tail = "\n".join(done.stderr.splitlines()[-25:])
                    raise SystemExit(f"{sound.name}: status {done.returncode}\n{tail}")
                counts.setdefault(sound.name, Counter()).update(json.loads(done.stdout))
            seed += BATCH
    rows = [f"| {name} | {sum(c.values())} | {c['read']} | {c['refused']} |" for name, c in counts.items()]
    total = sum(sum(c.values()) for c in counts.values())
    text = "\n".join(
        [
            f"{total} damaged files (seeds {args.seed} to {seed - 1}): none crashed, hung or raised anything else.",
            "",
            "| from | tried | read | refused in one line |",
            "| --- | --- | --- | --- |",
            *rows,
        ]
    )
    report(text + "\n", args.out)


if __name__ == "__main__":
    main()
