"""Take pictures in every scene of a batch under changing light, from changing places, among changing things.

    ./python.sh standalone/randomise_batch.py aisles/ --split train --frames 20 --out pictures/

For each scene: a dome light of random strength and colour, boxes and balls dropped over free floor, and a camera that
looks around from the scene's spawn points, which are known to be free. Splats give a meaningful RGB picture only; depth
and labels come from the proxy mesh, which is shown for them in a second pass (`--labels`).

Written from NVIDIA's documentation and examples for Replicator in Isaac Sim 5.0 to 6.2; it has not been run in a Kit
(see docs/isaac-sim.md for what has been run and what has not).
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isaac import EYE_HEIGHT_M, SCENE_PATH, add_gravity, fail, load, start

DISTRACTORS = 6
COLOURS = ((1.0, 0.96, 0.9), (1.0, 0.85, 0.7), (0.85, 0.92, 1.0))
"""Colours of the dome light: neutral, warm, cold (linear RGB)."""


@dataclass(frozen=True)
class BatchScene:
    """What the manifest says of a scene, as far as it is used here."""

    id: str
    path: Path
    spawn_points: tuple[tuple[float, float, float], ...]
    """x, y [m] and yaw [rad] of free places."""


@dataclass(frozen=True)
class Shot:
    """One picture: camera, light and things, in metres, degrees and the scene's frame."""

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    intensity: float
    colour: tuple[float, float, float]
    things: tuple[tuple[float, float, float], ...]
    """Where distractors are dropped."""


def parse(argv: list[str]) -> argparse.Namespace:
    """Read our options; Isaac Sim reads the others itself."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("batch", type=Path, help="output folder of `lyra-sim batch`")
    parser.add_argument("--split", choices=("train", "validation", "test"), help="only scenes of this split")
    parser.add_argument("--frames", type=int, default=10, help="pictures per scene (10)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same shots (0)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--labels", action="store_true", help="also depth and labels, from the proxy mesh")
    parser.add_argument("--subframes", type=int, default=64, help="renderer samples per picture (64)")
    parser.add_argument("--gui", action="store_true", help="show the window")
    args, _ = parser.parse_known_args(argv)
    if args.frames < 1 or args.subframes < 1:
        parser.error("--frames and --subframes must be at least 1")
    return args


def read_scenes(batch: Path, split: str | None) -> list[BatchScene]:
    """Return the scenes of the manifest that have a place to stand on."""
    try:
        rows = [json.loads(line) for line in (batch / "manifest.jsonl").read_text().splitlines()]
        scenes = [
            BatchScene(
                row["id"],
                (batch / row["scene"]).absolute(),
                tuple((p["x"], p["y"], p["yaw"]) for p in row["spawn_points"]),
            )
            for row in rows
            if split in (None, row["split"])
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"{batch}: no usable manifest ({error!r}); name the output folder of `lyra-sim batch`")
    scenes = [scene for scene in scenes if scene.spawn_points]
    if not scenes:
        fail(f"{batch}: no scene with spawn points; make them with a collider")
    return scenes


def choose_shot(scene: BatchScene, chance: random.Random) -> Shot:
    """Choose a camera over one spawn point, a light, and places for distractors over the others."""
    x, y, yaw = chance.choice(scene.spawn_points)
    turn = yaw + chance.uniform(-0.6, 0.6)
    height = EYE_HEIGHT_M + chance.uniform(-0.5, 0.2)
    target = (x + 2 * math.cos(turn), y + 2 * math.sin(turn), height + chance.uniform(-0.6, 0.1))
    others = [p for p in scene.spawn_points if math.hypot(p[0] - x, p[1] - y) > 1.0]
    places = chance.sample(others, min(DISTRACTORS, len(others)))
    return Shot(
        eye=(x, y, height),
        target=target,
        intensity=chance.uniform(300.0, 1500.0),
        colour=chance.choice(COLOURS),
        things=tuple((px, py, chance.uniform(0.3, 1.0)) for px, py, _ in places),
    )


class Studio:
    """A camera, a light and distractors in the stage of one scene, moved from shot to shot."""

    def __init__(self, stage: Any, *, chance: random.Random) -> None:
        """Create them once; creating prims per picture would slow every picture down."""
        import omni.replicator.core as rep

        self.stage = stage
        self.camera = rep.functional.create.camera(clipping_range=(0.05, 1000.0), name="BatchCamera")
        self.dome = rep.functional.create.dome_light(intensity=1000.0, name="BatchDome")
        self.things = [self._thing(index, chance) for index in range(DISTRACTORS)]

    def _thing(self, index: int, chance: random.Random) -> Any:
        from pxr import Gf, UsdGeom, UsdPhysics

        kind = (UsdGeom.Cube, UsdGeom.Sphere)[index % 2]
        shape = kind.Define(self.stage, f"/World/Distractor_{index}")
        shape.AddTranslateOp()
        half = chance.uniform(0.05, 0.15)
        shape.AddScaleOp().Set(Gf.Vec3f(half if kind is UsdGeom.Sphere else half / 2))
        shape.CreateDisplayColorAttr([Gf.Vec3f(*(chance.uniform(0.1, 0.9) for _ in range(3)))])
        prim = shape.GetPrim()
        UsdPhysics.RigidBodyAPI.Apply(prim)
        UsdPhysics.CollisionAPI.Apply(prim)
        self._label(prim)
        return prim

    @staticmethod
    def _label(prim: Any) -> None:
        """Give the class that writers show; the schema came with Isaac Sim 5."""
        from pxr import UsdSemantics

        UsdSemantics.LabelsAPI.Apply(prim, "class").CreateLabelsAttr(["distractor"])

    def arrange(self, shot: Shot) -> None:
        """Set camera, light and the places that things fall from."""
        import omni.replicator.core as rep
        from pxr import Gf, UsdGeom

        rep.functional.modify.pose(self.camera, position_value=shot.eye, look_at_value=shot.target)
        self.dome.GetAttribute("inputs:intensity").Set(shot.intensity)
        self.dome.GetAttribute("inputs:color").Set(Gf.Vec3f(*shot.colour))
        for prim, place in zip(self.things, shot.things, strict=False):
            prim.GetAttribute("xformOp:translate").Set(Gf.Vec3d(*place))
        for index, prim in enumerate(self.things):
            shape = UsdGeom.Imageable(prim)
            shape.MakeVisible() if index < len(shot.things) else shape.MakeInvisible()


def show_proxy(stage: Any, shown: bool) -> None:
    """Choose what cameras see: the splats' colours, or the proxy's depth and labels."""
    from pxr import UsdGeom

    prim = stage.GetPrimAtPath(SCENE_PATH)
    prim.GetVariantSets().GetVariantSet("proxy").SetVariantSelection("shown" if shown else "hidden")
    splats = UsdGeom.Imageable(stage.GetPrimAtPath(f"{SCENE_PATH}/splats"))
    splats.MakeInvisible() if shown else splats.MakeVisible()


def settle(app: Any, *, seconds: float) -> None:
    """Let the distractors fall."""
    import omni.timeline

    timeline = omni.timeline.get_timeline_interface()
    timeline.play()
    for _ in range(int(60 * seconds)):
        app.update()
    timeline.pause()


def film(app: Any, scene: BatchScene, args: argparse.Namespace) -> None:
    """Take the pictures of one scene."""
    import omni.replicator.core as rep

    stage = load(scene.path, app)
    add_gravity(stage)
    # A text seeds the same everywhere; a tuple would not.
    chance = random.Random(f"{args.seed}:{scene.id}")
    studio = Studio(stage, chance=chance)
    rep.orchestrator.set_capture_on_play(False)
    product = rep.create.render_product(studio.camera.GetPath(), (1280, 720))
    passes: list[tuple[str, dict[str, bool]]] = [("rgb", {"rgb": True})]
    if args.labels:
        passes.append(("labels", {"distance_to_image_plane": True, "semantic_segmentation": True}))
    writers = {}
    for name, wanted in passes:
        writers[name] = rep.WriterRegistry.get("BasicWriter")
        writers[name].initialize(output_dir=str((args.out / scene.id / name).absolute()), **wanted)
    for _ in range(args.frames):
        studio.arrange(choose_shot(scene, chance))
        settle(app, seconds=1.0)
        for name, writer in writers.items():
            show_proxy(stage, name == "labels")
            writer.attach([product])
            rep.orchestrator.step(rt_subframes=args.subframes)
            writer.detach()
    rep.orchestrator.wait_until_complete()
    product.destroy()


def main() -> int:
    """Go through the scenes."""
    args = parse(sys.argv[1:])
    scenes = read_scenes(args.batch, args.split)
    args.out.mkdir(parents=True, exist_ok=True)
    app = start(headless=not args.gui)
    try:
        for number, scene in enumerate(scenes, start=1):
            film(app, scene, args)
            sys.stdout.write(f"{number} of {len(scenes)}: {args.out / scene.id}\n")
    finally:
        app.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
