"""Drop things on the collider of a scene with the real PhysX on the CPU, and see where they come to rest.

Run `python -m benchmarks.physics SCENE.usdz --physx PYTHON [--out benchmarks/results/physics.md]`. PYTHON is the
interpreter of an environment with `ovphysx` and `physx-usd-schemas` (1.1 GB, hence apart). Over free floor, at 20
places drawn from the seed, a ball (5 cm radius), a box (10 cm side) and a wheel-sized ball (15 cm radius, the height
probe) each fall from 0.5 m and roll for 4 s. What counts: none ends below the floor, all come to rest, and the probe
says the floor's height to 2 cm.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics

from benchmarks.report import report
from lyra_sim.collider.report import RayCaster
from lyra_sim.errors import LyraSimError
from lyra_sim.usd.reader import read_usd_contents

SIZES = {"ball": 0.05, "box": 0.05, "probe": 0.15}
"""Radius, or half the side, of what falls [m]."""
APART = 0.32
"""Least distance between two places [m]."""
DROP = 0.5
SECONDS = 4.0
STEP = 1.0 / 120.0

SIMULATE = """
import json, sys
import numpy as np
import ovstage
from ovphysx import PhysX
from ovphysx.samples.python_samples.schema_support import physx_schema_paths
from ovphysx.types import ObjectScope, SimObjectType

path, steps, dt = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
PhysX.set_cpu_mode(True)
physx = PhysX()
ovstage.population.register_usd_schemas([str(p) for p in physx_schema_paths()])
stage = ovstage.Stage("drop")
ovstage.population.open_usd(stage, path, ordinal=1, domains=ovstage.PopulationDomain.ALL)
stage.advance_write_floor(ordinal=1).wait()
physx.wait_task(physx.attach_ovstage(stage, read_ordinal=1))

def read(attribute):
    found = {}
    with ovstage.PathDictionary(stage) as paths:
        with physx.read_sync(SimObjectType.RIGID_BODY, [attribute], scope=ObjectScope.ALL) as result:
            for group in result.groups:
                values = np.asarray(group.tensors[0].numpy(), dtype=float)
                for name, row in zip(paths.get_path_strings(group.prim_list), values):
                    found[str(name)] = row.tolist()
    return found

lowest = {}
for step in range(steps):
    physx.step_sync(dt)
    if step % 10 == 9 or step == steps - 1:
        for name, position in read("position").items():
            lowest[name] = min(lowest.get(name, 1e9), position[2])
    if step == steps - 1 - round(0.25 / dt):
        before = read("position")
after = read("position")
speed = {n: float(np.linalg.norm(np.subtract(after[n], before[n])) / 0.25) for n in after}
print(json.dumps({"position": after, "speed": speed, "lowest": lowest}))
"""


def free_places(caster: RayCaster, low: np.ndarray, high: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return places (P, 2) where the floor is free for 0.3 m around, as seen from above."""
    rng = np.random.default_rng(seed)
    angle = np.arange(48) * np.pi / 24
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    offsets = np.concatenate([[[0.0, 0.0]], *(radius * ring for radius in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3))])
    places: list[np.ndarray] = []
    for _ in range(4000):
        place = rng.uniform(low[:2], high[:2])
        rays = np.column_stack([place + offsets, np.full(len(offsets), DROP + 0.4)])
        reached, _ = caster.cast(rays, np.tile([0.0, 0.0, -1.0], (len(rays), 1)))
        # Far enough that the largest of the falling bodies do not push one another.
        apart = all(np.linalg.norm(place - p) > APART for p in places)
        if apart and np.allclose(reached, DROP + 0.4, atol=0.005):
            places.append(place)
        if len(places) == count:
            break
    return np.array(places).reshape(-1, 2)


def author(path: Path, scene: Path, kind: str, places: np.ndarray) -> None:
    """Write a stage that references the scene and holds one falling body per place."""
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdPhysics.SetStageKilogramsPerUnit(stage, 1.0)
    stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/Root").GetPrim())
    physics = UsdPhysics.Scene.Define(stage, "/Root/physics")
    physics.CreateGravityDirectionAttr((0.0, 0.0, -1.0))
    physics.CreateGravityMagnitudeAttr(9.81)
    stage.DefinePrim("/Root/scene").GetReferences().AddReference(str(scene.absolute()))
    size = SIZES[kind]
    for index, (x, y) in enumerate(places):
        body = Sdf.Path(f"/Root/{kind}_{index:02d}")
        if kind == "box":
            shape = UsdGeom.Cube.Define(stage, body)
            shape.CreateSizeAttr(2 * size)
        else:
            shape = UsdGeom.Sphere.Define(stage, body)
            shape.CreateRadiusAttr(size)
        shape.AddTranslateOp().Set(Gf.Vec3d(float(x), float(y), DROP))
        UsdPhysics.RigidBodyAPI.Apply(shape.GetPrim())
        UsdPhysics.CollisionAPI.Apply(shape.GetPrim())
        UsdPhysics.MassAPI.Apply(shape.GetPrim()).CreateMassAttr(0.2)
    stage.GetRootLayer().Save()


def simulate(python: str, stage: Path) -> dict[str, dict]:
    """Run PhysX on a stage and return end position, end speed and lowest height per body."""
    arguments = [python, "-c", SIMULATE, str(stage), str(int(SECONDS / STEP)), str(STEP)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"PhysX failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(scene: Path, python: str, count: int, seed: int) -> list[str]:
    """Return one table row per kind of body."""
    contents = read_usd_contents(scene)
    collider, kind_of = contents.scene.collider, contents.scene.collider_kind
    if collider is None:
        raise LyraSimError(f"{scene} has no collider")
    low, high = collider.vertices.min(axis=0) + 1.2, collider.vertices.max(axis=0) - 1.2
    places = free_places(RayCaster(collider), low, high, count, seed)
    rows = []
    for kind, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            stage = Path(folder) / "drop.usda"
            author(stage, scene, kind, places)
            found = simulate(python, stage)
        names = [n for n in found["position"] if kind in n]
        height = np.array([found["position"][n][2] for n in names]) - size
        speed = np.array([found["speed"][n] for n in names])
        lowest = np.array([found["lowest"][n] for n in names]) - size
        made = f"{kind_of}, {contents.collider_approximation}"
        fallen, resting = int((lowest < -0.02).sum()), int((speed < 0.05).sum())
        rows.append(
            f"| {scene.stem} | {made} | {kind} | {len(names)} | {fallen} | {resting} | "
            f"{np.abs(height).max() * 100:.2f} | {abs(np.median(height)) * 100:.2f} |"
        )
    return rows


def main() -> None:
    """Measure and print or write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenes", type=Path, nargs="+", metavar="SCENE", help="a .usdz with a collider")
    parser.add_argument("--physx", required=True, metavar="PYTHON", help="interpreter that has ovphysx")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="number of places (20)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draws the places (0)")
    parser.add_argument("--out", type=Path, metavar="PATH", help="write the table there")
    args = parser.parse_args()
    rows = [row for scene in args.scenes for row in measure(scene, args.physx, args.count, args.seed)]
    table = [
        f"Dropped from {DROP} m at random places (seed {args.seed}), then {SECONDS} s of PhysX on the CPU",
        f"({platform.machine()}) at {1 / STEP:.0f} Hz. Heights are of the lowest point of a body. Collider `none`",
        "is the mesh itself, `pieces` our convex pieces. At rest: slower than 5 cm/s.",
        "",
        "| scene | collider | body | dropped | below floor | at rest | largest height off it [cm] | median [cm] |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *rows,
    ]
    text = "\n".join(table) + "\n"
    report(text, args.out)


if __name__ == "__main__":
    main()
